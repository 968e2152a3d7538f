package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMicrosoftRange(t *testing.T) {
	i := func(v int64) *tensor.Tensor { return tensor.Scalar(v) }
	Run(t, []Case{
		{Op: "Range", Domain: "com.microsoft", In: Vals(i(0), i(3)), Want: Vals(I64(nil, 0, 1, 2))},
		{Op: "Range", Domain: "com.microsoft", In: Vals(i(5), i(0), i(-2)), Want: Vals(I64(nil, 5, 3, 1))},
		{Op: "Range", Domain: "com.microsoft", In: Vals(i(3), i(3)), Want: Vals(I64([]int{0}))},
		{Op: "Range", Domain: "com.microsoft", In: Vals(i(0), i(3), i(0)), Want: Vals(i(0)), Err: "delta is 0"},
		{Op: "Range", Domain: "com.microsoft", Attrs: onnx.NewAttrs("stash_type", 1), In: Vals(i(0), i(3)), Want: Vals(i(0)), Err: "stash_type"},
	})
}
