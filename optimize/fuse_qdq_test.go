package optimize

import (
	"slices"
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

// Weights of any type that no operator takes as they are become constants, and
// convolutions of bytes take weights of 4 bits.
func TestQuantizedWeights(t *testing.T) {
	weights := func(b *ops.Builder, d tensor.DType, as onnx.Attrs, scales []int, shape ...int) *onnx.Value {
		s := tensor.New(tensor.Float32, scales...)
		for i := range tensor.Data[float32](s) {
			tensor.Data[float32](s)[i] = 0.5
		}
		w := tensor.New(d, shape...)
		for i := range w.Bytes() {
			w.Bytes()[i] = byte(i*11 + 1)
		}
		return b.Op("DequantizeLinear", as, b.Const(w), b.Const(s))
	}
	for name, c := range map[string]struct {
		build func(b *ops.Builder) *onnx.Value
		want  string
	}{
		"blocks of outputs": {func(b *ops.Builder) *onnx.Value {
			w := weights(b, tensor.Int4, onnx.NewAttrs("axis", 0, "block_size", 16), []int{2, 64}, 32, 64)
			return b.Op("Gemm", onnx.NewAttrs("transB", 1), in(b, "x", 8, 64), w)
		}, ""},
		"float8": {func(b *ops.Builder) *onnx.Value {
			return b.Op("MatMul", nil, in(b, "x", 8, 64), weights(b, tensor.Float8E4M3FN, nil, nil, 64, 32))
		}, ""},
		"convolution of floats": {func(b *ops.Builder) *onnx.Value {
			return b.Op("Conv", nil, in(b, "x", 1, 16, 8, 8), weights(b, tensor.Uint4, nil, nil, 8, 16, 3, 3))
		}, ""},
		"convolution of bytes": {func(b *ops.Builder) *onnx.Value {
			y := b.Op("Conv", nil, fakeQuant(b, in(b, "x", 1, 16, 8, 8), 0.03, uint8(128)), weights(b, tensor.Int4, onnx.NewAttrs("axis", 0), []int{8}, 8, 16, 3, 3))
			return fakeQuant(b, y, 0.5, uint8(128))
		}, "x.QLinearConv"},
	} {
		m := graphModel(t, 21, func(b *ops.Builder) { ret(b, c.build(b)) })
		if _, err := Run(m, Machine, Options{}); err != nil {
			t.Fatal(name, err)
		}
		has := func(op string) bool {
			return slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Domain == "" && n.Op == op || n.Domain+"."+n.Op == op })
		}
		if c.want == "" && has("DequantizeLinear") || c.want != "" && !has(c.want) {
			t.Errorf("%s: %v", name, m.Graph.Nodes)
		}
	}
}
