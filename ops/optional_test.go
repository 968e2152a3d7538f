package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestOptional(t *testing.T) {
	x := I64(nil, 1)
	Run(t, []Case{
		{Op: "Optional", In: Vals(x), Want: Vals(&tensor.Optional{Elem: x})},
		{Op: "Optional", Opset: 15, In: Vals(seq(x)), Want: Vals(&tensor.Optional{Elem: seq(x)})},
		{Op: "Optional", Attrs: onnx.NewAttrs("type", onnx.UnrankedType(tensor.Int64)), Want: Vals(&tensor.Optional{})},
		{Op: "Optional", In: Vals(x, x), Want: Vals(x), Err: "2 inputs"},
	})
}
