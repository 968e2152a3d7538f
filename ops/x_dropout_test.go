package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXDropout(t *testing.T) {
	drop := func(x *tensor.Tensor, ratio float32, seed int, step int64, threads int) []float32 {
		c := Case{Domain: "x", Op: "Dropout", Opset: 1, Attrs: onnx.NewAttrs("ratio", ratio, "seed", seed), In: Vals(x, tensor.Scalar(step)), Want: Vals(x)}
		out, err := ops.Eval(par.P{Threads: threads}, Node(c, nil), c.In, ops.BuildEnv{})
		require.NoError(t, err)
		return tensor.Data[float32](out[0].(*tensor.Tensor))
	}
	x := tensor.New(tensor.Float32, 99_999)
	for i := range tensor.Data[float32](x) {
		tensor.Data[float32](x)[i] = float32(i + 1)
	}
	y := drop(x, 0.25, 7, 3, 1)
	kept := 0
	for i, v := range y {
		if v != 0 {
			kept++
			require.InEpsilon(t, float64(i+1)/0.75, float64(v), 1e-6)
		}
	}
	require.InDelta(t, 0.75, float64(kept)/float64(len(y)), 0.01)
	require.Equal(t, y, drop(x, 0.25, 7, 3, 2), "threads change what is kept")
	require.NotEqual(t, y, drop(x, 0.25, 7, 4, 1), "steps drop the same elements")
	require.NotEqual(t, y, drop(x, 0.25, 8, 3, 1), "seeds drop the same elements")
	require.Equal(t, tensor.Data[float32](x), drop(x, 0, 7, 3, 1))
	Run(t, []Case{
		{Domain: "x", Op: "Dropout", Opset: 1, Attrs: onnx.NewAttrs("ratio", float32(1)), In: Vals(x, tensor.Scalar(int64(0))), Want: Vals(x), Err: "want a number in [0, 1)"},
		{Domain: "x", Op: "Dropout", Opset: 1, In: Vals(F32([]int{1}, 1), I64([]int{2}, 0, 0)), Want: Vals(x), Err: "step has 2 elements"},
		{Domain: "x", Op: "Dropout", Opset: 1, In: Vals(F32([]int{0})), Want: Vals(x), Err: "1 inputs"},
	})
	Gradients(t, []GradCase{{Domain: "x", Op: "Dropout", Opset: 1, Attrs: onnx.NewAttrs("ratio", float32(0.5), "seed", 3), In: Vals(Normal(1, 5, 7), tensor.Scalar(int64(2)))}})
}
