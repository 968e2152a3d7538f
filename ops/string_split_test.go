package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestStringSplit(t *testing.T) {
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "StringSplit", In: Vals(Of([]int{2}, " a  b  c ", "x")), Want: Vals(Of([]int{2, 3}, "a", "b", "c", "x", "", ""), I64(nil, 3, 1))},
		{Op: "StringSplit", Attrs: a("maxsplit", 1), In: Vals(Of([]int{1}, " a  b  c ")), Want: Vals(Of([]int{1, 2}, "a", "b  c"), I64(nil, 2))},
		{Op: "StringSplit", Attrs: a("maxsplit", 0), In: Vals(Of([]int{1}, " a  b ")), Want: Vals(Of([]int{1, 1}, "a  b"), I64(nil, 1))},
		{Op: "StringSplit", Attrs: a("delimiter", ","), In: Vals(Of([]int{3}, "a,b,,c", ",", "")), Want: Vals(Of([]int{3, 4}, "a", "b", "", "c", "", "", "", "", "", "", "", ""), I64(nil, 4, 2, 0))},
		{Op: "StringSplit", Attrs: a("delimiter", ",", "maxsplit", 1), In: Vals(Of([]int{}, "a,b,,c")), Want: Vals(Of([]int{2}, "a", "b,,c"), I64([]int{}, 2))},
		{Op: "StringSplit", In: Vals(Of[string]([]int{2, 0})), Want: Vals(Of[string]([]int{2, 0, 0}), I64([]int{2, 0}))},
		{Op: "StringSplit", In: Vals(I64(nil, 1)), Want: Vals(I64(nil, 1), nil), Err: "element type int64"},
	})
}
