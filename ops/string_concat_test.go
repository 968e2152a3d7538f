package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestStringConcat(t *testing.T) {
	x := Of([]int{2, 1}, "a", "b")
	Run(t, []Case{
		{Op: "StringConcat", In: Vals(x, Of([]int{2}, "x", "")), Want: Vals(Of([]int{2, 2}, "ax", "a", "bx", "b"))},
		{Op: "StringConcat", In: Vals(Of([]int{}, "é"), Of([]int{}, "ß")), Want: Vals(Of([]int{}, "éß"))},
		{Op: "StringConcat", In: Vals(x, Of[string]([]int{0})), Want: Vals(Of[string]([]int{2, 0}))},
		{Op: "StringConcat", In: Vals(x, I64(nil, 1)), Want: Vals(x), Err: "element type int64 of input 1"},
		{Op: "StringConcat", In: Vals(x, Of([]int{3, 1}, "a", "b", "c")), Want: Vals(x), Err: "3"},
	})
}
