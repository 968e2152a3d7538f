package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMicrosoftPad(t *testing.T) {
	v := I64(nil, 1, 2, 3)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Pad", Domain: "com.microsoft", Attrs: a("mode", "wrap"), In: Vals(v, I64(nil, 1, 0)), Want: Vals(I64(nil, 3, 1, 2, 3))},
		{Op: "Pad", Domain: "com.microsoft", In: Vals(v, I64(nil, 1, 0), I64(nil, 7)), Want: Vals(I64(nil, 7, 1, 2, 3))},
		{Op: "Pad", Domain: "com.microsoft", In: Vals(F32([]int{1, 2}, 1, 2), I64(nil, 0, 0, 1, -1)), Want: Vals(F32([]int{2, 1}, 1, 0))},
		{Op: "Pad", Domain: "com.microsoft", Attrs: a("mode", "edge"), In: Vals(v, I64(nil, 0, 2)), Want: Vals(I64(nil, 1, 2, 3, 3, 3))},
		{Op: "Pad", Domain: "com.microsoft", In: Vals(v, I64(nil, 1)), Want: Vals(v), Err: "pads"},
	})
}
