package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// constBody returns a body without inputs that gives the values.
func constBody(vs ...*tensor.Tensor) *onnx.Graph {
	return BodyGraph(nil, func(b *ops.Builder, _ []*onnx.Value) []*onnx.Value {
		var out []*onnx.Value
		for _, v := range vs {
			out = append(out, b.Op("Identity", nil, b.Const(v)))
		}
		return out
	})
}

func TestIf(t *testing.T) {
	a, c := F32([]int{2}, 1, 2), F32([]int{3, 1}, 3, 4, 5)
	as := func() onnx.Attrs { return onnx.NewAttrs("then_branch", constBody(a), "else_branch", constBody(c)) }
	outer := onnx.NewGraph("outer", nil)
	x := outer.NewValue("x", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	capture := BodyGraph(nil, func(b *ops.Builder, _ []*onnx.Value) []*onnx.Value {
		return []*onnx.Value{b.Op("Add", nil, x, x)}
	})
	Run(t, []Case{
		{Op: "If", Attrs: as(), In: Vals(Of([]int{}, true)), Want: Vals(a)},
		{Op: "If", Attrs: as(), In: Vals(Of([]int{1}, false)), Want: Vals(c)},
		{Op: "If", Opset: 1, Attrs: as(), In: Vals(Of([]int{}, true)), Want: Vals(a)},
		{
			Name: "captured value", Op: "If", Attrs: onnx.NewAttrs("then_branch", capture, "else_branch", constBody(a)),
			In: Vals(Of([]int{}, true)), Want: Vals(F32([]int{2}, 2, 4)), Captures: map[*onnx.Value]tensor.Value{x: a},
		},
		{Op: "If", Attrs: as(), In: Vals(Of([]int{2}, true, true)), Want: Vals(nil), Err: "want one bool"},
		{Op: "If", Attrs: as(), In: Vals(Of([]int{}, true)), Want: Vals(nil, nil), Err: "has 1 outputs, want 2"},
		{Op: "If", Attrs: onnx.NewAttrs("then_branch", constBody(a)), In: Vals(Of([]int{}, true)), Want: Vals(nil), Err: `attribute "else_branch" is missing`},
	})
}
