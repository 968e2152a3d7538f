package optimize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// channels are rules that fold factors and terms per output channel into the
// weights and bias of the convolution or product before them:
//
//	s·(W*x + b) + t  =  (s·W)*x + (s·b + t)
//
// Weights must be constant and have no other reader; element types float32 and
// float64, so that only the rounding of one multiplication changes.
var channels = []*Rule{
	{
		Name: "fold-batch-norm", Doc: "BatchNormalization after Conv, ConvTranspose, Gemm or MatMul => new weights and bias",
		Pattern: Op("BatchNormalization", producers(), ConstAny("scale"), ConstAny("B"), ConstAny("mean"), ConstAny("var")),
		Where:   func(m *Match) bool { return infers(m.Root) },
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			scale, term, ok := normalFactors(m.Root)
			if !ok {
				return nil
			}
			return affine(m, b, scale, term)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 1, 2, 4, 4)
			y := b.Op("Conv", nil, x, floats(b, 3, 2, 2, 2))
			ret(b, b.Op("BatchNormalization", nil, y, floats(b, 3), floats(b, 3), floats(b, 3), floats(b, 3)))
		},
	},
	{
		Name: "fold-scale", Doc: "constant factor per channel after Conv, ConvTranspose, Gemm or MatMul => new weights",
		Pattern: AnyOf(Op("Mul", producers(), ConstAny("c")), Op("Div", producers(), ConstAny("c"))),
		Where:   keepsOutput,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			c, ok := perChannel(m, m.Const("c"))
			if !ok {
				return nil
			}
			if m.Root.Op == "Div" {
				for i, x := range c {
					if c[i] = 1 / x; x == 0 {
						return nil
					}
				}
			}
			return affine(m, b, c, nil)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 1, 2, 4, 4)
			y := b.Op("Conv", nil, x, floats(b, 3, 2, 2, 2), floats(b, 3))
			ret(b, b.Op("Mul", nil, y, floats(b, 3, 1, 1)))
		},
	},
	{
		Name: "fold-term", Doc: "constant term per channel after Conv, ConvTranspose or Gemm => new bias",
		Pattern: AnyOf(Op("Add", biased(), ConstAny("c")), Op("Sub", biased(), ConstAny("c"))),
		Where:   keepsOutput,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			c, ok := perChannel(m, m.Const("c"))
			if !ok {
				return nil
			}
			if m.Root.Op == "Sub" {
				for i := range c {
					c[i] = -c[i]
				}
			}
			return affine(m, b, nil, c)
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 1, 2, 4, 4)
			y := b.Op("Conv", nil, x, floats(b, 3, 2, 2, 2))
			ret(b, b.Op("Add", nil, floats(b, 1, 3, 1, 1), y))
		},
	},
}

// infers reports whether a BatchNormalization takes the mean and variance that it is given, one of each per channel.
func infers(n *onnx.Node) bool {
	return n.Opset >= 7 && intAttr(n, "training_mode", 0) == 0 && intAttr(n, "spatial", 1) != 0
}

// normalFactors returns the factor and the term of each channel of n, a BatchNormalization, if they are constant.
func normalFactors(n *onnx.Node) (factor, term []float64, ok bool) {
	var of [4][]float64 // scale, B, mean and var
	for i := range of {
		v := input(n, 1+i)
		if v == nil {
			return nil, nil, false
		}
		if of[i], ok = reals(v.Const); !ok || len(of[i]) != len(of[0]) {
			return nil, nil, false
		}
	}
	scale, bias, mean, variance := of[0], of[1], of[2], of[3]
	eps := float64(floatAttr(n, "epsilon", 1e-5))
	term = make([]float64, len(scale))
	for i := range scale {
		scale[i] /= math.Sqrt(variance[i] + eps)
		term[i] = bias[i] - mean[i]*scale[i]
	}
	return scale, term, true
}

// biased matches operators with constant weights that take a bias.
func biased() *Pattern {
	return AnyOf(
		Op("Conv", Var("x"), ConstAny("w")).Rest().As("p"),
		Op("ConvTranspose", Var("x"), ConstAny("w")).Rest().As("p"),
		Op("Gemm", Var("x"), ConstAny("w")).Rest().As("p"),
	)
}

func producers() *Pattern {
	return AnyOf(biased(), Op("MatMul", Var("x"), ConstAny("w")).As("p"))
}

// keepsOutput reports whether the root's output has the type of the product
// before it. Before opset 7 shapes were aligned by an attribute.
func keepsOutput(m *Match) bool {
	return m.Root.Opset >= 7 && sameType(m.Root.Out[0], m.Node("p").Out[0])
}

// outChannels returns the axis of the product's result that counts channels,
// from the end, and their number; 0 if the operator is not understood.
func outChannels(p *onnx.Node) (fromEnd, n int) {
	w := p.In[1].Const
	switch p.Op {
	case "Conv":
		if w.Rank() > 2 {
			return w.Rank() - 1, w.Dim(0)
		}
	case "ConvTranspose":
		if w.Rank() > 2 {
			return w.Rank() - 1, w.Dim(1) * int(intAttr(p, "group", 1))
		}
	case "Gemm":
		if w.Rank() == 2 && p.Opset >= 7 {
			return 1, w.Dim(1 - int(min(intAttr(p, "transB", 0), 1)))
		}
	case "MatMul":
		if w.Rank() == 2 {
			return 1, w.Dim(1)
		}
	}
	return 0, 0
}

// perChannel returns the elements of c, one per channel of the product's
// result, if c varies along the channel axis only.
func perChannel(m *Match, c *tensor.Tensor) ([]float64, bool) {
	at, n := outChannels(m.Node("p"))
	v, ok := reals(c)
	if n == 0 || !ok {
		return nil, false
	}
	if len(v) == 1 {
		return slices.Repeat(v, n), true
	}
	axis := c.Rank() - at
	return v, len(v) == n && axis >= 0 && c.Dim(axis) == n
}

// affine rebuilds the product before the root so that it gives scale·y + term.
// Nil slices stand for ones and zeros.
func affine(m *Match, b *ops.Builder, scale, term []float64) []*onnx.Value {
	p := m.Node("p")
	w := p.In[1]
	_, n := outChannels(p)
	if n == 0 || scale != nil && len(scale) != n || term != nil && len(term) != n ||
		!finite(scale) || !finite(term) || w.Uses() != 1 || p.Op == "Conv" && w.Const.Rank() < 3 {
		return nil
	}
	d := w.Const.DType()
	bias := make([]float64, n)
	hadBias := false
	if x := input(p, 2); x != nil {
		if x.Const == nil {
			return nil
		}
		v, ok := reals(x.Const)
		if !ok || len(v) != n && len(v) != 1 || len(v) > 1 && x.Const.Dim(-1) != n {
			return nil
		}
		beta := 1.0
		if p.Op == "Gemm" {
			beta = float64(floatAttr(p, "beta", 1))
		}
		for i := range bias {
			bias[i] = beta * v[i%len(v)]
		}
		hadBias = true
	}
	for i := range bias {
		if scale != nil {
			bias[i] *= scale[i]
		}
		if term != nil {
			bias[i] += term[i]
		}
	}
	if scale != nil {
		t := scaled(p, w.Const, scale)
		if t == nil {
			return nil
		}
		w = b.Const(t)
	}
	ins := []*onnx.Value{p.In[0], w}
	as := p.Attrs
	op := p.Op
	if hadBias || term != nil {
		switch {
		case op == "MatMul":
			if p.In[0].Type.Rank() != 2 || p.Opset < 7 {
				return nil
			}
			op = "Gemm"
		case op == "Gemm":
			as = as.Without("beta")
		}
		ins = append(ins, b.Const(fromReals(bias, d)))
	}
	v := b.Ops("", op, as, 1, ins...)
	return only(m, v[0])
}

// scaled returns the weights of p times scale per output channel.
func scaled(p *onnx.Node, w *tensor.Tensor, scale []float64) *tensor.Tensor {
	shape := w.Shape()
	// Elements of one channel lie in runs of per; channel tells which the i-th run is of.
	var per int
	channel := func(i int) int { return i }
	switch {
	case p.Op == "Conv", p.Op == "Gemm" && intAttr(p, "transB", 0) != 0:
		per = w.Len() / max(shape[0], 1)
	case p.Op == "ConvTranspose": // [C, M/group, k…]: input channels are in groups
		group := int(intAttr(p, "group", 1))
		if group < 1 || shape[0]%group != 0 {
			return nil
		}
		mg, cg := shape[1], shape[0]/group
		per = w.Len() / max(shape[0]*shape[1], 1)
		channel = func(k int) int { return k/mg/cg*mg + k%mg }
	default: // [k, n]
		per = 1
		channel = func(i int) int { return i % shape[1] }
	}
	switch w.DType() {
	case tensor.Float32:
		return tensor.Of(scaledRuns(tensor.Data[float32](w), scale, per, channel), shape...)
	case tensor.Float64:
		return tensor.Of(scaledRuns(tensor.Data[float64](w), scale, per, channel), shape...)
	}
	return nil
}

func scaledRuns[T float32 | float64](src []T, scale []float64, per int, channel func(int) int) []T {
	dst := make([]T, len(src))
	for i := 0; per > 0 && (i+1)*per <= len(src); i++ {
		f := scale[channel(i)]
		to := dst[i*per:][:per]
		for j, x := range src[i*per:][:per] {
			to[j] = T(float64(x) * f)
		}
	}
	return dst
}

// reals returns the elements of a float32 or float64 tensor.
func reals(t *tensor.Tensor) ([]float64, bool) {
	if t == nil {
		return nil, false
	}
	switch t.DType() {
	case tensor.Float32:
		out := make([]float64, t.Len())
		for i, x := range tensor.Data[float32](t) {
			out[i] = float64(x)
		}
		return out, true
	case tensor.Float64:
		return slices.Clone(tensor.Data[float64](t)), true
	}
	return nil, false
}

// fromReals is the inverse of reals, for a vector.
func fromReals(v []float64, d tensor.DType) *tensor.Tensor {
	if d == tensor.Float64 {
		return tensor.Of(slices.Clone(v))
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return tensor.Of(out)
}

func finite(v []float64) bool {
	return !slices.ContainsFunc(v, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
}
