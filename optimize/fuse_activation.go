package optimize

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// activationForms are rules that find functions of single elements which programs
// write out in several operators.
var activationForms = []*Rule{
	{
		Name: "gelu", Doc: "x/2 * (1 + erf(x/sqrt(2))) => Gelu",
		Pattern: func() *Pattern {
			x := Var("x")
			// Some programs write the root of 2 with five digits.
			erf := Op("Erf", AnyOf(Op("Mul", x, Const(math.Sqrt2/2, 1e-5)), Op("Div", x, Const(math.Sqrt2, 2e-5))))
			return AnyOf(
				Chain("Mul", x, half(), Op("Add", erf, Near(1))),
				Op("Div", Chain("Mul", x, Op("Add", erf, Near(1))), Near(2)),
				Op("Mul", Op("Div", x, Near(2)), Op("Add", erf, Near(1))),
				Op("Mul", x, Op("Div", Op("Add", erf, Near(1)), Near(2))),
				Op("Mul", x, Op("Add", Op("Mul", erf, half()), half())),
			)
		}(),
		Where: keepsFloats,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return b.Ops("", "Gelu", nil, 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			e := b.Op("Add", nil, b.Op("Erf", nil, b.Op("Div", nil, x, f32(b, math.Sqrt2))), f32(b, 1))
			y := b.Op("Abs", nil, x)
			g := b.Op("Erf", nil, b.Op("Mul", nil, f32(b, math.Sqrt2/2), y))
			g = b.Op("Mul", nil, y, b.Op("Mul", nil, f32(b, 0.5), b.Op("Add", nil, f32(b, 1), g)))
			ret(b, b.Op("Mul", nil, b.Op("Mul", nil, x, e), f32(b, 0.5)), g)
		},
	},
	{
		Name: "gelu-tanh", Doc: "x/2 * (1 + tanh(sqrt(2/pi)*(x + 0.044715*x^3))) => Gelu with approximate=tanh",
		Pattern: func() *Pattern {
			x, c := Var("x"), math.Sqrt(2/math.Pi)
			cube := AnyOf(Op("Pow", x, Near(3)), Chain("Mul", x, x, x))
			arg := AnyOf(
				Op("Mul", Op("Add", x, Op("Mul", cube, Near(0.044715))), Near(c)),
				Op("Mul", Op("Add", x, Chain("Mul", x, x, x, Near(0.044715))), Near(c)),
				Chain("Mul", x, Near(c), Op("Add", Chain("Mul", x, x, Near(0.044715)), Near(1))),
				Op("Mul", x, Op("Add", Chain("Mul", x, x, Near(0.044715*c)), Near(c))),
			)
			one := Op("Add", Op("Tanh", arg), Near(1))
			return AnyOf(Chain("Mul", x, half(), one), Op("Mul", x, Op("Add", Op("Mul", Op("Tanh", arg), half()), half())))
		}(),
		Where: keepsFloats,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return b.Ops("", "Gelu", onnx.NewAttrs("approximate", "tanh"), 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			u := b.Op("Add", nil, x, b.Op("Mul", nil, b.Op("Pow", nil, x, f32(b, 3)), f32(b, 0.044715)))
			t := b.Op("Add", nil, b.Op("Tanh", nil, b.Op("Mul", nil, u, f32(b, math.Sqrt(2/math.Pi)))), f32(b, 1))
			ret(b, b.Op("Mul", nil, b.Op("Mul", nil, x, f32(b, 0.5)), t))
		},
	},
	{
		Name: "swish", Doc: "x * sigmoid(a*x) => Swish",
		Pattern: AnyOf(Op("Mul", Var("x"), Op("Sigmoid", Var("x"))), Op("Mul", Var("x"), Op("Sigmoid", Op("Mul", Var("x"), ConstAny("a"))))),
		Where:   keepsFloats,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			alpha := 1.0
			if a := m.Const("a"); a != nil {
				var ok bool
				if alpha, ok = scalar(a); !ok {
					return nil
				}
			}
			return b.Ops("", "Swish", onnx.NewAttrs("alpha", float32(alpha)), 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			y := b.Op("Neg", nil, x)
			ret(b, b.Op("Mul", nil, b.Op("Sigmoid", nil, x), x),
				b.Op("Mul", nil, y, b.Op("Sigmoid", nil, b.Op("Mul", nil, f32(b, 1.702), y))))
		},
	},
	{
		Name: "hard-swish", Doc: "x * clip(x + 3, 0, 6) / 6, x * HardSigmoid(x) => HardSwish",
		Pattern: func() *Pattern {
			x := Var("x")
			clip := Op("Clip", Op("Add", x, Near(3))).Rest().As("clip")
			return AnyOf(Op("Mul", x, Op("HardSigmoid", x).As("gate")), Op("Div", Op("Mul", x, clip), Near(6)),
				Op("Mul", x, Op("Div", clip, Near(6))), Chain("Mul", x, clip, Near(1.0/6)))
		}(),
		Where: func(m *Match) bool {
			if n := m.Node("gate"); n != nil && (!closeTo(floatAttr(n, "alpha", 0.2), 1.0/6) || !closeTo(floatAttr(n, "beta", 0.5), 0.5)) {
				return false
			}
			if n := m.Node("clip"); n != nil && !clipsTo(n, 0, 6) {
				return false
			}
			return keepsFloats(m)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return b.Ops("", "HardSwish", nil, 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			c := b.Op("Clip", nil, b.Op("Add", nil, x, f32(b, 3)), f32(b, 0), f32(b, 6))
			y := b.Op("Abs", nil, x)
			ret(b, b.Op("Div", nil, b.Op("Mul", nil, x, c), f32(b, 6)),
				b.Op("Mul", nil, b.Op("HardSigmoid", onnx.NewAttrs("alpha", float32(1.0/6)), y), y))
		},
	},
	{
		Name: "hard-sigmoid", Doc: "clip(x + 3, 0, 6) / 6, clip(a*x + b, 0, 1) => HardSigmoid",
		Pattern: func() *Pattern {
			x := Var("x")
			six := Op("Clip", Op("Add", x, Near(3))).Rest().As("six")
			return AnyOf(Op("Div", six, Near(6)), Op("Mul", six, Near(1.0/6)),
				Op("Clip", Op("Add", Op("Mul", x, ConstAny("a")), ConstAny("b"))).Rest().As("one"))
		}(),
		Where: func(m *Match) bool {
			n, hi := m.Node("six"), 6.0
			if n == nil {
				n, hi = m.Node("one"), 1
			}
			return clipsTo(n, 0, hi) && keepsFloats(m)
		},
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			alpha, beta := 1.0/6, 0.5
			if m.Node("one") != nil {
				var ok, ok2 bool
				alpha, ok = scalar(m.Const("a"))
				beta, ok2 = scalar(m.Const("b"))
				if !ok || !ok2 {
					return nil
				}
			}
			return b.Ops("", "HardSigmoid", onnx.NewAttrs("alpha", float32(alpha), "beta", float32(beta)), 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			y := b.Op("Add", nil, b.Op("Mul", nil, x, f32(b, 0.2)), f32(b, 0.5))
			ret(b, b.Op("Div", nil, b.Op("Clip", nil, b.Op("Add", nil, x, f32(b, 3)), f32(b, 0), f32(b, 6)), f32(b, 6)),
				b.Op("Clip", nil, y, f32(b, 0), f32(b, 1)))
		},
	},
	{
		Name: "mish", Doc: "x * tanh(softplus(x)) => Mish",
		Pattern: Op("Mul", Var("x"), Op("Tanh", Op("Softplus", Var("x")))),
		Where:   keepsFloats,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			return b.Ops("", "Mish", nil, 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			ret(b, b.Op("Mul", nil, x, b.Op("Tanh", nil, b.Op("Softplus", nil, x))))
		},
	},
	{
		Name: "leaky-relu", Doc: "PRelu with the same constant slope everywhere => LeakyRelu",
		Pattern: Op("PRelu", Var("x"), ConstAny("slope")),
		Where:   keepsFloats,
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			slope, ok := scalar(m.Const("slope"))
			if !ok || float64(float32(slope)) != slope { // an attribute is float32
				return nil
			}
			return b.Ops("", "LeakyRelu", onnx.NewAttrs("alpha", float32(slope)), 1, m.Var("x"))
		},
		Example: func(b *ops.Builder) {
			ret(b, b.Op("PRelu", nil, in(b, "x", 2, 3), f32(b, 0.3)))
		},
	},
	{
		Name: "clip", Doc: "Min and Max, or Relu, with constants => Clip",
		Pattern: AnyOf(Op("Min", Op("Max", Var("x"), ConstAny("lo")), ConstAny("hi")), Op("Max", Op("Min", Var("x"), ConstAny("hi")), ConstAny("lo")),
			Op("Min", Op("Relu", Var("x")), ConstAny("hi"))),
		Where: func(m *Match) bool { return keepsFloats(m) && m.Root.Opset >= 6 },
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			lo, ok := 0.0, true
			if c := m.Const("lo"); c != nil {
				lo, ok = scalar(c)
			}
			hi, ok2 := scalar(m.Const("hi"))
			if !ok || !ok2 || !(lo <= hi) {
				return nil
			}
			d := m.Var("x").Type.DType
			if m.Root.Opset < 11 {
				if float64(float32(lo)) != lo || float64(float32(hi)) != hi { // attributes are float32
					return nil
				}
				return b.Ops("", "Clip", onnx.NewAttrs("min", float32(lo), "max", float32(hi)), 1, m.Var("x"))
			}
			return b.Ops("", "Clip", nil, 1, m.Var("x"), b.Float(d, lo), b.Float(d, hi))
		},
		Example: func(b *ops.Builder) {
			x := in(b, "x", 2, 3)
			ret(b, b.Op("Min", nil, b.Op("Max", nil, f32(b, -0.5), x), f32(b, 0.75)), b.Op("Min", nil, f32(b, 0.75), b.Op("Relu", nil, x)))
		},
	},
}

func half() *Pattern { return Near(0.5) }

// keepsFloats reports whether x is of a type that activations are defined on,
// and the root's output of x's type.
func keepsFloats(m *Match) bool {
	switch m.Var("x").Type.DType {
	case tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16:
		return keepsType("x")(m)
	}
	return false
}

// scalar returns the value that all elements of a floating-point tensor have.
func scalar(t *tensor.Tensor) (float64, bool) {
	if t == nil || t.Len() == 0 {
		return 0, false
	}
	var first float64
	switch t.DType() {
	case tensor.Float32:
		first = float64(tensor.Data[float32](t)[0])
	case tensor.Float64:
		first = tensor.Data[float64](t)[0]
	case tensor.Float16:
		first = float64(tensor.Data[tensor.F16](t)[0].Float32())
	case tensor.BFloat16:
		first = float64(tensor.Data[tensor.BF16](t)[0].Float32())
	default:
		return 0, false
	}
	return first, t.Len() == 1 || allEqual(t, first, 0)
}

// closeTo reports whether a is b but for rounding.
func closeTo(a float32, b float64) bool { return math.Abs(float64(a)-b) <= 2e-6*math.Abs(b) }

// clipsTo reports whether n, a Clip, has these limits.
func clipsTo(n *onnx.Node, lo, hi float64) bool {
	if n.Opset < 11 {
		return float64(floatAttr(n, "min", -math.MaxFloat32)) == lo && float64(floatAttr(n, "max", math.MaxFloat32)) == hi
	}
	for i, want := range []float64{lo, hi} {
		v := input(n, 1+i)
		if v == nil || v.Const == nil {
			return false
		}
		if x, ok := scalar(v.Const); !ok || x != want {
			return false
		}
	}
	return true
}

// f32 adds a float32 scalar to an example.
func f32(b *ops.Builder, x float64) *onnx.Value { return b.Float(tensor.Float32, x) }
