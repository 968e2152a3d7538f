package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSequenceEmpty(t *testing.T) {
	Run(t, []Case{
		{Op: "SequenceEmpty", Want: Vals(&tensor.Sequence{DType: tensor.Float32})},
		{Op: "SequenceEmpty", Attrs: onnx.NewAttrs("dtype", tensor.Int64), Want: Vals(seq())},
		{Op: "SequenceEmpty", Attrs: onnx.NewAttrs("dtype", 99), Want: Vals(seq()), Err: "no element type"},
	})
}
