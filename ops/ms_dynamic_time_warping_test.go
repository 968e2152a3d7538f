package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestDynamicTimeWarping(t *testing.T) {
	cost := []float32{
		1, 0, 3, 1, 1, 3,
		3, 1, 1, 1, 1, 2,
		2, 2, 3, 2, 1, 0,
		1, 2, 3, 2, 1, 3,
	}
	path := I32([]int{2, 7}, 0, 0, 1, 2, 3, 3, 3, 0, 1, 2, 3, 3, 4, 5)
	Run(t, []Case{
		{Op: "DynamicTimeWarping", Domain: "com.microsoft", In: Vals(F32([]int{4, 6}, cost...)), Want: Vals(path)},
		{Op: "DynamicTimeWarping", Domain: "com.microsoft", In: Vals(F32([]int{1, 4, 6}, cost...)), Want: Vals(path)},
		{Op: "DynamicTimeWarping", Domain: "com.microsoft", In: Vals(F32([]int{3, 1}, 1, 2, 3)), Want: Vals(I32([]int{2, 3}, 0, 1, 2, 0, 0, 0))},
		{Op: "DynamicTimeWarping", Domain: "com.microsoft", In: Vals(F32([]int{2, 2}, 0, 0, 0, 0)), Want: Vals(I32([]int{2, 3}, 0, 1, 1, 0, 0, 1))},
		{Op: "DynamicTimeWarping", Domain: "com.microsoft", In: Vals(F32([]int{0, 3})), Want: Vals(I32([]int{2, 0})), Err: "want [m n]"},
	})
}
