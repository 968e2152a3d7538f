package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMSGridSample(t *testing.T) {
	x := F32([]int{1, 1, 2, 2}, 1, 2, 3, 4)
	grid := F32([]int{1, 1, 3, 2}, -1, -1, 0, 0, 1, 0)
	at := onnx.NewAttrs("align_corners", 1)
	Run(t, []Case{
		{Op: "GridSample", Domain: "com.microsoft", In: Vals(x, grid), Attrs: at, Want: Vals(F32([]int{1, 1, 1, 3}, 1, 2.5, 3)), Tol: close5},
		{Op: "GridSample", Domain: "com.microsoft", In: Vals(x, grid), Attrs: at.Set("mode", "nearest"), Want: Vals(F32([]int{1, 1, 1, 3}, 1, 1, 2)), Tol: close5},
		{Op: "GridSample", Domain: "com.microsoft", In: Vals(x, grid), Attrs: at.Set("mode", "linear"), Want: Vals(x), Err: "linear"},
	})
}

// TestMSGridSampleExpansion: the operator of the standard that it stands for in training gives the same.
func TestMSGridSampleExpansion(t *testing.T) {
	x, grid := F32([]int{1, 1, 2, 2}, 1, 2, 3, 4), F32([]int{1, 1, 2, 2}, 0.3, -0.5, 1.2, 0.1)
	got, err := expanded(t, "GridSample", onnx.NewAttrs("padding_mode", "border"), Vals(x, grid), 1)
	require.NoError(t, err)
	Run(t, []Case{{Op: "GridSample", Domain: "com.microsoft", In: Vals(x, grid), Attrs: onnx.NewAttrs("padding_mode", "border"), Want: got, Tol: close5}})
}
