package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// FlexAttention (ai.onnx.preview): Y = prob_mod(softmax(score_mod(scale·Q·Kᵀ)))·V
// per head, where the optional graphs score_mod and prob_mod map a tensor
// [b, hq, lq, lk] to one of the same type.
//
//	Q: T[b, hq, lq, d]    K: T[b, hk, lk, d]    V: T[b, hk, lk, dv]    Y: T[b, hq, lq, dv]
//
// Query head h reads key head h / (hq/hk). The graphs see softmax_precision, by
// default float32, or float64 for float64; products and sums are made in these.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxpreview_FlexAttention.html (1)
func init() {
	register(&Op{Domain: "ai.onnx.preview", Name: "FlexAttention", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(3), Out: N(1), Infer: inferFlexAttention, Build: buildFlexAttention, Expand: expandFlexAttention},
	}})
}

func inferFlexAttention(c *InferContext) error {
	q, v := c.In(0), c.In(2)
	c.Out[0] = onnx.UnrankedType(q.DType)
	if len(q.Dims) == 4 && len(v.Dims) == 4 {
		c.Out[0] = onnx.TensorType(q.DType, q.Dims[0], q.Dims[1], q.Dims[2], v.Dims[3])
	}
	return nil
}

type flexAttention struct {
	scale       float64 // 0: 1/sqrt(d)
	precision   tensor.DType
	score, prob Body // may be nil
}

func buildFlexAttention(b *BuildContext) (Kernel, error) {
	f := flexAttention{scale: float64(b.Float("scale", 0)), precision: b.DType("softmax_precision", tensor.Undefined)}
	for _, m := range []struct {
		name string
		to   *Body
	}{{"score_mod", &f.score}, {"prob_mod", &f.prob}} {
		if !b.HasAttr(m.name) {
			continue
		}
		body, err := b.Body(m.name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if n := len(body.Out()); n != 1 {
			return nil, fmt.Errorf("%s has %d outputs, want 1", m.name, n)
		}
		*m.to = body
	}
	switch f.precision {
	case tensor.Undefined, tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16:
	default:
		return nil, fmt.Errorf("%w: attribute \"softmax_precision\" is %v", ErrUnsupported, f.precision)
	}
	k32, k64 := flexKernel[float32](f), flexKernel[float64](f)
	if f.precision == tensor.Float64 {
		k32 = k64
	}
	return b.realKernels(0, k32, k64)
}

func flexKernel[T floating](f flexAttention) Kernel {
	softmax := softmaxRow[T] // a function of a type parameter is allocated where it is named
	return func(c *Call) error {
		qt, kt, vt := c.T(0), c.T(1), c.T(2)
		if qt.Rank() != 4 || kt == nil || kt.Rank() != 4 || vt == nil || vt.Rank() != 4 {
			return fmt.Errorf("Q, K, V are %v, %v, %v, want 4 dimensions each", qt, kt, vt)
		}
		b, hq, lq, d := qt.Dim(0), qt.Dim(1), qt.Dim(2), qt.Dim(3)
		hk, lk, dv := kt.Dim(1), kt.Dim(2), vt.Dim(3)
		if !slices.Equal(kt.Shape(), c.list(b, hk, lk, d)) || !slices.Equal(vt.Shape(), c.list(b, hk, lk, dv)) || hk == 0 || hq%hk != 0 {
			return fmt.Errorf("shapes of Q, K, V are %v, %v, %v: they do not fit", qt.Shape(), kt.Shape(), vt.Shape())
		}
		var in [3][]T
		for i := range in {
			var err error
			if in[i], err = reals[T](c, i); err != nil {
				return err
			}
		}
		scale := f.scale
		if scale == 0 {
			scale = 1 / math.Sqrt(float64(d))
		}
		precision := f.precision
		if precision == tensor.Undefined {
			precision = tensor.DTypeOf[T]()
		}
		shape := c.list(b, hq, lq, lk)
		if _, err := tensor.ByteSize(tensor.Float64, shape); err != nil {
			return err
		}
		s := Scratch[T](c, b*hq*lq*lk)
		st := State[matState[T]](c)
		defer st.clear()
		st.AO, st.BO = c.Dims(b*hq), c.Dims(b*hq)
		for i := range b * hq {
			st.AO[i], st.BO[i] = i*lq*d, i/(hq/hk)*lk*d
		}
		st.Args, st.CO = gemm.Args[T]{M: lq, N: lk, K: d, A: in[0], ARS: d, ACS: 1, B: in[1], BRS: 1, BCS: d, C: s, LDC: lk}, lq*lk
		st.Run(c.P, b*hq)
		for i := range s {
			s[i] *= T(scale)
		}
		s, err := modify(c, f.score, s, precision, shape)
		if err != nil {
			return fmt.Errorf("score_mod: %w", err)
		}
		alongAxis(c.P, s, s, b*hq*lq, lk, 1, softmax)
		if s, err = modify(c, f.prob, s, precision, shape); err != nil {
			return fmt.Errorf("prob_mod: %w", err)
		}
		y, done := realsOut[T](c, 0, qt.DType(), b, hq, lq, dv)
		for i := range b * hq {
			st.AO[i], st.BO[i] = i*lq*lk, i/(hq/hk)*lk*dv
		}
		st.Args, st.CO = gemm.Args[T]{M: lq, N: dv, K: lk, A: s, ARS: lk, ACS: 1, B: in[2], BRS: dv, BCS: 1, C: y, LDC: dv}, lq*dv
		st.Run(c.P, b*hq)
		done()
		return nil
	}
}

// modify runs a graph on the scores, which it sees as type d; a nil graph leaves them.
func modify[T floating](c *Call, body Body, s []T, d tensor.DType, shape []int) ([]T, error) {
	if body == nil {
		return s, nil
	}
	st := State[nested](c)
	in, out := st.arguments(1), st.results(1)
	defer clear(in)
	defer clear(out)
	scores := c.Lend(d, shape)
	storeReals(scores, s)
	in[0] = scores
	if err := runBody(c, body, in, out); err != nil {
		return nil, err
	}
	t, ok := out[0].(*tensor.Tensor)
	if !ok || !slices.Equal(t.Shape(), shape) {
		return nil, fmt.Errorf("the output is %v, want shape %v", out[0], shape)
	}
	r, err := realsFor[T](c, t)
	if err == nil && len(r) != len(s) {
		err = errors.New("the output has another size")
	}
	return r, err
}

// expandFlexAttention: the products and the softmax as nodes, with those of the graphs between them.
func expandFlexAttention(c *ExpandContext) ([]*onnx.Value, error) {
	q, k, v, of := c.value(0), c.value(1), c.value(2), c.In(0)
	if len(of.Dims) != 4 || len(c.In(1).Dims) != 4 || len(c.In(2).Dims) != 4 {
		return nil, fmt.Errorf("%w: the expansion with Q, K, V of %v, %v, %v, want 4 dimensions", ErrUnsupported, of, c.In(1), c.In(2))
	}
	precision, sums := c.DType("softmax_precision", tensor.Undefined), tensor.Float32
	if of.DType == tensor.Float64 || precision == tensor.Float64 {
		sums = tensor.Float64
	}
	if precision == tensor.Undefined {
		precision = sums
	}
	to := func(x *onnx.Value, d tensor.DType) *onnx.Value {
		if x == nil || x.Type.DType == d {
			return x
		}
		return c.Op("Cast", onnx.NewAttrs("to", int(d)), x)
	}
	scale := c.Builder.Float(sums, float64(c.attrs.Float("scale", 0)))
	if c.attrs.Float("scale", 0) == 0 {
		scale = c.Op("Reciprocal", nil, c.Op("Sqrt", nil, to(c.sizeAt(q, 3), sums)))
	}
	q, k, v = to(q, sums), to(k, sums), to(v, sums)
	grouped := !of.Dims[1].Equal(c.In(1).Dims[1])
	var groups *onnx.Value // [b, hk, hq/hk]
	if grouped {
		kv := c.sizeAt(k, 1)
		groups = c.Op("Concat", onnx.NewAttrs("axis", 0), c.sizeAt(q, 0), kv, c.Op("Div", nil, c.sizeAt(q, 1), kv))
		k, v = c.Op("Unsqueeze", nil, k, c.Builder.Ints(2)), c.Op("Unsqueeze", nil, v, c.Builder.Ints(2))
	}
	apart := func(x *onnx.Value) *onnx.Value { // the heads as [hk, hq/hk]
		if !grouped {
			return x
		}
		last := c.Op("Shape", onnx.NewAttrs("start", 2), x)
		return c.Op("Reshape", onnx.NewAttrs("allowzero", 1), x, c.Op("Concat", onnx.NewAttrs("axis", 0), groups, last))
	}
	together := func(x *onnx.Value) *onnx.Value {
		if !grouped {
			return x
		}
		last := c.Op("Shape", onnx.NewAttrs("start", 3), x)
		return c.Op("Reshape", onnx.NewAttrs("allowzero", 1), x, c.Op("Concat", onnx.NewAttrs("axis", 0), c.Op("Shape", onnx.NewAttrs("end", 2), q), last))
	}
	perm := []int{0, 1, 3, 2}
	if grouped {
		perm = []int{0, 1, 2, 4, 3}
	}
	s := together(c.Op("MatMul", nil, apart(q), c.Op("Transpose", onnx.NewAttrs("perm", perm), k)))
	s = c.Op("Mul", nil, s, scale)
	for _, name := range []string{"score_mod", "prob_mod"} {
		if body := c.Graph(name); body != nil {
			if len(body.Inputs) != 1 || len(body.Outputs) != 1 {
				return nil, fmt.Errorf("attribute %q has %d inputs and %d outputs, want one each", name, len(body.Inputs), len(body.Outputs))
			}
			s = to(c.inline(body, to(s, precision))[0], sums)
		}
		if name == "score_mod" {
			s = c.Op("Softmax", onnx.NewAttrs("axis", -1), s)
		}
	}
	return []*onnx.Value{to(together(c.Op("MatMul", nil, apart(s), v)), of.DType)}, nil
}
