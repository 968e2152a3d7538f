package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestScan(t *testing.T) {
	vec := onnx.TensorType(tensor.Float32, onnx.Size(2))
	// The running sum of the slices.
	sum := func(more ...any) onnx.Attrs {
		g := BodyGraph([]onnx.Type{vec, vec}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
			s := b.Op("Add", nil, in[0], in[1])
			return []*onnx.Value{s, b.Op("Identity", nil, s)}
		})
		return onnx.NewAttrs(append([]any{"body", g, "num_scan_inputs", 1}, more...)...)
	}
	s0, x := F32([]int{2}, 0, 0), F32([]int{3, 2}, 1, 2, 3, 4, 5, 6)
	names := BodyGraph([]onnx.Type{onnx.TensorType(tensor.String)}, func(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
		return []*onnx.Value{b.Op("Identity", nil, in[0])}
	})
	Run(t, []Case{
		{Op: "Scan", Attrs: sum(), In: Vals(s0, x), Want: Vals(F32([]int{2}, 9, 12), F32([]int{3, 2}, 1, 2, 4, 6, 9, 12))},
		{
			Name: "backwards", Op: "Scan", Opset: 9, Attrs: sum("scan_input_directions", []int{1}, "scan_output_directions", []int{1}),
			In: Vals(s0, x), Want: Vals(F32([]int{2}, 9, 12), F32([]int{3, 2}, 9, 12, 8, 10, 5, 6)),
		},
		{
			Name: "axes", Op: "Scan", Attrs: sum("scan_input_axes", []int{-1}, "scan_output_axes", []int{1}),
			In: Vals(s0, F32([]int{2, 3}, 1, 3, 5, 2, 4, 6)), Want: Vals(F32([]int{2}, 9, 12), F32([]int{2, 3}, 1, 4, 9, 2, 6, 12)),
		},
		{Name: "no slices", Op: "Scan", Attrs: sum("scan_output_axes", []int{1}), In: Vals(s0, F32([]int{0, 2})), Want: Vals(s0, F32([]int{2, 0}))},
		{
			Name: "strings", Op: "Scan", Attrs: onnx.NewAttrs("body", names, "num_scan_inputs", 1, "scan_input_directions", []int{1}),
			In: Vals(Of([]int{2}, "a", "b")), Want: Vals(Of([]int{2}, "b", "a")),
		},
		{
			Name: "version 8", Op: "Scan", Opset: 8, Attrs: sum(), In: Vals(nil, F32([]int{1, 2}, 0, 0), F32([]int{1, 3, 2}, 1, 2, 3, 4, 5, 6)),
			Want: Vals(F32([]int{1, 2}, 9, 12), F32([]int{1, 3, 2}, 1, 2, 4, 6, 9, 12)),
		},
		{
			Name: "version 8 with lengths", Op: "Scan", Opset: 8, Attrs: sum("directions", []int{1}),
			In:   Vals(I64([]int{2}, 2, 1), F32([]int{2, 2}, 0, 0, 1, 1), F32([]int{2, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8)),
			Want: Vals(F32([]int{2, 2}, 4, 6, 6, 7), F32([]int{2, 2, 2}, 3, 4, 4, 6, 6, 7, 0, 0)),
		},
		{Op: "Scan", Attrs: sum("scan_input_axes", []int{2}), In: Vals(s0, x), Want: Vals(nil, nil), Err: "axis 2 is not in [-2, 1]"},
		{Op: "Scan", Attrs: sum("scan_input_directions", []int{2}), In: Vals(s0, x), Want: Vals(nil, nil), Err: "want 0 or 1"},
		{Op: "Scan", Attrs: sum("scan_output_axes", []int{0, 1}), In: Vals(s0, x), Want: Vals(nil, nil), Err: "scan_output_axes has 2 values, want 1"},
		{Op: "Scan", Attrs: sum(), In: Vals(x), Want: Vals(nil, nil), Err: "has 2 inputs, want 1"},
		{
			Op: "Scan", Opset: 8, Attrs: sum(), In: Vals(I64([]int{1}, 4), F32([]int{1, 2}, 0, 0), F32([]int{1, 3, 2}, 1, 2, 3, 4, 5, 6)),
			Want: Vals(nil, nil), Err: "sequence_lens has 4, want 0 to 3",
		},
	})
}
