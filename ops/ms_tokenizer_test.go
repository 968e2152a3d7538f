package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestTokenizer(t *testing.T) {
	with := func(kv ...any) onnx.Attrs {
		return onnx.NewAttrs(append([]any{"mark", 0, "mincharnum", 1, "pad_value", "#"}, kv...)...)
	}
	const ms = "com.microsoft"
	Run(t, []Case{
		{Op: "Tokenizer", Domain: ms, Attrs: with("tokenexp", "[a-z]+"), In: Vals(Of([]int{2}, "ab, c!d", "x")), Want: Vals(Of([]int{2, 3}, "ab", "c", "d", "x", "#", "#"))},
		{Op: "Tokenizer", Domain: ms, Attrs: with("separators", []string{" ", ";"}), In: Vals(Of([]int{2, 1}, " a b;c", "dé")), Want: Vals(Of([]int{2, 1, 3}, "a", "b", "c", "dé", "#", "#"))},
		{Op: "Tokenizer", Domain: ms, Attrs: onnx.NewAttrs("mark", 1, "mincharnum", 2, "pad_value", "", "separators", []string{"[ ,]"}), In: Vals(Of([]int{2}, "é bb,cc", "d")),
			Want: Vals(Of([]int{2, 4}, "\x02", "bb", "cc", "\x03", "\x02", "\x03", "", ""))},
		{Op: "Tokenizer", Domain: ms, Attrs: with("separators", []string{""}), In: Vals(Of([]int{1}, "aé")), Want: Vals(Of([]int{1, 2}, "a", "é"))},
		{Op: "Tokenizer", Domain: ms, Attrs: with("separators", []string{""}), In: Vals(Of([]int{1}, "")), Want: Vals(Of[string]([]int{1, 0}))},
		{Op: "Tokenizer", Domain: ms, Attrs: with("tokenexp", "."), In: Vals(Of([]int{1}, "a\né")), Want: Vals(Of([]int{1, 3}, "a", "\n", "é"))},
		{Op: "Tokenizer", Domain: ms, Attrs: with("tokenexp", "a.c"), In: Vals(Of([]int{1}, "xa\ncy abc")), Want: Vals(Of([]int{1, 1}, "abc"))},
		{Op: "Tokenizer", Domain: ms, Attrs: with("tokenexp", "a|ab"), In: Vals(Of([]int{1}, "abab")), Want: Vals(Of([]int{1, 2}, "ab", "ab"))},
		{Op: "Tokenizer", Domain: ms, Attrs: with("separators", []string{"a|ab"}), In: Vals(Of([]int{1}, "xaby")), Want: Vals(Of([]int{1, 2}, "x", "y"))},
		{Op: "Tokenizer", Domain: ms, Attrs: with("separators", []string{" "}, "tokenexp", "a"), In: Vals(Of([]int{1}, "a")), Want: Vals(nil), Err: "want one of"},
		{Op: "Tokenizer", Domain: ms, Attrs: with("tokenexp", "("), In: Vals(Of([]int{1}, "a")), Want: Vals(nil), Err: "missing closing"},
	})
}
