package optimize

import (
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// A Relu or Clip is dropped before a QuantizeLinear only where integers end at its bounds anyway.
func TestQuantizeBounds(t *testing.T) {
	relu := func(b *ops.Builder, x *onnx.Value) *onnx.Value { return b.Op("Relu", nil, x) }
	clip := func(lo, hi float64) func(b *ops.Builder, x *onnx.Value) *onnx.Value {
		return func(b *ops.Builder, x *onnx.Value) *onnx.Value { return b.Op("Clip", nil, x, f32(b, lo), f32(b, hi)) }
	}
	for i, c := range []struct {
		act     func(b *ops.Builder, x *onnx.Value) *onnx.Value
		zero    any
		dropped int
	}{
		{relu, uint8(0), 1},
		{relu, uint8(3), 0},
		{relu, int8(-128), 1},
		{relu, int8(-127), 0},
		{clip(0, 25.5), uint8(0), 1},
		{clip(0, 25.4), uint8(0), 0},
		{clip(0, 6), uint8(0), 0},
		{clip(-10, 20), uint8(100), 1},
		{func(b *ops.Builder, x *onnx.Value) *onnx.Value { return b.Op("Clip", nil, x, in(b, "lo")) }, uint8(0), 0},
	} {
		m := graphModel(t, 21, func(b *ops.Builder) {
			var zero *onnx.Value
			switch z := c.zero.(type) {
			case uint8:
				zero = b.Const(tensor.Scalar(z))
			case int8:
				zero = b.Const(tensor.Scalar(z))
			}
			x := b.Op("Sin", nil, in(b, "x", 2, 3))
			ret(b, b.Op("QuantizeLinear", nil, c.act(b, x), f32(b, 0.1), zero))
		})
		r, err := Run(m, Machine, Options{Check: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Counts["qdq-bounds"]; got != c.dropped {
			t.Errorf("case %d: dropped %d, want %d: %v", i, got, c.dropped, r)
		}
	}
}
