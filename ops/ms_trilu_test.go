package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMicrosoftTrilu(t *testing.T) {
	x := I64([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	Run(t, []Case{
		{Op: "Trilu", Domain: "com.microsoft", In: Vals(x), Want: Vals(I64([]int{2, 3}, 1, 2, 3, 0, 5, 6))},
		{Op: "Trilu", Domain: "com.microsoft", Attrs: onnx.NewAttrs("upper", 0), In: Vals(x), Want: Vals(I64([]int{2, 3}, 1, 0, 0, 4, 5, 0))},
		{Op: "Trilu", Domain: "com.microsoft", In: Vals(x, I64([]int{}, 1)), Want: Vals(I64([]int{2, 3}, 0, 2, 3, 0, 0, 6))},
	})
}
