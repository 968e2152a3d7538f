package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestShape(t *testing.T) {
	x := tensor.New(tensor.Int4, 2, 3, 4)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Shape", In: Vals(x), Want: Vals(I64(nil, 2, 3, 4))},
		{Op: "Shape", Opset: 1, In: Vals(F32([]int{0, 2})), Want: Vals(I64(nil, 0, 2))},
		{Op: "Shape", In: Vals(F32([]int{}, 1)), Want: Vals(I64([]int{0}))},
		{Op: "Shape", Attrs: a("start", -1), In: Vals(x), Want: Vals(I64(nil, 4))},
		{Op: "Shape", Attrs: a("end", -1), In: Vals(x), Want: Vals(I64(nil, 2, 3))},
		{Op: "Shape", Attrs: a("start", -10, "end", 10), In: Vals(x), Want: Vals(I64(nil, 2, 3, 4))},
		{Op: "Shape", Attrs: a("start", 2, "end", 1), In: Vals(x), Want: Vals(I64([]int{0}))},
		{Op: "Shape", Attrs: a("begin", 2), In: Vals(x), Want: Vals(x), Err: "attribute begin"},
	})
}
