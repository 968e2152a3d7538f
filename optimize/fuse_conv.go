package optimize

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// convolutions are rules that gather what comes before and after a convolution
// in one node: activation(Conv(X, W, B) + Z), with X padded.
var convolutions = []*Rule{
	{
		Name: "conv-pad", Doc: "Pad by zeros before Conv, or AveragePool that counts them, or by the least number before MaxPool => pads",
		Pattern: AnyOf(
			Op("Conv", paddedInput()).Rest().As("c"),
			Op("com.microsoft.FusedConv", paddedInput()).Rest().As("c"),
			Op("AveragePool", paddedInput()).As("c"),
			Op("MaxPool", paddedInput()).As("c")),
		Rewrite: rewriteConvPad,
		Example: func(b *ops.Builder) {
			p := b.Op("Pad", nil, in(b, "x", 1, 2, 4, 4), b.Ints(0, 0, 1, 2, 0, 0, 1, 0))
			q := b.Op("Pad", onnx.NewAttrs("mode", "constant"), in(b, "y", 1, 2, 4), b.Ints(0, 0, 1, 0, 0, 1))
			r := b.Op("Pad", nil, in(b, "z", 1, 2, 4), b.Ints(1, 1), b.Float(tensor.Float32, math.Inf(-1)), b.Ints(2))
			ret(b, b.Op("Conv", onnx.NewAttrs("pads", []int{0, 1, 0, 0}), p, floats(b, 3, 2, 2, 3)),
				b.Op("AveragePool", onnx.NewAttrs("kernel_shape", []int{3}), q),
				b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{3}, "pads", []int{1, 0}), r))
		},
	},
	{
		Name: "conv-weights", Doc: "x.Conv of a Cast of constant weights from 16 bits => x.Conv of these, which widens them when it packs them",
		Pattern: Op("x.Conv", Var("x"), Op("Cast", ConstAny("w")).Shared()).Rest(),
		Where: func(m *Match) bool {
			return m.Var("x").Type.DType == tensor.Float32 && is16(m.Var("w")) && m.Root.In[1].Type.DType == tensor.Float32
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			in := append([]*onnx.Value(nil), m.Root.In...)
			in[1] = m.Var("w")
			return b.Ops("x", "Conv", m.Root.Attrs, 1, in...)
		},
		Example: func(b *ops.Builder) {
			w := b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), b.Const(halves(6, 4, 1, 1)))
			ret(b, b.Ops("x", "Conv", nil, 1, in(b, "x", 1, 5, 5, 4), w)[0])
		},
	},
	{
		Name: "conv-add", Doc: "Conv and Add of a tensor of its shape => Z",
		Pattern: Op("Add", AnyOf(
			Op("Conv", Var("x"), Var("w")).Rest().As("c"),
			Op("com.microsoft.FusedConv", Var("x"), Var("w")).Rest().As("c"),
			Op("x.Conv", Var("x"), Var("w")).Rest().As("c")), Var("z")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			c, z := m.Node("c"), m.Var("z")
			if input(c, 3) != nil || len(c.In) > 4 || activated(c) || z.Const != nil || !isReal(z) || m.Root.Opset < 7 ||
				!sameType(z, c.Out[0]) || !sameType(z, m.Root.Out[0]) {
				return nil
			}
			return fusedConv(b, c, c.Attrs, c.In[0], c.In[1], input(c, 2), z)
		},
		Example: func(b *ops.Builder) {
			x, z := in(b, "x", 1, 2, 4, 4), in(b, "z", 1, 3, 4, 4)
			y := b.Op("Conv", nil, x, floats(b, 3, 2, 1, 1))
			v := b.Ops("x", "Conv", nil, 1, in(b, "u", 1, 5, 2), floats(b, 4, 2, 1))[0]
			ret(b, b.Op("Add", nil, z, y), b.Op("Add", nil, v, in(b, "v", 1, 5, 4)))
		},
	},
	{
		Name: "conv-activation", Doc: "convolution and a function of each element => activation",
		Pattern: activations(func() *Pattern {
			return AnyOf(
				Op("Conv", Var("x"), Var("w")).Rest().As("c"),
				Op("com.microsoft.FusedConv", Var("x"), Var("w")).Rest().As("c"),
				Op("x.Conv", Var("x"), Var("w")).Rest().As("c"),
				Op("x.ConvTranspose", Var("x"), Var("w")).Rest().As("c"))
		}),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			c := m.Node("c")
			if activated(c) || !isReal(m.Var("x")) || !sameType(c.Out[0], m.Root.Out[0]) {
				return nil
			}
			name, params, bias, ok := activationOf(m, c)
			if !ok || bias != nil {
				return nil
			}
			as := append(c.Attrs.Without("activation"), onnx.NewAttrs("activation", name)...)
			if len(params) > 0 {
				as = append(as, onnx.NewAttrs("activation_params", params)...)
			}
			return fusedConv(b, c, as, c.In...)
		},
		Example: func(b *ops.Builder) {
			conv := func() *onnx.Value { return b.Op("Conv", nil, in(b, "", 1, 2, 4, 4), floats(b, 3, 2, 1, 1)) }
			u := b.Ops("x", "ConvTranspose", nil, 1, in(b, "u", 1, 5, 2), floats(b, 2, 4, 1))[0]
			y := conv()
			ret(b, b.Op("Relu", nil, conv()), b.Op("LeakyRelu", onnx.NewAttrs("alpha", 0.5), conv()), b.Op("HardSwish", nil, conv()),
				b.Op("Clip", nil, conv(), b.Float(tensor.Float32, 0), b.Float(tensor.Float32, 6)), b.Op("Mul", nil, y, b.Op("Sigmoid", nil, y)),
				b.Op("Tanh", nil, u))
		},
	},
}

// fusedConv makes c once more, with other attributes and inputs.
func fusedConv(b *ops.Builder, c *onnx.Node, as onnx.Attrs, in ...*onnx.Value) []*onnx.Value {
	if c.Domain == "x" {
		return b.Ops("x", c.Op, as, 1, in...)
	}
	return b.Ops("com.microsoft", "FusedConv", as, 1, in...)
}

// activated reports whether c applies a function already.
func activated(c *onnx.Node) bool {
	s, err := onnx.Attribute(c, "activation", "")
	return err != nil || s != ""
}

func paddedInput() *Pattern { return Op("Pad", Var("x")).Rest().As("pad").Shared() }

// rewriteConvPad adds the pads of a Pad to those of the window behind it.
func rewriteConvPad(m *Match, b *ops.Builder) []*onnx.Value {
	c, pad := m.Node("c"), m.Node("pad")
	rank := m.Var("x").Type.Rank()
	if rank < 3 || !isReal(m.Var("x")) && c.Op != "QLinearConv" || len(c.Out) > 1 {
		return nil
	}
	auto, err := onnx.Attribute(c, "auto_pad", "NOTSET")
	if err != nil || auto != "NOTSET" && auto != "VALID" {
		return nil
	}
	value, more, ok := padsOf(pad, rank)
	if !ok || more[0] != 0 || more[1] != 0 || more[rank] != 0 || more[rank+1] != 0 {
		return nil
	}
	d := rank - 2
	more = append(more[2:rank:rank], more[rank+2:]...)
	pads, _, ok := constInts(c, len(c.In), "pads")
	if !ok || auto == "VALID" {
		pads = nil
	}
	if pads == nil {
		pads = make([]int, 2*d)
	}
	if len(pads) != 2*d {
		return nil
	}
	as := c.Attrs.Without("pads", "auto_pad")
	kernel, _, ok := constInts(c, len(c.In), "kernel_shape")
	sum := make([]int, 2*d)
	for i := range sum {
		sum[i] = pads[i] + more[i]
		if more[i] < 0 || pads[i] < 0 || (c.Op == "MaxPool" || c.Op == "AveragePool") && (!ok || len(kernel) != d || sum[i] >= kernel[i%d]) {
			return nil
		}
	}
	switch c.Op {
	case "QLinearConv":
		zero := input(c, 2)
		if zero == nil || zero.Const == nil {
			return nil
		}
		if z, err := ops.IntsOf(zero.Const); err != nil || len(z) != 1 || value != float64(z[0]) {
			return nil
		}
	case "MaxPool":
		// The first windows that start beyond the input are not left out by ceil_mode.
		if !math.IsInf(value, -1) || intAttr(c, "ceil_mode", 0) != 0 {
			return nil
		}
	case "AveragePool":
		if value != 0 || intAttr(c, "ceil_mode", 0) != 0 || c.Opset < 7 {
			return nil
		}
		if intAttr(c, "count_include_pad", 0) == 0 && !all(pads, 0) {
			return nil // these do not count, the others do
		}
		as = append(as.Without("count_include_pad"), onnx.NewAttrs("count_include_pad", 1)...)
	default:
		if value != 0 {
			return nil
		}
	}
	as = append(as, onnx.NewAttrs("pads", sum)...)
	in := append([]*onnx.Value{m.Var("x")}, c.In[1:]...)
	k := b.G.NewNodeIn(c.Domain, c.Op, as, in, 1)
	k.Opset = c.Opset
	return b.Add(k)
}

// padsOf returns the value and the pads, for each of rank dimensions, of a Pad
// by constants.
func padsOf(n *onnx.Node, rank int) (value float64, pads []int, ok bool) {
	if mode, err := onnx.Attribute(n, "mode", "constant"); err != nil || mode != "constant" || n.Opset < 2 {
		return 0, nil, false
	}
	if n.Opset < 11 {
		pads, _, ok = constInts(n, len(n.In), "pads")
		return float64(floatAttr(n, "value", 0)), pads, ok && len(pads) == 2*rank
	}
	if pads, _, ok = constInts(n, 1, ""); !ok {
		return 0, nil, false
	}
	if v := input(n, 2); v != nil {
		x, isReal := reals(v.Const)
		if !isReal && v.Const != nil {
			if i, err := ops.IntsOf(v.Const); err == nil && len(i) == 1 {
				x = []float64{float64(i[0])}
			}
		}
		if len(x) != 1 {
			return 0, nil, false
		}
		value = x[0]
	}
	if input(n, 3) != nil {
		axes, _, ok := constInts(n, 3, "")
		if !ok || len(pads) != 2*len(axes) {
			return 0, nil, false
		}
		wide := make([]int, 2*rank)
		for i, a := range axes {
			if a < 0 {
				a += rank
			}
			if a < 0 || a >= rank {
				return 0, nil, false
			}
			wide[a], wide[rank+a] = pads[i], pads[len(axes)+i]
		}
		pads = wide
	}
	return value, pads, len(pads) == 2*rank
}
