package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMSCausalConvWithState(t *testing.T) {
	const ms = "com.microsoft"
	x, w, past := F32([]int{1, 1, 3}, 1, 2, 3), F32([]int{1, 1, 2}, 10, 1), F32([]int{1, 1, 1}, 4)
	plain := onnx.NewAttrs("ndim", 1, "activation", "none", "state_window", 0)
	Run(t, []Case{
		{Op: "CausalConvWithState", Domain: ms, In: Vals(x, w, nil, past), Attrs: plain, Want: Vals(F32([]int{1, 1, 3}, 41, 12, 23), F32([]int{1, 1, 1}, 3))},
		{Op: "CausalConvWithState", Domain: ms, In: Vals(x, w, F32([]int{1}, 5)), Want: Vals(F32([]int{1, 1, 3}, 6, 17, 28), F32([]int{1, 1, 1}, 3))},
		{Op: "CausalConvWithState", Domain: ms, In: Vals(x, w), Attrs: onnx.NewAttrs("dilation", 2), Want: Vals(x, past), Err: "attribute \"dilation\" is 2"},
	})
}
