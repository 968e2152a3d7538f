package optimize

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestHalves runs all passes over models whose constants converters have made float16: bounds
// and factors of two's powers, which round nothing, belong to the convolution or product before them, as those of float32 do. Other factors stay where products do.
func TestHalves(t *testing.T) {
	half := func(b *ops.Builder, v *onnx.Value) *onnx.Value {
		c := tensor.New(tensor.Float16, v.Const.Shape()...)
		for i, x := range tensor.Data[float32](v.Const) {
			tensor.Data[tensor.F16](c)[i] = tensor.F16Of(x)
		}
		return b.Const(c)
	}
	to := onnx.NewAttrs("to", tensor.Float16)
	for name, f := range map[string]func(b *ops.Builder) *onnx.Value{
		"clip": func(b *ops.Builder) *onnx.Value {
			y := b.Op("Conv", nil, b.Op("Cast", to, in(b, "x", 1, 1, 6, 6)), half(b, floats(b, 1, 1, 3, 3)))
			return b.Op("Clip", nil, y, b.Float(tensor.Float16, -0.5), b.Float(tensor.Float16, 0.75))
		},
		"scale": func(b *ops.Builder) *onnx.Value {
			y := b.Op("MatMul", nil, b.Op("Mul", nil, b.Op("Cast", to, in(b, "x", 2, 3, 4)), b.Float(tensor.Float16, 0.5)), half(b, floats(b, 4, 5)))
			return b.Op("Div", nil, y, b.Float(tensor.Float16, 4))
		},
		"a third": func(b *ops.Builder) *onnx.Value {
			y := b.Op("MatMul", nil, b.Op("Cast", to, in(b, "x", 2, 3, 4)), half(b, floats(b, 4, 5)))
			return b.Op("Mul", nil, y, b.Float(tensor.Float16, 1./3))
		},
	} {
		build := func(b *ops.Builder) { ret(b, f(b)) }
		before, m := graphModel(t, 17, build), graphModel(t, 17, build)
		left := map[string]int{"a third": 1}[name]
		if _, err := Run(m, Machine, Options{Check: true, Disable: []string{"precision"}}); err != nil {
			t.Fatal(name, err)
		}
		for _, n := range m.Graph.Nodes {
			if n.Op == "Clip" || n.Op == "Mul" || n.Op == "Div" {
				left--
			}
		}
		if left != 0 {
			t.Errorf("%s: %d operators too few are left", name, left)
		}
		same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(1, 2)))
	}
}
