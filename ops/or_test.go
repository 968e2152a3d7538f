package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestOr(t *testing.T) {
	a, b := Of([]int{2, 1}, false, true), Of([]int{2}, false, true)
	want := Of([]int{2, 2}, false, true, true, true)
	long, wlong := make([]bool, 200), make([]bool, 200)
	for i := range long {
		long[i] = i%3 == 0
		wlong[i] = [4]bool{false, true, true, true}[1+2*(1-min(i%3, 1))]
	}
	Run(t, []Case{
		{Op: "Or", In: Vals(a, b), Want: Vals(want)},
		{Op: "Or", In: Vals(Of([]int{200}, long...), Of([]int{}, true)), Want: Vals(Of([]int{200}, wlong...))},
		{Op: "Or", In: Vals(Of([]int{1}, true), Of([]int{200}, long...)), Want: Vals(Of([]int{200}, wlong...))},
		{Op: "Or", Opset: 1, Attrs: onnx.NewAttrs("broadcast", 1), In: Vals(Of([]int{2, 2}, false, false, true, true), b), Want: Vals(want)},
		{Op: "Or", In: Vals(I32([]int{1}, 1), I32([]int{1}, 1)), Want: Vals(want), Err: "not supported"},
	})
}
