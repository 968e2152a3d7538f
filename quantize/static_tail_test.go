package quantize

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// Behind the last products nothing is rounded but what convolutions compute.
func TestStaticTail(t *testing.T) {
	pads := onnx.NewAttrs("pads", []int{1, 1, 1, 1})
	gemm := func(b *ops.Builder, x *onnx.Value, n, k int) *onnx.Value {
		return b.Op("Gemm", nil, x, param(b, "", n, k), param(b, "", k))
	}
	conv := func(b *ops.Builder, x *onnx.Value) *onnx.Value {
		return b.Op("Conv", pads, x, param(b, "", 4, 3, 3, 3), param(b, "", 4))
	}
	for _, c := range []struct {
		name    string
		c       StaticConfig
		build   func(b *ops.Builder) []*onnx.Value
		rounded int    // values
		floats  string // operators that stay
	}{
		{"product", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			return one(gemm(b, b.Op("Relu", nil, gemm(b, input(b, "x", 3, 8), 8, 8)), 8, 5))
		}, 2, ""},
		{"product and bias", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Add", nil, b.Op("MatMul", nil, input(b, "x", 3, 8), param(b, "", 8, 4)), param(b, "", 4)))
		}, 1, "Add"},
		{"product that is read again", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			h := gemm(b, input(b, "x", 3, 8), 8, 8)
			return []*onnx.Value{h, gemm(b, h, 8, 5)}
		}, 2, ""},
		{"branches", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			h := gemm(b, input(b, "x", 3, 8), 8, 8)
			s := b.Op("Softmax", nil, h)
			return []*onnx.Value{b.Op("Reshape", nil, s, b.Ints(-1)), b.Op("ArgMax", nil, h), b.Op("Exp", nil, h)}
		}, 1, "Softmax Reshape Exp"},
		{"choice", StaticConfig{}, func(b *ops.Builder) []*onnx.Value { // of a decoder that goes on with it
			i := b.Op("ArgMax", onnx.NewAttrs("axis", 1, "keepdims", 0), gemm(b, input(b, "x", 3, 8), 8, 8))
			return one(gemm(b, b.Op("Gather", nil, param(b, "", 8, 8), i), 8, 5))
		}, 2, ""},
		{"choice of a convolution", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("ArgMax", nil, conv(b, input(b, "x", 1, 3, 5, 5))))
		}, 2, ""},
		{"convolution", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			return one(conv(b, input(b, "x", 1, 3, 5, 5)))
		}, 2, ""},
		{"function of a convolution", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Tanh", nil, conv(b, input(b, "x", 1, 3, 5, 5))))
		}, 2, "Tanh"},
		{"bounded and moved convolution", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			h := b.Op("Relu", nil, conv(b, input(b, "x", 1, 3, 5, 5)))
			return one(b.Op("Transpose", nil, b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{2, 2}), h)))
		}, 4, ""},
		{"bounded twice", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			h := b.Op("Clip", nil, conv(b, input(b, "x", 1, 3, 5, 5)), b.Float(tensor.Float32, -1), b.Float(tensor.Float32, 2))
			return one(b.Op("Relu", nil, h))
		}, 2, "Relu"},
		{"no product", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Sigmoid", nil, input(b, "x", 3, 8)))
		}, 2, ""},
		{"recurrent", StaticConfig{}, func(b *ops.Builder) []*onnx.Value {
			h := b.Ops("", "GRU", onnx.NewAttrs("hidden_size", 16), 2, input(b, "x", 4, 1, 8), param(b, "", 1, 48, 8), param(b, "", 1, 48, 16))
			return one(b.Op("Sigmoid", nil, h[1]))
		}, 0, "Sigmoid"},
		{"chosen operators", StaticConfig{Selection: Selection{Ops: []string{"Gemm", "Sigmoid"}}}, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Sigmoid", nil, gemm(b, input(b, "x", 3, 8), 8, 5)))
		}, 3, ""},
		{"chosen node", StaticConfig{Selection: Selection{Include: []string{"y0", "g"}}}, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Sigmoid", nil, named("g", gemm(b, input(b, "x", 3, 8), 8, 5))))
		}, 3, ""},
		{"chosen product", StaticConfig{Selection: Selection{Include: []string{"g"}}}, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Sigmoid", nil, named("g", gemm(b, input(b, "x", 3, 8), 8, 5))))
		}, 1, "Sigmoid"},
		{"left out", StaticConfig{Selection: Selection{Exclude: []string{"y0"}}}, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Sigmoid", nil, gemm(b, input(b, "x", 3, 8), 8, 5)))
		}, 1, "Sigmoid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel(t, 17, c.build)
			q, s := quantised(t, m, c.c)
			rounded, floats := 0, ""
			for _, n := range q.Graph.Nodes {
				if n.Op == "QuantizeLinear" {
					rounded++
				}
			}
			for _, x := range s.Changes {
				if x.Reason == "" {
					continue
				}
				if floats != "" {
					floats += " "
				}
				floats += x.Op
			}
			require.Equal(t, c.rounded, rounded, opsOf(q))
			require.Equal(t, c.floats, floats)
			requireNear(t, m, q, optimize.None, 0.15, 1)
			requireNear(t, m, q, optimize.Best, 0.15, 1)
		})
	}
}
