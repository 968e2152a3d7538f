package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXNoise(t *testing.T) {
	noise := func(x *tensor.Tensor, seed int, step int64, threads int) *tensor.Tensor {
		c := Case{Domain: "x", Op: "Noise", Opset: 1, Attrs: onnx.NewAttrs("seed", seed), In: Vals(x, tensor.Scalar(step)), Want: Vals(x)}
		out, err := ops.Eval(par.P{Threads: threads}, Node(c, nil), c.In, ops.BuildEnv{})
		require.NoError(t, err)
		require.Equal(t, x.Shape(), out[0].(*tensor.Tensor).Shape())
		return out[0].(*tensor.Tensor)
	}
	x := tensor.New(tensor.Float32, 3, 33_333)
	y := tensor.Data[float32](noise(x, 7, 3, 1))
	n, within := float64(len(y)), 0.0
	var moments [5]float64
	neighbours := 0.0
	for i, v := range y {
		for k := range moments {
			moments[k] += math.Pow(float64(v), float64(k)) / n
		}
		if math.Abs(float64(v)) < 1 {
			within += 1 / n
		}
		if i > 0 {
			neighbours += float64(v) * float64(y[i-1]) / n
		}
	}
	for k, want := range []float64{1, 0, 1, 0, 3} { // of the standard normal distribution
		require.InDelta(t, want, moments[k], 0.06, "moment %d", k)
	}
	require.InDelta(t, math.Erf(1/math.Sqrt2), within, 0.01)
	require.InDelta(t, 0, neighbours, 0.02)
	require.Equal(t, y, tensor.Data[float32](noise(x, 7, 3, 2)), "threads change the numbers")
	require.NotEqual(t, y, tensor.Data[float32](noise(x, 7, 4, 1)), "steps have the same numbers")
	require.NotEqual(t, y, tensor.Data[float32](noise(x, 8, 3, 1)), "seeds have the same numbers")
	for i, v := range tensor.Data[float64](noise(tensor.New(tensor.Float64, 3, 33_333), 7, 3, 2)) {
		require.Equal(t, y[i], float32(v))
	}
	Run(t, []Case{
		{Domain: "x", Op: "Noise", Opset: 1, In: Vals(F32([]int{1}, 1), I64([]int{2}, 0, 0)), Want: Vals(x), Err: "step has 2 elements"},
		{Domain: "x", Op: "Noise", Opset: 1, In: Vals(F32([]int{0})), Want: Vals(x), Err: "1 inputs"},
	})
}
