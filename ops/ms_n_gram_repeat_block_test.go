package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestNGramRepeatBlock(t *testing.T) {
	ids := I64([]int{3, 5}, 1, 2, 3, 1, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0)
	scores := F32([]int{3, 4}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	no := float32(math.Inf(-1))
	op := func(n int, want ...float32) Case {
		return Case{Op: "NGramRepeatBlock", Domain: "com.microsoft", In: Vals(ids, scores), Attrs: onnx.NewAttrs("ngram_size", n), Want: Vals(F32([]int{3, 4}, want...))}
	}
	bad := op(1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	bad.In, bad.Err = Vals(tensor.Of([]int64{0, 1, 2, 3, 4}, 1, 5), F32([]int{1, 4}, 0, 0, 0, 0)), "input_ids has 4, want 0 to 3"
	none := op(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	none.Err = "want at least 1"
	Run(t, []Case{
		op(1, 0, no, no, no, no, 5, 6, 7, no, no, no, no),
		op(2, 0, 1, 2, no, no, 5, 6, 7, 8, no, 10, 11),
		op(3, 0, 1, 2, no, no, 5, 6, 7, 8, 9, 10, 11),
		op(6, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
		bad, none,
	})
}
