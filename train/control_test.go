package train

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// nested makes a graph nested in b's, whose nodes may read b's values.
func nested(b *ops.Builder, in []onnx.Type, build func(b *ops.Builder, in []*onnx.Value) []*onnx.Value) *onnx.Graph {
	g := b.G.NewBody("body")
	for _, t := range in {
		g.AddInput(b.G.FreshName("in"), t)
	}
	nb := newBuilder(g)
	outs := build(nb, g.Inputs)
	nb.Insert(nil)
	g.Outputs = outs
	if nb.Err() != nil {
		b.Fail(nb.Err())
	}
	return g
}

func sumOf(b *ops.Builder, v *onnx.Value) *onnx.Value {
	return b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), v)
}

// weighed sums a value with factors that differ, so that no element's gradient is another's.
func weighed(b *ops.Builder, v *onnx.Value, seed uint64) *onnx.Value {
	dims, _ := v.Type.Static()
	return sumOf(b, b.Op("Mul", nil, v, b.Const(optest.Normal(seed, dims...))))
}

func float64s(dims ...int) onnx.Type { return onnx.TensorType(tensor.Float64, onnx.Sizes(dims...)...) }

func scalarOf(d tensor.DType) onnx.Type { return onnx.TensorType(d) }

func TestGradientOfIf(t *testing.T) {
	for _, taken := range []float64{-100, 100} {
		in := map[string]*tensor.Tensor{"x": optest.Normal(1, 2, 3), "w": optest.Normal(2, 3), "v": optest.Normal(3, 2, 3)}
		check(t, in, []string{"x", "w", "v"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
			x, w, v := in[0], in[1], in[2]
			cond := b.Op("Greater", nil, sumOf(b, x), b.Float(tensor.Float64, taken))
			y := b.Op("Mul", nil, x, w)
			then := nested(b, nil, func(b *ops.Builder, _ []*onnx.Value) []*onnx.Value {
				return []*onnx.Value{b.Op("Exp", nil, y), b.Op("Identity", nil, v)} // w only through y
			})
			other := nested(b, nil, func(b *ops.Builder, _ []*onnx.Value) []*onnx.Value {
				// The definition of Swish takes its place in here as well.
				return []*onnx.Value{b.Op("Swish", nil, b.Op("Mul", nil, x, x)), y}
			})
			out := b.Ops("", "If", onnx.NewAttrs("then_branch", then, "else_branch", other), 2, cond)
			return b.Op("Add", nil, b.Op("Add", nil, sumOf(b, out[0]), sumOf(b, b.Op("Mul", nil, out[1], out[1]))), sumOf(b, b.Op("Mul", nil, v, w)))
		})
	}
}

// recurrence is a Scan over x [5, 2, 3] or [2, 3, 5] with a state, an output for
// each step, weights that its body captures, and a state that only counts.
func recurrence(axes, directions bool) func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
	return func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		x, h, u, w := in[0], in[1], in[2], in[3]
		body := nested(b, []onnx.Type{float64s(2, 4), scalarOf(tensor.Float64), float64s(2, 3)}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			steps := b.Op("Add", nil, in[1], b.Float(tensor.Float64, 1))
			next := b.Op("Tanh", nil, b.Op("Add", nil, b.Op("MatMul", nil, in[2], u), b.Op("MatMul", nil, in[0], w)))
			return []*onnx.Value{next, steps, b.Op("Mul", nil, b.Op("Mul", nil, next, next), steps), in[0]}
		})
		as := onnx.NewAttrs("body", body, "num_scan_inputs", 1)
		if axes {
			as = as.Set("scan_input_axes", []int{-1}).Set("scan_output_axes", []int{1, 0})
		}
		if directions {
			as = as.Set("scan_input_directions", []int{1}).Set("scan_output_directions", []int{1, 0})
		}
		out := b.Ops("", "Scan", as, 4, h, b.Float(tensor.Float64, 0), x)
		loss := b.Op("Add", nil, weighed(b, out[0], 10), weighed(b, out[2], 11))
		return b.Op("Add", nil, loss, weighed(b, out[3], 12))
	}
}

func TestGradientOfScan(t *testing.T) {
	for i := range 4 {
		shape := []int{5, 2, 3}
		if i%2 == 1 {
			shape = []int{2, 3, 5}
		}
		in := map[string]*tensor.Tensor{"x": optest.Normal(1, shape...), "h": optest.Normal(2, 2, 4), "u": optest.Normal(3, 3, 4), "w": optest.Normal(4, 4, 4)}
		check(t, in, []string{"x", "h", "u", "w"}, recurrence(i%2 == 1, i >= 2))
	}
}

// A loop that nothing but the condition of its body ends, and one of a fixed number
// of iterations, whose number is in the result.
func TestGradientOfLoop(t *testing.T) {
	for _, early := range []bool{false, true} {
		in := map[string]*tensor.Tensor{"x": optest.Between(1, 0.5, 1, 3), "w": optest.Between(2, 1.1, 1.5, 3)}
		check(t, in, []string{"x", "w"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
			w := in[1]
			body := nested(b, []onnx.Type{scalarOf(tensor.Int64), scalarOf(tensor.Bool), float64s(3)}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
				number := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float64)), in[0])
				next := b.Op("Add", nil, b.Op("Mul", nil, in[2], w), b.Op("Mul", nil, number, b.Op("Tanh", nil, in[2])))
				cond := in[1]
				if early {
					cond = b.Op("Less", nil, sumOf(b, next), b.Float(tensor.Float64, 9))
				}
				return []*onnx.Value{b.Op("Identity", nil, cond), next, b.Op("Mul", nil, next, w)}
			})
			trips := b.Const(tensor.Scalar(int64(4)))
			if early {
				trips = nil
			}
			out := b.Ops("", "Loop", onnx.NewAttrs("body", body), 2, trips, b.Const(tensor.Scalar(true)), in[0])
			last := b.Op("Mul", nil, out[0], b.Const(optest.Normal(5, 3)))
			return b.Op("Add", nil, sumOf(b, last), sumOf(b, b.Op("Mul", nil, out[1], out[1])))
		})
	}
}

// A loop in a branch in a loop.
func TestGradientOfNestedControl(t *testing.T) {
	in := map[string]*tensor.Tensor{"x": optest.Normal(1, 3), "w": optest.Normal(2, 3)}
	check(t, in, []string{"x", "w"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
		w := in[1]
		types := []onnx.Type{scalarOf(tensor.Int64), scalarOf(tensor.Bool), float64s(3)}
		outer := nested(b, types, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			number, cond, h := in[0], in[1], in[2]
			twice := nested(b, nil, func(b *ops.Builder, _ []*onnx.Value) []*onnx.Value {
				inner := nested(b, types, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
					return []*onnx.Value{b.Op("Identity", nil, in[1]), b.Op("Tanh", nil, b.Op("Add", nil, b.Op("Mul", nil, in[2], w), h))}
				})
				return b.Ops("", "Loop", onnx.NewAttrs("body", inner), 1, b.Const(tensor.Scalar(int64(2))), nil, h)
			})
			once := nested(b, nil, func(b *ops.Builder, _ []*onnx.Value) []*onnx.Value {
				return []*onnx.Value{b.Op("Tanh", nil, b.Op("Add", nil, h, w))}
			})
			even := b.Op("Equal", nil, number, b.Const(tensor.Scalar(int64(1))))
			next := b.Ops("", "If", onnx.NewAttrs("then_branch", twice, "else_branch", once), 1, even)[0]
			return []*onnx.Value{b.Op("Identity", nil, cond), next}
		})
		return sumOf(b, b.Ops("", "Loop", onnx.NewAttrs("body", outer), 1, b.Const(tensor.Scalar(int64(3))), nil, in[0])[0])
	})
}

func TestGradientOfControlErrors(t *testing.T) {
	in := map[string]*tensor.Tensor{"x": optest.Normal(1, 3)}
	of := func(build func(b *ops.Builder, x *onnx.Value) *onnx.Value) error {
		m, loss := graph(t, in, []string{"x"}, func(b *ops.Builder, in []*onnx.Value) *onnx.Value {
			branch := func() *onnx.Graph {
				return nested(b, nil, func(b *ops.Builder, _ []*onnx.Value) []*onnx.Value { return []*onnx.Value{build(b, in[0])} })
			}
			return sumOf(b, b.Ops("", "If", onnx.NewAttrs("then_branch", branch(), "else_branch", branch()), 1, b.Const(tensor.Scalar(true)))[0])
		})
		_, err := Gradient(m, loss, nil, m.Graph.Inputs)
		return err
	}
	err := of(func(b *ops.Builder, x *onnx.Value) *onnx.Value {
		return b.Op("Add", nil, x, b.Op("RandomNormalLike", nil, x))
	})
	require.ErrorIs(t, err, ops.ErrUnsupported)
	require.ErrorContains(t, err, "random numbers")
	err = of(func(b *ops.Builder, x *onnx.Value) *onnx.Value {
		return b.Op("SequenceAt", nil, b.Op("SequenceConstruct", nil, x, x), b.Const(tensor.Scalar(int64(7)))) // no such element
	})
	require.ErrorIs(t, err, ops.ErrUnsupported)
	require.ErrorContains(t, err, "SequenceAt")
	require.ErrorContains(t, err, "If")
}
