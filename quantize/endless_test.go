package quantize

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// masked is a Softmax over a product with -∞ where x is below 0, and a product of that.
func masked(mask float32) *onnx.Model {
	return model(func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(16)))
		w := b.Op("MatMul", nil, x, b.Const(weights(1, 16, 16)))
		m := b.Op("Where", nil, b.Op("Less", nil, x, b.Float(tensor.Float32, 0)), b.Float(tensor.Float32, float64(mask)), w)
		s := b.Op("Softmax", nil, m)
		y := b.Op("MatMul", nil, s, b.Const(weights(2, 16, 16)))
		w.Name, m.Name, s.Name, y.Name = "w", "m", "s", "y"
		return []*onnx.Value{y}
	})
}

func rowsOf(seed uint64, n int) data.Batch {
	t := weights(seed, n, 16)
	for i := range n {
		tensor.Data[float32](t)[i*16] = 1 // a row that is masked whole has no Softmax
	}
	return data.Batch{Inputs: map[string]*tensor.Tensor{"x": t}}
}

func TestCalibrateInfiniteMask(t *testing.T) {
	for _, method := range []Method{MinMax, MovingAverage, Percentile, Entropy, MSE} {
		m := masked(float32(math.Inf(-1)))
		r, err := Calibrate(context.Background(), m, data.Of(rowsOf(1, 8), rowsOf(2, 8)), CalibrateConfig{Method: method})
		require.NoError(t, err, method)
		require.True(t, math.IsInf(float64(r["m"].Lo), -1) && finite(r["m"].Hi), "%v: %v", method, r["m"])
		for _, name := range []string{"x", "w", "s", "y"} {
			require.True(t, finite(r[name].Lo) && finite(r[name].Hi), "%v: %s: %v", method, name, r[name])
		}
		s, err := Static(m, r, StaticConfig{})
		require.NoError(t, err)
		done := 0
		for _, c := range s.Changes {
			if c.Op == "MatMul" {
				require.Empty(t, c.Reason)
				done++
			}
		}
		require.Equal(t, 2, done)
	}
	// A NaN is a mistake wherever it comes from, and so is infinity that no constant brings.
	_, err := Calibrate(context.Background(), masked(float32(math.NaN())), data.Of(rowsOf(1, 8)), CalibrateConfig{})
	require.ErrorContains(t, err, "NaN")
	b := rowsOf(1, 8)
	tensor.Data[float32](b.Inputs["x"])[3] = float32(math.Inf(1))
	_, err = Calibrate(context.Background(), masked(float32(math.Inf(-1))), data.Of(b), CalibrateConfig{})
	require.ErrorContains(t, err, "infinite")
}

// Infinity comes out of nested graphs, goes round in loops, and ends at a Softmax.
func TestEndlessValues(t *testing.T) {
	inf := tensor.Scalar(float32(math.Inf(1)))
	g := onnx.NewGraph("main", map[string]int{"": 21})
	b := ops.NewBuilder(g)
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(4)))
	cond := g.AddInput("c", onnx.TensorType(tensor.Bool))
	branch := func(y *tensor.Tensor) *onnx.Graph {
		h := onnx.NewGraph("branch", g.Opsets)
		h.Outer = g
		k := ops.NewBuilder(h)
		v := k.Op("Add", nil, x, k.Const(y))
		k.Insert(nil)
		h.Outputs = []*onnx.Value{v}
		return h
	}
	y := b.Op("If", onnx.NewAttrs("then_branch", branch(inf), "else_branch", branch(tensor.Scalar(float32(1)))), cond)
	plain := b.Op("If", onnx.NewAttrs("then_branch", branch(tensor.Scalar(float32(2))), "else_branch", branch(tensor.Scalar(float32(1)))), cond)
	z := b.Op("Neg", nil, y)
	s := b.Op("Softmax", nil, z)
	filled := b.Op("ConstantOfShape", onnx.NewAttrs("value", tensor.Of([]float32{float32(math.Inf(-1))}, 1)), b.Ints(4))
	require.NoError(t, b.Err())
	b.Insert(nil)
	e := endlessValues(g)
	require.True(t, e[y] && e[z] && e[filled])
	require.False(t, e[x] || e[s] || e[plain])
}
