package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSequenceMap(t *testing.T) {
	f := onnx.UnrankedType(tensor.Float32)
	add := func() onnx.Attrs {
		return onnx.NewAttrs("body", BodyGraph([]onnx.Type{f, f}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			return []*onnx.Value{b.Op("Add", nil, in[0], in[1]), b.Op("Identity", nil, in[0])}
		}))
	}
	seq := func(vs ...tensor.Value) *tensor.Sequence { return &tensor.Sequence{Elems: vs, DType: tensor.Float32} }
	a, b := F32([]int{1}, 1), F32([]int{2}, 2, 3)
	Run(t, []Case{
		{Op: "SequenceMap", Attrs: add(), In: Vals(seq(a, b), F32([]int{}, 10)), Want: Vals(seq(F32([]int{1}, 11), F32([]int{2}, 12, 13)), seq(a, b))},
		{Op: "SequenceMap", Attrs: add(), In: Vals(seq(a, b), seq(b, a)), Want: Vals(seq(F32([]int{2}, 3, 4), F32([]int{2}, 3, 4)))},
		{Op: "SequenceMap", Attrs: add(), In: Vals(seq(), a), Want: Vals(seq(), seq())},
		{Op: "SequenceMap", Attrs: add(), In: Vals(seq(a, b), seq(a)), Want: Vals(nil), Err: "input 1 is a sequence of 1, want 2"},
		{Op: "SequenceMap", Attrs: add(), In: Vals(seq(a)), Want: Vals(nil), Err: "has 2 inputs, want 1"},
	})
}
