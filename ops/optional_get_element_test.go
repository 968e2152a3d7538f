package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestOptionalGetElement(t *testing.T) {
	x := I64(nil, 1)
	Run(t, []Case{
		{Op: "OptionalGetElement", Opset: 15, In: Vals(&tensor.Optional{Elem: x}), Want: Vals(x)},
		{Op: "OptionalGetElement", In: Vals(&tensor.Optional{Elem: seq(x)}), Want: Vals(seq(x))},
		{Op: "OptionalGetElement", In: Vals(x), Want: Vals(x)},
		{Op: "OptionalGetElement", In: Vals(&tensor.Optional{}), Want: Vals(x), Err: "the optional is empty"},
	})
}
