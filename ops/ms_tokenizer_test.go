package ops_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

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

// TestTokenizerRuns holds expressions that are looked for as runs of a class against package regexp.
func TestTokenizerRuns(t *testing.T) {
	texts := []string{"", "a", "Ab_9 é,ß--ab  c\n", "日本 語x", "  aaa b aa", "K\u212ak", "é\u2028 z", "a.b.c", strings.Repeat("ab ", 50) + "é"}
	rows := func(tokens func(s string) []string, least int) Case {
		all, most := [][]string{}, 0
		for _, s := range texts {
			var row []string
			for _, w := range tokens(s) {
				if utf8.RuneCountInString(w) >= least {
					row = append(row, w)
				}
			}
			all, most = append(all, row), max(most, len(row))
		}
		var flat []string
		for _, row := range all {
			for len(row) < most {
				row = append(row, "#")
			}
			flat = append(flat, row...)
		}
		return Case{Op: "Tokenizer", Domain: "com.microsoft", In: Vals(Of([]int{len(texts)}, texts...)), Want: Vals(Of([]int{len(texts), most}, flat...))}
	}
	compile := func(exp string) *regexp.Regexp {
		e := regexp.MustCompile(exp)
		e.Longest()
		return e
	}
	for _, least := range []int{1, 2} {
		for _, exp := range []string{`[a-zA-Z0-9_]+`, `\w+`, `\w\w+`, `[a-z]{2,}`, `\S+`, `[^ ,]+?`, `a+`, `aa+`, `.+`, `\pL+`, `(?i)[a-k]+`, `(?i)k+`, `[a-z]`, `[a-z]+\d`, `[a-z]b+`, `\w*`, `(a|b)+`, `\b\w+\b`} {
			c := rows(func(s string) []string { return compile(exp).FindAllString(s, -1) }, least)
			c.Name = exp
			c.Attrs = onnx.NewAttrs("mark", 0, "mincharnum", least, "pad_value", "#", "tokenexp", exp)
			Run(t, []Case{c})
		}
		for _, exps := range [][]string{{" "}, {`\s+`}, {" ", ","}, {`[ ,]`, `\.`, "é"}, {`[a-f]+`, `[d-k]`}, {"--", " "}, {"a*"}, {`[^a-z]`}, {`b|c`, "a"}} {
			c := rows(func(s string) []string {
				parts := []string{s}
				for _, e := range exps {
					var finer []string
					for _, p := range parts {
						finer = append(finer, compile(e).Split(p, -1)...)
					}
					parts = finer
				}
				return parts
			}, least)
			c.Name = strings.Join(exps, " ")
			c.Attrs = onnx.NewAttrs("mark", 0, "mincharnum", least, "pad_value", "#", "separators", exps)
			Run(t, []Case{c})
		}
	}
}
