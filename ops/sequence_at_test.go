package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestSequenceAt(t *testing.T) {
	a, b := I64(nil, 1), I64(nil, 2, 3)
	Run(t, []Case{
		{Op: "SequenceAt", In: Vals(seq(a, b), I64([]int{}, 1)), Want: Vals(b)},
		{Op: "SequenceAt", In: Vals(seq(a, b), I32([]int{}, -2)), Want: Vals(a)},
		{Op: "SequenceAt", In: Vals(seq(a, b), I64([]int{}, 2)), Want: Vals(b), Err: "position 2 is not in [-2, 1]"},
	})
}
