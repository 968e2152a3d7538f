package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// Offsets keep samples between the elements, where the interpolation has one slope.
func TestGradientOfDeformConv(t *testing.T) {
	at := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Name: "plain", Op: "DeformConv", In: Vals(Normal(1, 2, 3, 5, 4), Normal(2, 4, 3, 2, 3), Between(3, 0.1, 0.9, 2, 12, 4, 2))},
		{Name: "mask and bias", Op: "DeformConv", In: Vals(Normal(1, 1, 2, 4, 5), Normal(2, 3, 2, 3, 3), Between(3, -0.9, -0.1, 1, 18, 4, 5), Normal(4, 3), Normal(5, 1, 9, 4, 5)), Attrs: at("pads", []int{1, 1, 1, 1})},
		{Name: "groups", Op: "DeformConv", In: Vals(Normal(1, 2, 6, 5, 5), Normal(2, 4, 3, 2, 2), Between(3, 1.1, 1.9, 2, 24, 2, 2), nil, Normal(5, 2, 12, 2, 2)), Attrs: at("group", 2, "offset_group", 3, "strides", []int{2, 2}, "dilations", []int{1, 2})},
		{Name: "one dimension, many outputs", Op: "DeformConv", In: Vals(Normal(1, 1, 2, 600), Normal(2, 1, 2, 2), Between(3, -3.9, -3.1, 1, 2, 599))},
		{Name: "three dimensions", Op: "DeformConv", In: Vals(Normal(1, 1, 1, 3, 3, 3), Normal(2, 2, 1, 2, 2, 1), Between(3, 0.1, 0.9, 1, 12, 2, 2, 3), Normal(4, 2), Normal(5, 1, 4, 2, 2, 3))},
		{Name: "no images", Op: "DeformConv", In: Vals(Normal(1, 0, 3, 5, 4), Normal(2, 4, 3, 2, 3), Normal(3, 0, 12, 4, 2))},
	})
}

func TestDeformConvGradErrors(t *testing.T) {
	x, w, zero := count(1, 1, 3, 3), ones(1, 1, 2, 2), make([]float32, 32)
	Run(t, []Case{
		{Domain: ops.Private, Op: "DeformConvGrad", Opset: 1, In: Vals(x, w, F32([]int{1, 8, 2, 2}, zero...), nil, count(1, 1, 2, 3)), Want: Vals(x), Err: "dY is float32 [1 1 2 3], want float32 [1 1 2 2]"},
		{Domain: ops.Private, Op: "DeformConvGrad", Opset: 1, In: Vals(x, w, F32([]int{1, 4, 2, 4}, zero...), nil, count(1, 1, 2, 2)), Want: Vals(x), Err: "offset has shape [1 4 2 4], want [1 8 2 2]"},
	})
}
