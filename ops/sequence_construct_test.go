package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func seq(v ...tensor.Value) *tensor.Sequence {
	s := &tensor.Sequence{Elems: v, DType: tensor.Int64}
	if len(v) > 0 {
		s.DType = v[0].(*tensor.Tensor).DType()
	}
	return s
}

func TestSequenceConstruct(t *testing.T) {
	x, y := I64(nil, 1), I64([]int{2, 1}, 2, 3)
	Run(t, []Case{
		{Op: "SequenceConstruct", In: Vals(x, y), Want: Vals(seq(x, y))},
		{Op: "SequenceConstruct", Opset: 11, In: Vals(x), Want: Vals(seq(x))},
		{Op: "SequenceConstruct", In: Vals(x, F32([]int{1}, 1)), Want: Vals(seq(x)), Err: "input 1 is float32, the sequence has int64"},
		{Op: "SequenceConstruct", Want: Vals(seq(x)), Err: "0 inputs"},
	})
}
