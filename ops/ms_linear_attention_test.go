package ops_test

import (
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

// TestMSLinearAttention has heads of one element: two of queries and keys, four of
// values and states.
func TestMSLinearAttention(t *testing.T) {
	const ms = "com.microsoft"
	q, k, v := F32([]int{1, 2, 2}, 1, 10, 2, 20), F32([]int{1, 2, 2}, 1, 2, 1, 3), F32([]int{1, 2, 4}, 1, 2, 3, 4, 1, 1, 1, 1)
	as := onnx.NewAttrs("q_num_heads", 2, "kv_num_heads", 4, "update_rule", "linear", "scale", 1.0, "state_window", 0)
	past := F32([]int{1, 4, 1, 1}, 1, 0, 0, 2)
	Run(t, []Case{
		{Op: "LinearAttention", Domain: ms, In: Vals(q, k, v), Attrs: as,
			Want: Vals(F32([]int{1, 2, 4}, 1, 2, 60, 80, 4, 6, 180, 220), F32([]int{1, 4, 1, 1}, 2, 3, 9, 11))},
		{Op: "LinearAttention", Domain: ms, In: Vals(q, k, v, past), Attrs: as,
			Want: Vals(F32([]int{1, 2, 4}, 2, 2, 60, 100, 6, 6, 180, 260), F32([]int{1, 4, 1, 1}, 3, 3, 9, 13))},
		{Op: "LinearAttention", Domain: ms, In: Vals(q, k, v), Attrs: slices.Clone(as).Set("state_window", 2), Want: Vals(q, past), Err: "\"state_window\" is 2"},
		{Op: "LinearAttention", Domain: ms, In: Vals(q, k, v), Attrs: slices.Clone(as).Set("kv_num_heads", 3), Want: Vals(q, past), Err: "want a multiple of \"kv_num_heads\", 3"},
		{Op: "LinearAttention", Opset: 27, In: Vals(q, k, v), Attrs: as.Without("state_window"), Want: Vals(q, past), Err: "want a multiple of \"kv_num_heads\", 4"},
	})
}
