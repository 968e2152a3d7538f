package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestSequenceErase(t *testing.T) {
	a, b := I64(nil, 1), I64(nil, 2, 3)
	Run(t, []Case{
		{Op: "SequenceErase", In: Vals(seq(a, b)), Want: Vals(seq(a))},
		{Op: "SequenceErase", In: Vals(seq(a, b), I64([]int{}, -2)), Want: Vals(seq(b))},
		{Op: "SequenceErase", In: Vals(seq(a, b), I64([]int{}, 2)), Want: Vals(seq(b)), Err: "position 2 is not in [-2, 1]"},
		{Op: "SequenceErase", In: Vals(seq()), Want: Vals(seq(b)), Err: "the sequence is empty"},
	})
}
