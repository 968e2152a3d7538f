package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestStringNormalizer(t *testing.T) {
	x := Of([]int{3}, "A", "b", "a")
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "StringNormalizer", Attrs: a("stopwords", []string{"a"}, "case_change_action", "UPPER"), In: Vals(x), Want: Vals(Of([]int{1}, "B"))},
		{Op: "StringNormalizer", Attrs: a("stopwords", []string{"a"}, "case_change_action", "LOWER", "is_case_sensitive", 1), In: Vals(x), Want: Vals(Of([]int{2}, "a", "b"))},
		{Op: "StringNormalizer", Opset: 10, In: Vals(Of([]int{1, 2}, "É", "x")), Want: Vals(Of([]int{1, 2}, "É", "x"))},
		{Op: "StringNormalizer", Attrs: a("case_change_action", "LOWER", "locale", "en_US"), In: Vals(Of([]int{1, 2}, "ÉI", "X")), Want: Vals(Of([]int{1, 2}, "éi", "x"))},
		{Op: "StringNormalizer", Attrs: a("case_change_action", "LOWER", "locale", "tr_TR"), In: Vals(Of([]int{1}, "I")), Want: Vals(Of([]int{1}, "ı"))},
		{Op: "StringNormalizer", Attrs: a("stopwords", []string{"x"}), In: Vals(Of([]int{1, 1}, "X")), Want: Vals(Of([]int{1, 1}, ""))},
		{Op: "StringNormalizer", In: Vals(Of([]int{2, 1}, "X", "Y")), Want: Vals(x), Err: "want [C] or [1, C]"},
		{Op: "StringNormalizer", Attrs: a("case_change_action", "TITLE"), In: Vals(x), Want: Vals(x), Err: "TITLE"},
	})
}
