package optimize

import (
	"math"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestBounds(t *testing.T) {
	inf := math.Inf(1)
	low := -float64(float32(math.MaxFloat32))
	for name, x := range map[string]struct {
		f                func(b *ops.Builder) *onnx.Value
		lo, hi, lo0, hi0 float64 // of all elements, and of the first of each row
	}{
		"input": {func(b *ops.Builder) *onnx.Value { return in(b, "x", 2) }, -inf, inf, -inf, inf},
		"padding": {func(b *ops.Builder) *onnx.Value {
			c := b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), inOf(b, tensor.Int64, "m", 2, 5))
			return b.Op("Mul", nil, b.Op("Sub", nil, f32(b, 1), c), f32(b, low))
		}, low, inf, low, inf},
		"causal": {func(b *ops.Builder) *onnx.Value {
			m := b.Op("Expand", nil, f32(b, -inf), b.Ints(5, 5))
			return b.Op("Unsqueeze", nil, b.Op("Trilu", nil, m, b.Const(tensor.Scalar(int64(1)))), b.Ints(0))
		}, -inf, 0, 0, 0},
		"lower": {func(b *ops.Builder) *onnx.Value {
			m := b.Op("Trilu", onnx.NewAttrs("upper", 0), b.Op("Expand", nil, f32(b, 1), b.Ints(5, 5)))
			return b.Op("Where", nil, b.Op("Equal", nil, m, f32(b, 0)), f32(b, -inf), f32(b, 0))
		}, -inf, 0, 0, 0},
		"positions": {func(b *ops.Builder) *onnx.Value {
			n := inOf(b, tensor.Int64, "n")
			zero, one := b.Const(tensor.Scalar(int64(0))), b.Const(tensor.Scalar(int64(1)))
			p := b.Op("Range", nil, zero, n, one)
			c := b.Op("LessOrEqual", nil, b.Op("Unsqueeze", nil, p, b.Ints(0)), b.Op("Unsqueeze", nil, p, b.Ints(1)))
			return b.Op("Where", nil, c, f32(b, 0), f32(b, -inf))
		}, -inf, 0, 0, 0},
		"late start": {func(b *ops.Builder) *onnx.Value {
			return b.Op("Trilu", nil, in(b, "x", 5, 5), b.Const(tensor.Scalar(int64(0))))
		}, -inf, inf, -inf, inf},
		"turned": {func(b *ops.Builder) *onnx.Value { // the first column is a row now
			m := b.Op("Trilu", nil, b.Op("Expand", nil, f32(b, -inf), b.Ints(5, 5)), b.Const(tensor.Scalar(int64(1))))
			return b.Op("Transpose", nil, m)
		}, -inf, 0, -inf, 0},
		"constant": {func(b *ops.Builder) *onnx.Value {
			return b.Const(tensor.Of([]float32{3, float32(-inf), 4, 1}, 2, 2))
		}, -inf, 4, 3, 4},
	} {
		graphModel(t, 21, func(b *ops.Builder) {
			v := x.f(b)
			if lo, hi := bounds(v, false, 40); lo != x.lo || hi != x.hi {
				t.Errorf("%s: %g to %g, want %g to %g", name, lo, hi, x.lo, x.hi)
			}
			if lo, hi := bounds(v, true, 40); lo != x.lo0 || hi != x.hi0 {
				t.Errorf("%s: first %g to %g, want %g to %g", name, lo, hi, x.lo0, x.hi0)
			}
		})
	}
}

// TestAttentionDeclines has products with Softmax between that are not Attention.
func TestAttentionDeclines(t *testing.T) {
	soft := func(b *ops.Builder, axis int, x *onnx.Value) *onnx.Value {
		return b.Op("Softmax", onnx.NewAttrs("axis", axis), x)
	}
	for name, f := range map[string]func(b *ops.Builder, s, v *onnx.Value) *onnx.Value{
		"another axis": func(b *ops.Builder, s, v *onnx.Value) *onnx.Value {
			return b.Op("MatMul", nil, soft(b, 2, s), v)
		},
		"weights are read": func(b *ops.Builder, s, v *onnx.Value) *onnx.Value {
			w := soft(b, -1, s)
			return b.Op("Add", nil, b.Op("MatMul", nil, w, v), b.Op("ReduceSum", nil, w, b.Ints(-1)))
		},
		"mask enlarges": func(b *ops.Builder, s, v *onnx.Value) *onnx.Value {
			return b.Op("MatMul", nil, soft(b, -1, b.Op("Add", nil, s, floats(b, 4, 1, 1, 7))), v)
		},
		"small fill": func(b *ops.Builder, s, v *onnx.Value) *onnx.Value {
			c := inOf(b, tensor.Bool, "c", 5, 7)
			return b.Op("MatMul", nil, soft(b, -1, b.Op("Where", nil, c, s, f32(b, -10))), v)
		},
	} {
		m := graphModel(t, 24, func(b *ops.Builder) {
			s := b.Op("MatMul", nil, in(b, "q", 1, 2, 5, 4), in(b, "k", 1, 2, 4, 7))
			ret(b, f(b, s, in(b, "v", 1, 2, 7, 6)))
		})
		s := newState(t, m, Options{Check: true})
		if err := s.apply(indexOf(attentions)); err != nil {
			t.Fatal(err)
		}
		if s.report.Rewrites > 0 {
			t.Errorf("%s: %v", name, s.report)
		}
	}
}
