package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestNot(t *testing.T) {
	Run(t, []Case{
		{Op: "Not", In: Vals(Of([]int{2, 1}, true, false)), Want: Vals(Of([]int{2, 1}, false, true))},
		{Op: "Not", Opset: 1, In: Vals(Of([]int{}, true)), Want: Vals(Of([]int{}, false))},
		{Op: "Not", In: Vals(I32([]int{1}, 1)), Want: Vals(I32([]int{1}, 1)), Err: "not supported"},
	})
}
