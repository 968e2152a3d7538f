package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestTfIdfVectorizer(t *testing.T) {
	attrs := func(mode string, lo, hi, skip int) onnx.Attrs {
		return onnx.NewAttrs("mode", mode, "min_gram_length", lo, "max_gram_length", hi, "max_skip_count", skip,
			"ngram_counts", []int{0, 2}, "ngram_indexes", []int{2, 0, 1}, "pool_int64s", []int{5, 6, 5, 6}, "weights", []float64{2, 3, 5})
	}
	x := I64(nil, 5, 5, 6, 7)
	words := onnx.NewAttrs("mode", "TF", "min_gram_length", 2, "max_gram_length", 2, "max_skip_count", 0,
		"ngram_counts", []int{0, 0}, "ngram_indexes", []int{0, 1}, "pool_strings", []string{"a", "b", "b", "a"})
	Run(t, []Case{
		{Op: "TfIdfVectorizer", Attrs: attrs("TF", 1, 2, 1), In: Vals(x), Want: Vals(F32([]int{3}, 1, 2, 2))},
		{Op: "TfIdfVectorizer", Attrs: attrs("IDF", 1, 2, 1), In: Vals(x), Want: Vals(F32([]int{3}, 3, 5, 2))},
		{Op: "TfIdfVectorizer", Attrs: attrs("TFIDF", 1, 2, 1), In: Vals(x), Want: Vals(F32([]int{3}, 3, 10, 4))},
		{Op: "TfIdfVectorizer", Opset: 9, Attrs: attrs("TF", 2, 2, 0), In: Vals(I32([]int{2, 3}, 5, 6, 5, 6, 5, 6)), Want: Vals(F32([]int{2, 3}, 0, 1, 0, 0, 1, 0))},
		{Op: "TfIdfVectorizer", Attrs: words, In: Vals(Of([]int{4}, "a", "b", "a", "c")), Want: Vals(F32([]int{2}, 1, 1))},
		{Op: "TfIdfVectorizer", Attrs: attrs("TF", 1, 1, 0), In: Vals(I64([]int{0})), Want: Vals(F32([]int{3}, 0, 0, 0))},
		{Op: "TfIdfVectorizer", Attrs: attrs("TF", 1, 1, 0), In: Vals(Of([]int{1}, "a")), Want: Vals(x), Err: "another type"},
		{Op: "TfIdfVectorizer", Attrs: attrs("TF", 2, 1, 0), In: Vals(x), Want: Vals(x), Err: "min_gram_length 2"},
		{Op: "TfIdfVectorizer", Attrs: attrs("TF", 1, 1, 0).Without("pool_int64s"), In: Vals(x), Want: Vals(x), Err: "pool_strings and pool_int64s"},
	})
}
