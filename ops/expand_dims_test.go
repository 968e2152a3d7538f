package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestExpandDims(t *testing.T) {
	x := F32([]int{2, 1}, 1, 2)
	Run(t, []Case{
		{Op: "ExpandDims", Domain: "com.microsoft", In: Vals(x, I32([]int{}, 0)), Want: Vals(F32([]int{1, 2, 1}, 1, 2))},
		{Op: "ExpandDims", Domain: "com.microsoft", In: Vals(x, I32([]int{}, -2)), Want: Vals(F32([]int{2, 1, 1}, 1, 2))},
		{Op: "ExpandDims", Domain: "com.microsoft", In: Vals(x, I32([]int{}, 3)), Want: Vals(x), Err: "axis 3 is not in [-3, 2]"},
	})
}
