package train

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
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

// Positions that are only known at run time choose among elements of one shape.
func TestGradientOfComputedPositions(t *testing.T) {
	// p reads position v from an input, so nobody can know it before the run.
	for name, c := range map[string]struct {
		from, to int64
		build    func(b *ops.Builder, x, y, p *onnx.Value) *onnx.Value
	}{
		"at": {-3, 2, func(b *ops.Builder, x, y, p *onnx.Value) *onnx.Value {
			return b.Op("SequenceAt", nil, b.Op("SequenceConstruct", nil, x, b.Op("Exp", nil, y), y), p)
		}},
		"insert": {-2, 2, func(b *ops.Builder, x, y, p *onnx.Value) *onnx.Value {
			s := b.Op("SequenceInsert", nil, b.Op("SequenceConstruct", nil, x, y), b.Op("Sin", nil, x), p)
			return b.Op("ConcatFromSequence", onnx.NewAttrs("axis", 0), s)
		}},
		"insert into nothing": {0, 0, func(b *ops.Builder, x, y, p *onnx.Value) *onnx.Value {
			s := b.Op("SequenceInsert", nil, b.Op("SequenceEmpty", onnx.NewAttrs("dtype", tensor.Float64)), b.Op("Mul", nil, x, y), p)
			return b.Op("SequenceAt", nil, s, b.Const(tensor.Scalar(int64(0))))
		}},
		"erase": {-3, 2, func(b *ops.Builder, x, y, p *onnx.Value) *onnx.Value {
			s := b.Op("SequenceErase", nil, b.Op("SequenceConstruct", nil, x, b.Op("Mul", nil, x, y), y), p)
			return b.Op("ConcatFromSequence", onnx.NewAttrs("axis", 0), s)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for v := c.from - 1; v <= c.to+1; v++ {
				in := map[string]*tensor.Tensor{"x": optest.Normal(1, 2, 4), "y": optest.Normal(2, 2, 4)}
				build := func(p func(b *ops.Builder) *onnx.Value) func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
					return func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
						y := c.build(b, in[0], in[1], p(b))
						y = b.Op("Mul", nil, y, b.Op("Sin", nil, y))
						weights := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float64)), b.Op("Range", nil, b.Const(tensor.Scalar(int64(1))), b.Op("Add", nil, b.Op("Size", nil, y), b.Const(tensor.Scalar(int64(1)))), b.Const(tensor.Scalar(int64(1)))))
						// Elements that change places change the loss.
						return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("Add", nil, b.Op("Mul", nil, b.Op("Reshape", nil, y, b.Ints(-1)), weights),
							b.Op("Mul", nil, b.Const(tensor.Scalar(0.0)), b.Op("Add", nil, b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), in[0]), b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), in[1])))))
					}
				}
				hidden := func(b *ops.Builder) *onnx.Value { return b.G.AddInput("p", onnx.TensorType(tensor.Int64)) }
				if c.from <= v && v <= c.to {
					checkWith(t, in, []string{"x", "y"}, map[string]tensor.Value{"p": tensor.Scalar(v)}, build(hidden))
					continue
				}
				m, loss := graph(t, in, []string{"x", "y"}, build(hidden))
				grads, err := Gradient(m, loss, nil, m.Graph.Inputs[:2])
				require.NoError(t, err)
				m.Graph.Outputs = append(m.Graph.Outputs, grads...)
				s, err := runtime.New(m, runtime.Options{Private: true, Threads: 1})
				require.NoError(t, err)
				_, err = s.Run(context.Background(), map[string]tensor.Value{"x": in["x"], "y": in["y"], "p": tensor.Scalar(v)})
				require.Error(t, err, "position %d", v)
				s.Close()
			}
		})
	}
}

// Constant positions that are none leave the sequence, which has no gradient, and so do computed
// ones among elements of several shapes.
func TestGradientOfUnknownPosition(t *testing.T) {
	in := map[string]*tensor.Tensor{"x": optest.Normal(1, 2), "y": optest.Normal(2, 2), "z": optest.Normal(2, 3)}
	constant := func(v int64) func(b *ops.Builder) *onnx.Value {
		return func(b *ops.Builder) *onnx.Value { return b.Const(tensor.Scalar(v)) }
	}
	hidden := func(b *ops.Builder) *onnx.Value { return b.G.AddInput("p", onnx.TensorType(tensor.Int64)) }
	for _, c := range []struct {
		position func(b *ops.Builder) *onnx.Value
		elements []string
	}{{constant(5), []string{"x", "y"}}, {constant(-3), []string{"x", "y"}}, {hidden, []string{"x", "z"}}} {
		m, loss := graph(t, in, c.elements, func(b *ops.Builder, x []*onnx.Value) *onnx.Value {
			s := b.Op("SequenceConstruct", nil, x...)
			return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), b.Op("SequenceAt", nil, s, c.position(b)))
		})
		_, err := Gradient(m, loss, nil, m.Graph.Inputs[:2])
		require.True(t, errors.Is(err, ops.ErrUnsupported), err)
		require.ErrorContains(t, err, "SequenceAt")
		require.ErrorContains(t, err, "positions that are constant and there, or elements of one known shape")
	}
}
