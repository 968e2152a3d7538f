package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// floatConvs are rules for convolutions of bytes whose results are floats, after
// the rules for those whose results are bytes. The operator that they write has the
// channels last; the layout pass gets rid of the Transposes about it.
var floatConvs = []*Rule{
	{
		Name: "dynamic-conv", Doc: "ConvInteger, Cast to float32, Mul by both scales, and a bias => x.ConvIntegerToFloat",
		Pattern: AnyOf(Op("Add", scaledInts("ConvInteger"), ConstAny("bias")), scaledInts("ConvInteger")),
		Where: func(m *Match) bool {
			return m.Node("cast").Out[0].Type.DType == tensor.Float32 && oneFloat(m.Var("sa")) && m.Const("sb").DType() == tensor.Float32
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n, sums := m.Node("op"), m.Node("op").Out[0]
			scale, ok := channelValues(b, m.Var("sb"), sums)
			if !ok {
				return nil
			}
			var bias *onnx.Value
			if v := m.Var("bias"); v != nil {
				if bias, ok = channelValues(b, v, sums); !ok {
					return nil
				}
			}
			return intConv(b, n.Attrs, sums, n.In[0], m.Var("sa"), input(n, 2), n.In[1], scale, input(n, 3), bias)
		},
		Example: func(b *ops.Builder) {
			q := b.Ops("", "DynamicQuantizeLinear", nil, 3, in(b, "x", 1, 2, 5, 4))
			conv := func(as onnx.Attrs, w, s *onnx.Value, zero ...*onnx.Value) *onnx.Value {
				y := b.Op("ConvInteger", as, append([]*onnx.Value{q[0], w, q[2]}, zero...)...)
				f := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), y)
				return b.Op("Mul", nil, f, b.Op("Mul", nil, q[1], s))
			}
			w := b.Const(tensor.Of([]int8{1, -2, 3, 4, 50, 6, -7, 8, 9, 100, 11, 12}, 3, 2, 2, 1))
			u := b.Const(tensor.Of([]uint8{1, 22, 3, 4}, 2, 1, 1, 2))
			ret(b, b.Op("Add", nil, floats(b, 1, 3, 1, 1), conv(nil, w, floats(b, 3, 1, 1))),
				conv(onnx.NewAttrs("group", 2), u, b.Float(tensor.Float32, 0.25), b.Const(tensor.Scalar(uint8(30)))))
		},
	},
	{
		Name: "qdq-conv-float", Doc: "Conv of dequantized values => x.ConvIntegerToFloat",
		Pattern: any0("Conv"),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			n := m.Root
			x, w := dequantOf(n.In[0]), dequantOf(n.In[1])
			if !x.whole() || !w.weights(0) || w.v.Const == nil || w.v.Type.Rank() < 3 {
				return nil
			}
			if c := w.v.Const.Dim(0); len(w.scales) > 1 && len(w.scales) != c {
				return nil
			}
			bias := input(n, 2)
			if bias != nil && bias.Const == nil {
				t := constantOf(bias)
				if t == nil {
					return nil
				}
				bias = b.Const(t)
			}
			if bias != nil && (bias.Const.DType() != tensor.Float32 || bias.Const.Len() != w.v.Const.Dim(0)) {
				return nil
			}
			return intConv(b, n.Attrs, n.Out[0], x.v, b.Const(tensor.Scalar(x.scales[0])), withoutDims(b, x.zeroValue(b)), w.v, w.scale, w.zeroValue(b), bias)
		},
		Example: func(b *ops.Builder) {
			x := fakeQuant(b, in(b, "x", 1, 3, 6, 6), 0.03, uint8(120))
			ret(b, b.Op("Conv", onnx.NewAttrs("pads", []int{1, 1, 1, 1}), x, quantWeights(b, int8(0), 0, 4, 3, 3, 3), floats(b, 4)),
				b.Op("Conv", nil, x, quantWeights(b, int8(3), 0, 2, 3, 1, 1)))
		},
	},
}

// floatConvEnds fuse functions of elements into x.ConvIntegerToFloat.
var floatConvEnds = []*Rule{{
	Name: "int-conv-activation", Doc: "x.ConvIntegerToFloat, perhaps transposed, and a function of each element => activation",
	Pattern: activations(func() *Pattern {
		conv := func() *Pattern { return Op("x.ConvIntegerToFloat").Rest().As("c") }
		return AnyOf(Op("Transpose", conv()).As("t"), conv())
	}),
	Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
		c, last := m.Node("c"), m.Node("c")
		if t := m.Node("t"); t != nil {
			last = t
		}
		if activated(c) {
			return nil
		}
		name, params, bias, ok := activationOf(m, last)
		if !ok || bias != nil || !sameType(last.Out[0], m.Root.Out[0]) {
			return nil
		}
		as := append(c.Attrs.Without("activation"), onnx.NewAttrs("activation", name)...)
		if len(params) > 0 {
			as = append(as, onnx.NewAttrs("activation_params", params)...)
		}
		y := b.Ops("x", "ConvIntegerToFloat", as, 1, c.In...)
		if last != c {
			return []*onnx.Value{b.Op("Transpose", last.Attrs, y[0])}
		}
		return y
	},
	Example: func(b *ops.Builder) {
		w := b.Const(tensor.Of([]int8{1, -2, 3, 4, 50, 6}, 2, 3, 1))
		conv := func() *onnx.Value {
			x := b.Op("QuantizeLinear", nil, in(b, "", 1, 4, 3), b.Float(tensor.Float32, 0.03), b.Const(tensor.Scalar(uint8(128))))
			return b.Ops("x", "ConvIntegerToFloat", nil, 1, x, b.Float(tensor.Float32, 0.03), b.Const(tensor.Scalar(uint8(128))), w, b.Float(tensor.Float32, 0.01))[0]
		}
		y := b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1}), conv())
		ret(b, b.Op("Relu", nil, conv()), b.Op("Mul", nil, y, b.Op("Sigmoid", nil, y)))
	},
}}

// intConv makes x.ConvIntegerToFloat with as, the attributes of a convolution with the
// channels first of results like y, between Transposes.
func intConv(b *ops.Builder, as onnx.Attrs, y, x, xScale, xZero, w, wScale, wZero, bias *onnx.Value) []*onnx.Value {
	rank := y.Type.Rank()
	if rank < 3 || rank > 5 || x.Type.Rank() != rank || w.Type.Rank() != rank {
		return nil
	}
	last := channelsLast(rank)
	in := []*onnx.Value{b.Op("Transpose", onnx.NewAttrs("perm", []int(last)), x), xScale, xZero, w, wScale, wZero, bias}
	for in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	v := b.Ops("x", "ConvIntegerToFloat", as, 1, in...)[0]
	return []*onnx.Value{b.Op("Transpose", onnx.NewAttrs("perm", []int(last.inverse())), v)}
}

// channelValues returns the constant c, which is broadcast to y [n, m, d…], as one
// value, or one for each of the m channels.
func channelValues(b *ops.Builder, c, y *onnx.Value) (*onnx.Value, bool) {
	t := c.Const
	if t == nil || t.DType() != tensor.Float32 || y.Type.Rank() < 2 || t.Rank() > y.Type.Rank() {
		return nil, false
	}
	m, ok := y.Type.Dims[1].Size()
	if !ok || t.Len() != m && t.Len() != 1 || t.Len() == m && m > 1 && (t.Rank() < y.Type.Rank()-1 || t.Dim(1-y.Type.Rank()) != m) {
		return nil, false
	}
	v := slices.Clone(tensor.Data[float32](t))
	if len(v) == 1 {
		v = slices.Repeat(v, m)
	}
	return b.Const(tensor.Of(v)), true
}

// constantOf returns the constant that v is dequantized from, dequantized; nil if
// it is none.
func constantOf(v *onnx.Value) *tensor.Tensor {
	n := v.From
	if n == nil || n.Op != "DequantizeLinear" {
		return nil
	}
	in := make([]tensor.Value, len(n.In))
	for i, u := range n.In {
		if u == nil {
			continue
		}
		if u.Const == nil {
			return nil
		}
		in[i] = u.Const
	}
	return evalNode(n, in)
}
