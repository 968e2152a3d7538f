package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestMicrosoftUnique(t *testing.T) {
	Run(t, []Case{
		{Op: "Unique", Domain: "com.microsoft", In: Vals(F32([]int{4}, 3, 1, 3, 2)), Want: Vals(F32([]int{3}, 3, 1, 2), I64(nil, 0, 1, 0, 2), I64(nil, 2, 1, 1))},
		{Op: "Unique", Domain: "com.microsoft", In: Vals(F32([]int{0})), Want: Vals(F32([]int{0}), I64([]int{0}), I64([]int{0}))},
		{Op: "Unique", Domain: "com.microsoft", In: Vals(I64(nil, 5, 5)), Want: Vals(I64(nil, 5), I64(nil, 0, 0), I64(nil, 2))},
	})
}
