package optimize

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestParallel: branches that are added become one convolution, and only those that see the same places.
func TestParallel(t *testing.T) {
	conv := func(b *ops.Builder, x *onnx.Value, kernel, pad, stride int, in ...*onnx.Value) *onnx.Value {
		in = append([]*onnx.Value{x, floats(b, 6, 6, kernel, kernel)}, in...)
		return b.Op("Conv", onnx.NewAttrs("pads", []int{pad, pad, pad, pad}, "strides", []int{stride, stride}), in...)
	}
	norm := func(b *ops.Builder, x *onnx.Value) *onnx.Value {
		return b.Op("BatchNormalization", nil, x, floats(b, 6), floats(b, 6), floats(b, 6), floats(b, 6))
	}
	for _, c := range []struct {
		name        string
		convs, adds int
		build       func(b *ops.Builder, x *onnx.Value) *onnx.Value
	}{
		{"three branches, each normalized", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Add", nil, norm(b, conv(b, x, 3, 1, 1)), norm(b, conv(b, x, 1, 0, 1)))
			return b.Op("Add", nil, y, norm(b, x))
		}},
		{"factors first", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Add", nil, norm(b, x), conv(b, x, 1, 0, 1))
			return b.Op("Add", nil, b.Op("Add", nil, y, conv(b, x, 5, 2, 1)), conv(b, x, 3, 1, 1, floats(b, 6)))
		}},
		{"something else between", 1, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Add", nil, conv(b, x, 1, 0, 1), b.Op("Abs", nil, x))
			return b.Op("Add", nil, y, conv(b, x, 3, 1, 1))
		}},
		{"two inputs", 2, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			z := b.Op("Abs", nil, x)
			y := b.Op("Add", nil, conv(b, x, 1, 0, 1), conv(b, z, 1, 0, 1))
			return b.Op("Add", nil, b.Op("Add", nil, y, conv(b, z, 3, 1, 1)), norm(b, x))
		}},
		{"channels apart with their input, normalized", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			own := func(kernel, pad int) *onnx.Value {
				return b.Op("Conv", onnx.NewAttrs("pads", []int{pad, pad, pad, pad}, "group", 6), x, floats(b, 6, 1, kernel, kernel))
			}
			return norm(b, b.Op("Add", nil, b.Op("Add", nil, own(3, 1), own(1, 0)), x))
		}},
		{"the input of a convolution of all channels", 1, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return b.Op("Add", nil, conv(b, x, 3, 1, 1), x)
		}},
		{"strides", 1, 0, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return b.Op("Add", nil, conv(b, x, 1, 0, 2), conv(b, x, 3, 1, 2))
		}},
		{"other strides", 2, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Slice", nil, conv(b, x, 3, 1, 1), b.Ints(0, 0), b.Ints(4, 4), b.Ints(2, 3))
			return b.Op("Add", nil, conv(b, x, 1, 0, 2), y)
		}},
		{"the sum of one row broadcast", 2, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return b.Op("Add", nil, conv(b, x, 8, 0, 1), conv(b, x, 3, 1, 1))
		}},
		{"a convolution that others read", 2, 2, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := conv(b, x, 1, 0, 1)
			return b.Op("Add", nil, b.Op("Add", nil, y, conv(b, x, 3, 1, 1)), b.Op("Exp", nil, b.Op("Neg", nil, b.Op("Abs", nil, y))))
		}},
		{"a factor before strides", 1, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			y := b.Op("Slice", nil, norm(b, x), b.Ints(0, 0), b.Ints(4, 4), b.Ints(2, 3))
			return b.Op("Add", nil, conv(b, x, 3, 1, 2), y)
		}},
		{"weights that are not a number", 2, 1, func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			w := floats(b, 6, 6, 1, 1)
			tensor.Data[float32](w.Const)[5] = float32(math.Inf(1))
			return b.Op("Add", nil, conv(b, x, 3, 1, 1), b.Op("Conv", nil, x, w))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			build := func(b *ops.Builder) { ret(b, c.build(b, in(b, "x", 2, 6, 8, 8))) }
			before, m := graphModel(t, 20, build), graphModel(t, 20, build)
			if _, err := Run(m, Portable, Options{Check: true}); err != nil {
				t.Fatal(err)
			}
			count := map[string]int{}
			for _, n := range m.Graph.Nodes {
				count[n.Op]++
			}
			if count["Conv"] != c.convs || count["Add"] != c.adds {
				t.Errorf("%v, want %d Conv and %d Add", count, c.convs, c.adds)
			}
			same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(1, 2)))
		})
	}
}
