package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestRegexFullMatch(t *testing.T) {
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "RegexFullMatch", Attrs: a("pattern", "a(b|bc)"), In: Vals(Of([]int{2, 2}, "ab", "abc", "xab", "ab\n")), Want: Vals(Of([]int{2, 2}, true, true, false, false))},
		{Op: "RegexFullMatch", Attrs: a("pattern", `(\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$)`), In: Vals(Of([]int{2}, "account@gmail.com", "x@y.com")), Want: Vals(Of([]int{2}, true, false))},
		{Op: "RegexFullMatch", Attrs: a("pattern", "(?i)a|b"), In: Vals(Of([]int{}, "B")), Want: Vals(Of([]int{}, true))},
		{Op: "RegexFullMatch", Attrs: a("pattern", "a)(b"), In: Vals(Of([]int{}, "B")), Want: Vals(Of([]int{}, true)), Err: "unexpected )"},
		{Op: "RegexFullMatch", Attrs: a("pattern", "a"), In: Vals(I64(nil, 1)), Want: Vals(Of([]int{}, true)), Err: "element type int64"},
	})
}
