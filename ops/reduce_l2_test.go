package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestReduceL2(t *testing.T) {
	testReduction(t, "ReduceL2", 18)
	Run(t, []Case{
		{Op: "ReduceL2", In: Vals(I32([]int{2}, 3, -4)), Want: Vals(I32([]int{1}, 5))},
		{Op: "ReduceL2", In: Vals(F32([]int{2}, 3e30, -4e30)), Want: Vals(F32([]int{1}, 5e30))},
	})
}

// TestReduceL2Columns: columns whose squares float32 has no room for.
func TestReduceL2Columns(t *testing.T) {
	const rows, cols = 37, 70
	x, want := make([]float32, rows*cols), make([]float32, cols)
	for j := range cols {
		scale, sum := []float64{1, 1e25, 1e-25, 0, 1e-18, math.Inf(1)}[j%6], 0.0
		for i := range rows {
			v := float32(scale * float64(1+(i*5+j)%7))
			x[i*cols+j] = v
			sum += float64(v) * float64(v)
		}
		want[j] = float32(math.Sqrt(sum))
	}
	x[3*cols], want[0] = float32(math.NaN()), float32(math.NaN())
	Run(t, []Case{{Op: "ReduceL2", In: Vals(F32([]int{rows, cols}, x...), I64([]int{1}, 0)), Want: Vals(F32([]int{1, cols}, want...)), Tol: tensor.Tolerance{Rel: 1e-6}}})
}

func TestReduceL2Gradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceL2", In: Vals(Normal(1, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceL2", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceL2", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4))},
		{Op: "ReduceL2", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Normal(1, 3, 2))},
	})
}
