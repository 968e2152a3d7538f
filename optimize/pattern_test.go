package optimize

import (
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// fits reports whether p matches the node that made the graph's only output.
func fits(t *testing.T, p *Pattern, f func(*ops.Builder) *onnx.Value) bool {
	t.Helper()
	m := graphModel(t, 21, func(b *ops.Builder) { ret(b, f(b)) })
	return match(ops.Standard(), p, m.Graph.Outputs[0].From, func(*Match) bool { return true })
}

func TestChain(t *testing.T) {
	x := Var("x")
	p := Chain("Mul", x, Near(0.5), Op("Tanh", x))
	for name, f := range map[string]func(b *ops.Builder, x, c, y *onnx.Value) *onnx.Value{
		"(xc)y": func(b *ops.Builder, x, c, y *onnx.Value) *onnx.Value {
			return b.Op("Mul", nil, b.Op("Mul", nil, x, c), y)
		},
		"y(cx)": func(b *ops.Builder, x, c, y *onnx.Value) *onnx.Value {
			return b.Op("Mul", nil, y, b.Op("Mul", nil, c, x))
		},
		"x(yc)": func(b *ops.Builder, x, c, y *onnx.Value) *onnx.Value {
			return b.Op("Mul", nil, x, b.Op("Mul", nil, y, c))
		},
		"c(yx)": func(b *ops.Builder, x, c, y *onnx.Value) *onnx.Value {
			return b.Op("Mul", nil, c, b.Op("Mul", nil, y, x))
		},
	} {
		if !fits(t, p, func(b *ops.Builder) *onnx.Value {
			x := in(b, "x", 2)
			return f(b, x, f32(b, 0.5), b.Op("Tanh", nil, x))
		}) {
			t.Errorf("%s is not found", name)
		}
	}
	if fits(t, p, func(b *ops.Builder) *onnx.Value {
		x := in(b, "x", 2)
		return b.Op("Mul", nil, b.Op("Mul", nil, x, x), b.Op("Tanh", nil, x))
	}) {
		t.Error("a factor that is not there was found")
	}
}

func TestNear(t *testing.T) {
	const c = 0.7978845608028654
	for _, x := range []struct {
		c    *tensor.Tensor
		want bool
	}{
		{tensor.Scalar(float32(c)), true}, {tensor.Scalar(c), true}, {tensor.Scalar(tensor.F16Of(c)), true}, {tensor.Scalar(tensor.BF16Of(c)), true},
		{tensor.Scalar(float32(0.7979)), false}, {tensor.Scalar(tensor.F16Of(0.799)), false}, {tensor.Scalar(int64(1)), false},
	} {
		got := fits(t, Op("Neg", Near(c)), func(b *ops.Builder) *onnx.Value { return b.Op("Neg", nil, b.Const(x.c)) })
		if got != x.want {
			t.Errorf("%v: %v", x.c, got)
		}
	}
}

func TestAlternativesOfAlternatives(t *testing.T) {
	p := AnyOf(AnyOf(Op("Neg", Var("x")), Op("Abs", Var("x"))), Op("Exp", Var("x")))
	for _, op := range []string{"Neg", "Abs", "Exp"} {
		if !fits(t, p, func(b *ops.Builder) *onnx.Value { return b.Op(op, nil, in(b, "x", 2)) }) {
			t.Errorf("%s is not found", op)
		}
	}
}

// TestAlso replaces the output of a second node, unless something reads it earlier.
func TestAlso(t *testing.T) {
	r := &Rule{
		Name: "both", Pattern: Op("Add", Op("Exp", Var("x")).As("e").Shared(), Var("y")),
		Rewrite: func(m *Match, b *ops.Builder) []*onnx.Value {
			e := b.Op("Exp", nil, b.Op("Identity", nil, m.Var("x")))
			m.Also(m.Node("e").Out[0], e)
			return b.Ops("", "Sub", nil, 1, e, b.Op("Neg", nil, m.Var("y")))
		},
	}
	for _, early := range []bool{false, true} {
		m := graphModel(t, 21, func(b *ops.Builder) {
			e, y := b.Op("Exp", nil, in(b, "x", 2)), in(b, "y", 2)
			if early {
				y = b.Op("Sqrt", nil, e)
			}
			ret(b, b.Op("Neg", nil, b.Op("Add", nil, e, y)), e)
		})
		s := newState(t, m, Options{Check: true})
		if err := s.apply(indexOf([]*Rule{r})); err != nil {
			t.Fatal(err)
		}
		if got := s.report.Counts["both"]; (got == 0) != early {
			t.Errorf("early reader %v: %d rewrites", early, got)
		}
	}
}
