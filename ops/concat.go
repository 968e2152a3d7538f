package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Concat: the inputs one after the other along axis.
//
//	inputs: T[..., n_i, ...]    concat_result: T[..., Σ n_i, ...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Concat.html
func init() {
	register(&Op{
		Name: "Concat",
		Versions: []Version{
			// Version 1 has a default for axis; 11 allowed a negative one.
			{Since: 1, In: Arity{1, Many}, Out: N(1), Infer: inferConcat1, Build: buildConcat1},
			{Since: 4, In: Arity{1, Many}, Out: N(1), Infer: inferConcat, Build: buildConcat},
		},
	})
}

func inferConcat1(c *InferContext) error { return inferConcatOf(c, c.Int("axis", 1)) }

func inferConcat(c *InferContext) error {
	if !c.HasAttr("axis") {
		return fmt.Errorf("attribute %q is missing", "axis")
	}
	return inferConcatOf(c, c.Int("axis", 0))
}

func inferConcatOf(c *InferContext, axis int) error {
	var out onnx.Type
	out.Kind = onnx.TensorKind
	allRanked := true
	sum := onnx.Size(0)
	for i := range c.NumIn() {
		t := c.In(i)
		if out.DType == tensor.Undefined {
			out.DType = t.DType
		} else if t.DType != tensor.Undefined && t.DType != out.DType {
			return fmt.Errorf("input %d is %v, input 0 %v", i, t.DType, out.DType)
		}
		if !t.Ranked {
			allRanked = false
			continue
		}
		if !out.Ranked {
			out.Ranked, out.Dims = true, append([]onnx.Dim{}, t.Dims...)
		}
		if len(t.Dims) != len(out.Dims) {
			return fmt.Errorf("input %d has rank %d, others %d", i, len(t.Dims), len(out.Dims))
		}
		a, err := tensor.Axis(axis, len(t.Dims))
		if err != nil {
			return err
		}
		for k, d := range t.Dims {
			if k == a {
				sum = sum.Add(d)
				continue
			}
			n, ok := d.Size()
			m, ook := out.Dims[k].Size()
			if ok && ook && n != m {
				return fmt.Errorf("dimension %d of input %d is %d, others have %d", k, i, n, m)
			}
			if !out.Dims[k].Known() || ok {
				out.Dims[k] = d
			}
		}
	}
	if out.Ranked {
		a, _ := tensor.Axis(axis, len(out.Dims))
		out.Dims[a] = onnx.Dim{}
		if allRanked {
			out.Dims[a] = sum
		}
	}
	c.Out[0] = out
	if out.Ranked && len(out.Dims) == 1 {
		var ints []onnx.Dim
		for i := range c.NumIn() {
			v, ok := c.KnownInts(i)
			if !ok {
				n, ok := c.vectorLen(i)
				if !ok || n > 1024 {
					return nil
				}
				v = make([]onnx.Dim, n)
			}
			ints = append(ints, v...)
		}
		c.SetInts(0, ints)
		out.Dims[0] = onnx.Size(len(ints))
	}
	return nil
}

func buildConcat1(b *BuildContext) (Kernel, error) { return concatKernel(b.Int("axis", 1)), nil }
func buildConcat(b *BuildContext) (Kernel, error)  { return concatKernel(b.Int("axis", 0)), nil }

func concatKernel(axis int) Kernel {
	return bytewise(func(c *Call) error {
		ts := State[[]*tensor.Tensor](c)
		defer func() { clear(*ts) }()
		*ts = (*ts)[:0]
		for i := range c.In {
			t := c.T(i)
			if t == nil {
				return fmt.Errorf("input %d is absent", i)
			}
			*ts = append(*ts, t)
		}
		return concatTensors(c, *ts, axis)
	}, 0)
}

// concatTensors sets output 0 to ts, which are at least one, joined along axis.
func concatTensors(c *Call, ts []*tensor.Tensor, axis int) error {
	first := ts[0]
	a, err := tensor.Axis(axis, first.Rank())
	if err != nil {
		return err
	}
	shape := c.list(first.Shape()...)
	shape[a] = 0
	for i, t := range ts {
		if t.DType() != first.DType() {
			return fmt.Errorf("input %d is %v, input 0 %v", i, t.DType(), first.DType())
		}
		if t.Rank() != len(shape) {
			return fmt.Errorf("input %d has shape %v, want rank %d", i, t.Shape(), len(shape))
		}
		for k, d := range t.Shape() {
			if k == a {
				if shape[k] += d; shape[k] < 0 {
					return fmt.Errorf("%w: the sum of dimension %d overflows", tensor.ErrSize, k)
				}
			} else if d != shape[k] {
				return fmt.Errorf("input %d has shape %v, input 0 %v: only dimension %d may differ", i, t.Shape(), first.Shape(), a)
			}
		}
	}
	y := c.Output(0, first.DType(), shape...)
	m := moverOf(first.DType())
	outer, row, at := sizeOf(shape[:a]), sizeOf(shape[a:]), 0
	if size := first.DType().Bits() / 8; outer > 1 && outer*row > moveGrain && size > 0 {
		few := slices.ContainsFunc(ts, func(t *tensor.Tensor) bool { return t.Len()/outer*size < fewBytes })
		if !few { // a thread joins the rows that it made
			par.Run(c.P, outer, par.Grain(outer, par.Nanos(0, float64(2*row*size))), par.With(concatRows{m, y, ts, outer, row}))
			return nil
		}
	}
	if len(ts) == 2 && row == 2 && ts[0].Len() == outer && ts[1].Len() == outer { // as torch.stack makes pairs
		m.pairs(c.P, y, ts[0], ts[1])
		return nil
	}
	for _, t := range ts {
		n := sizeOf(t.Shape()[a:])
		m.copy(c.P, y, t, strided{shape: c.list(outer, n), ds: c.list(row, 1), ss: c.list(n, 1), do: at})
		at += n
	}
	return nil
}

// fewBytes is how many bytes are too few for a call.
const fewBytes = 64

// concatRows joins rows.
type concatRows struct {
	m          mover
	y          *tensor.Tensor
	ts         []*tensor.Tensor
	outer, row int
}

func (r *concatRows) Chunk(lo, hi int) {
	for o := lo; o < hi; o++ {
		at := o * r.row
		for _, t := range r.ts {
			n := t.Len() / r.outer
			r.m.run(r.y, at, t, o*n, n)
			at += n
		}
	}
}

// gradConcat: each input gets its piece.
func gradConcat(c *GradContext) []*onnx.Value {
	axis, d := c.Attr.Int("axis", 0), c.DOut[0]
	n := len(c.Node().In)
	if n == 1 {
		return []*onnx.Value{d}
	}
	sizes := make([]*onnx.Value, n)
	for i := range sizes {
		if dims, ok := c.X(i).Type.Static(); ok {
			a, err := tensor.Axis(axis, len(dims))
			if err != nil {
				c.Fail(err)
				return nil
			}
			sizes[i] = c.Ints(dims[a])
			continue
		}
		as := onnx.NewAttrs("start", axis)
		if axis != -1 {
			as = as.Set("end", int64(axis+1))
		}
		sizes[i] = c.Op("Shape", as, c.X(i))
	}
	at := c.Op("Concat", onnx.NewAttrs("axis", 0), sizes...)
	return c.Ops("", "Split", onnx.NewAttrs("axis", axis), n, d, at)
}
