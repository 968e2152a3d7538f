package train

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Sequences whose elements are known have the gradients of these.
func TestGradientOfSequences(t *testing.T) {
	at := func(b *ops.Builder, v int64) *onnx.Value { return b.Const(tensor.Scalar(v)) }
	cat := onnx.NewAttrs("axis", 0)
	for name, build := range map[string]func(b *ops.Builder, x, y *onnx.Value) *onnx.Value{
		"construct, insert, erase, at": func(b *ops.Builder, x, y *onnx.Value) *onnx.Value {
			s := b.Op("SequenceConstruct", nil, x, y)
			s = b.Op("SequenceInsert", nil, s, b.Op("Exp", nil, x), at(b, -1)) // x, exp x, y
			s = b.Op("SequenceInsert", nil, s, b.Op("Sin", nil, y))            // and sin y
			s = b.Op("SequenceErase", nil, s, at(b, 0))
			return b.Op("Mul", nil, b.Op("SequenceAt", nil, s, at(b, 0)), b.Op("SequenceAt", nil, s, at(b, -1)))
		},
		"empty, last": func(b *ops.Builder, x, y *onnx.Value) *onnx.Value {
			s := b.Op("SequenceInsert", nil, b.Op("SequenceEmpty", onnx.NewAttrs("dtype", tensor.Float64)), x)
			s = b.Op("SequenceErase", nil, b.Op("SequenceInsert", nil, s, y))
			return b.Op("Mul", nil, y, b.Op("SequenceAt", nil, s, at(b, -1)))
		},
		"split of one, stacked": func(b *ops.Builder, x, y *onnx.Value) *onnx.Value {
			s := b.Op("SplitToSequence", onnx.NewAttrs("axis", 1, "keepdims", 0), b.Op("Mul", nil, x, y))
			return b.Op("ConcatFromSequence", onnx.NewAttrs("axis", -1, "new_axis", 1), s)
		},
		"split by a size, concatenated": func(b *ops.Builder, x, y *onnx.Value) *onnx.Value {
			s := b.Op("SplitToSequence", onnx.NewAttrs("axis", -1), x, at(b, 3))
			u := b.Op("SplitToSequence", onnx.NewAttrs("axis", -1), y, b.Ints(3, 1))
			return b.Op("Mul", nil, b.Op("ConcatFromSequence", onnx.NewAttrs("axis", 1), s), b.Op("SequenceAt", nil, u, at(b, -1)))
		},
		"optional": func(b *ops.Builder, x, y *onnx.Value) *onnx.Value {
			o := b.Op("OptionalGetElement", nil, b.Op("Optional", nil, x))
			s := b.Op("OptionalGetElement", nil, b.Op("Optional", nil, b.Op("SequenceConstruct", nil, y, y)))
			return b.Op("Concat", cat, o, b.Op("ConcatFromSequence", cat, b.Op("Identity", nil, s)))
		},
		"map": func(b *ops.Builder, x, y *onnx.Value) *onnx.Value {
			g := b.G.NewBody("body")
			c := newBuilder(g)
			e, w := g.AddInput("e", onnx.UnrankedType(tensor.Float64)), g.AddInput("w", onnx.UnrankedType(tensor.Float64))
			g.Outputs = []*onnx.Value{c.Op("Mul", nil, c.Op("Sin", nil, e), w), c.Op("Add", nil, e, x)}
			c.Insert(nil)
			s := b.Op("SplitToSequence", onnx.NewAttrs("axis", 0), x)
			m := b.Ops("", "SequenceMap", onnx.NewAttrs("body", g), 2, s, b.Op("Cos", nil, y))
			return b.Op("Mul", nil, b.Op("ConcatFromSequence", cat, m[0]), b.Op("ConcatFromSequence", cat, m[1]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := map[string]*tensor.Tensor{"x": optest.Normal(1, 2, 4), "y": optest.Normal(2, 2, 4)}
			check(t, in, []string{"x", "y"}, func(b *ops.Builder, x []*onnx.Value) *onnx.Value {
				y := build(b, x[0], x[1])
				return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Mul", nil, y, b.Op("Sin", nil, y)))
			})
		})
	}
}

// A position that is only known at run time leaves the sequence, which has no gradient.
func TestGradientOfUnknownPosition(t *testing.T) {
	in := map[string]*tensor.Tensor{"x": optest.Normal(1, 2), "y": optest.Normal(2, 2)}
	for _, position := range []int64{5, -3} {
		m, loss := graph(t, in, []string{"x", "y"}, func(b *ops.Builder, x []*onnx.Value) *onnx.Value {
			s := b.Op("SequenceConstruct", nil, x...)
			return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("SequenceAt", nil, s, b.Const(tensor.Scalar(position))))
		})
		_, err := Gradient(m, loss, nil, m.Graph.Inputs)
		require.True(t, errors.Is(err, ops.ErrUnsupported), err)
		require.ErrorContains(t, err, "SequenceAt")
	}
}
