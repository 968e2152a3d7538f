package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

// Against finite differences: TestCol2ImGradient.
func TestXIm2Col(t *testing.T) {
	x := F32([]int{1, 1, 4}, 1, 2, 3, 4)
	Run(t, []Case{
		{Domain: "x", Op: "Im2Col", Opset: 1, In: Vals(x, I64([]int{1}, 4), I64([]int{1}, 2)), Want: Vals(F32([]int{1, 2, 3}, 1, 2, 3, 2, 3, 4))},
		{Domain: "x", Op: "Im2Col", Opset: 1, Attrs: onnx.NewAttrs("pads", []int{1, 0}, "strides", []int{2}), In: Vals(x, I64([]int{1}, 4), I64([]int{1}, 2)),
			Want: Vals(F32([]int{1, 2, 2}, 0, 2, 1, 3))},
		{Domain: "x", Op: "Im2Col", Opset: 1, In: Vals(x, I64([]int{1}, 5), I64([]int{1}, 2)), Want: Vals(x), Err: "want [n c] and image_shape [5]"},
	})
}
