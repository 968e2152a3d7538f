package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestAnd(t *testing.T) {
	a, b := Of([]int{2, 1}, false, true), Of([]int{2}, false, true)
	want := Of([]int{2, 2}, false, false, false, true)
	long, wlong := make([]bool, 200), make([]bool, 200)
	for i := range long {
		long[i] = i%3 == 0
		wlong[i] = [4]bool{false, false, false, true}[1+2*(1-min(i%3, 1))]
	}
	Run(t, []Case{
		{Op: "And", In: Vals(a, b), Want: Vals(want)},
		{Op: "And", In: Vals(Of([]int{200}, long...), Of([]int{}, true)), Want: Vals(Of([]int{200}, wlong...))},
		{Op: "And", In: Vals(Of([]int{1}, true), Of([]int{200}, long...)), Want: Vals(Of([]int{200}, wlong...))},
		{Op: "And", Opset: 1, Attrs: onnx.NewAttrs("broadcast", 1), In: Vals(Of([]int{2, 2}, false, false, true, true), b), Want: Vals(want)},
		{Op: "And", In: Vals(I32([]int{1}, 1), I32([]int{1}, 1)), Want: Vals(want), Err: "not supported"},
	})
}
