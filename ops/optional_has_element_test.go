package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestOptionalHasElement(t *testing.T) {
	x := I64(nil, 1)
	yes, no := tensor.Scalar(true), tensor.Scalar(false)
	Run(t, []Case{
		{Op: "OptionalHasElement", Opset: 15, In: Vals(&tensor.Optional{Elem: x}), Want: Vals(yes)},
		{Op: "OptionalHasElement", In: Vals(&tensor.Optional{}), Want: Vals(no)},
		{Op: "OptionalHasElement", In: Vals(seq()), Want: Vals(yes)},
		{Op: "OptionalHasElement", Want: Vals(no)},
		{Op: "OptionalHasElement", In: Vals(nil), Want: Vals(no)},
		{Op: "OptionalHasElement", Opset: 15, Want: Vals(no), Err: "0 inputs"},
	})
}
