package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestSequenceLength(t *testing.T) {
	a := I64(nil, 1)
	Run(t, []Case{
		{Op: "SequenceLength", In: Vals(seq(a, a)), Want: Vals(I64([]int{}, 2))},
		{Op: "SequenceLength", In: Vals(seq()), Want: Vals(I64([]int{}, 0))},
		{Op: "SequenceLength", In: Vals(a), Want: Vals(a), Err: "want a sequence"},
	})
}
