package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestSequenceInsert(t *testing.T) {
	a, b, x := I64(nil, 1), I64(nil, 2, 3), I64(nil, 9)
	Run(t, []Case{
		{Op: "SequenceInsert", In: Vals(seq(a, b), x), Want: Vals(seq(a, b, x))},
		{Op: "SequenceInsert", In: Vals(seq(a, b), x, I64([]int{}, 0)), Want: Vals(seq(x, a, b))},
		{Op: "SequenceInsert", In: Vals(seq(a, b), x, I32([]int{1}, -1)), Want: Vals(seq(a, x, b))},
		{Op: "SequenceInsert", In: Vals(seq(), x), Want: Vals(seq(x))},
		{Op: "SequenceInsert", In: Vals(seq(a, b), x, I64([]int{}, 3)), Want: Vals(seq(a)), Err: "position 3 is not in [-2, 2]"},
		{Op: "SequenceInsert", In: Vals(seq(a), F32([]int{1}, 1)), Want: Vals(seq(a)), Err: "the sequence has int64"},
		{Op: "SequenceInsert", In: Vals(a, a), Want: Vals(seq(a)), Err: "want a sequence"},
	})
}
