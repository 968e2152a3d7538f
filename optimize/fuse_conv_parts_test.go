package optimize

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestConvParts: Concat goes where all that reads it can read its parts, and stays elsewhere.
func TestConvParts(t *testing.T) {
	conv := func(b *ops.Builder, x *onnx.Value, kernel, channels int, as onnx.Attrs) *onnx.Value {
		w := floats(b, 16, channels, kernel, kernel)
		for i := range tensor.Data[float32](w.Const) {
			tensor.Data[float32](w.Const)[i] /= 64
		}
		return b.Op("Relu", nil, b.Op("Conv", as, x, w, floats(b, 16)))
	}
	three := func(b *ops.Builder, x *onnx.Value, channels int) *onnx.Value {
		return conv(b, x, 3, channels, onnx.NewAttrs("pads", []int{1, 1, 1, 1}))
	}
	for _, c := range []struct {
		name            string
		concats, splits int
		build           func(b *ops.Builder, x *onnx.Value) *onnx.Value
	}{
		{"pixels", 0, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return conv(b, b.Op("Concat", onnx.NewAttrs("axis", 1), three(b, x, 32), x), 1, 48, nil)
		}},
		{"taps", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return three(b, b.Op("Concat", onnx.NewAttrs("axis", 1), three(b, x, 32), x), 48)
		}},
		{"strides", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return conv(b, b.Op("Concat", onnx.NewAttrs("axis", 1), three(b, x, 32), x), 1, 48, onnx.NewAttrs("strides", []int{2, 2}))
		}},
		{"rows", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return conv(b, b.Op("Concat", onnx.NewAttrs("axis", 2), three(b, x, 32), three(b, x, 32)), 1, 16, nil)
		}},
		{"few channels", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Conv", nil, x, floats(b, 9, 32, 1, 1))
			return conv(b, b.Op("Concat", onnx.NewAttrs("axis", 1), y, x), 1, 41, nil)
		}},
		{"another reader", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Concat", onnx.NewAttrs("axis", 1), three(b, x, 32), x)
			return b.Op("Add", nil, conv(b, y, 1, 48, nil), three(b, y, 48))
		}},
		{"another reader, pooled", 0, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Concat", onnx.NewAttrs("axis", 1), three(b, x, 32), x)
			p := b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1}), y)
			return b.Op("Add", nil, conv(b, y, 1, 48, nil), conv(b, p, 1, 48, nil))
		}},
		{"a pooling that others read", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Concat", onnx.NewAttrs("axis", 1), three(b, x, 32), x)
			p := b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1}), y)
			return b.Op("Add", nil, b.Op("Add", nil, conv(b, y, 1, 48, nil), conv(b, p, 1, 48, nil)), three(b, p, 48))
		}},
		{"normalized", 0, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Concat", onnx.NewAttrs("axis", 1), three(b, x, 32), x)
			y = b.Op("BatchNormalization", nil, y, floats(b, 48), floats(b, 48), floats(b, 48), floats(b, 48))
			return three(b, b.Op("Relu", nil, y), 48)
		}},
		{"normalized, not by vectors", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Concat", onnx.NewAttrs("axis", 1), b.Op("Conv", nil, x, floats(b, 24, 32, 1, 1)), b.Op("Conv", nil, x, floats(b, 24, 32, 1, 1)))
			y = b.Op("BatchNormalization", nil, y, floats(b, 48), floats(b, 48), floats(b, 48), floats(b, 48))
			return three(b, b.Op("Relu", nil, y), 48)
		}},
		{"a factor for each column", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Concat", onnx.NewAttrs("axis", 1), three(b, x, 32), x)
			y = b.Op("Add", nil, b.Op("Mul", nil, y, floats(b, 48, 1, 8)), floats(b, 48, 1, 1))
			return three(b, b.Op("Relu", nil, y), 48)
		}},
		{"what was split", 0, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			part := b.Ops("", "Split", onnx.NewAttrs("axis", 1), 2, three(b, x, 32), b.Ints(8, 8))
			return conv(b, b.Op("Concat", onnx.NewAttrs("axis", 1), part[0], part[1], three(b, part[1], 8)), 1, 32, nil)
		}},
		{"what was split, in another order", 1, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			part := b.Ops("", "Split", onnx.NewAttrs("axis", 1), 2, three(b, x, 32), b.Ints(8, 8))
			return conv(b, b.Op("Concat", onnx.NewAttrs("axis", 1), part[1], part[0], three(b, part[1], 8)), 1, 32, nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			build := func(b *ops.Builder) { ret(b, c.build(b, in(b, "x", 1, 32, 9, 8))) }
			before, m := graphModel(t, 20, build), graphModel(t, 20, build)
			if _, err := Run(m, Machine, Options{Check: true}); err != nil {
				t.Fatal(err)
			}
			count := map[string]int{}
			for _, n := range m.Graph.Nodes {
				count[n.Op]++
			}
			if count["Concat"] != c.concats || count["Split"] != c.splits {
				t.Errorf("%v, want %d Concat and %d Split\n%s", count, c.concats, c.splits, graphText(m))
			}
			same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(7, 8)))
		})
	}
}
