package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestSize(t *testing.T) {
	Run(t, []Case{
		{Op: "Size", In: Vals(F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)), Want: Vals(I64([]int{}, 6))},
		{Op: "Size", Opset: 1, In: Vals(I64([]int{}, 5)), Want: Vals(I64([]int{}, 1))},
		{Op: "Size", In: Vals(I64([]int{3, 0})), Want: Vals(I64([]int{}, 0))},
	})
}
