package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// x.GatherNDGrad: the gradient of the data of GatherND, whose shape is given: each
// element gets the sum of dY at the places that take it, added in the order of
// indices. This operator is private: gradients write it.
//
//	dY: T[b…, i…, d[k:]…], indices: int64[b…, i…, k], shape: int64[r]    dX: T[shape]
//
// T: float16, bfloat16 (both summed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GatherND.html
func gatherNDGradOp() *Op {
	return &Op{
		Domain: Private, Name: "GatherNDGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: func(c *InferContext) error { return inferShapedBy(c, 2) }, Build: buildGatherNDGrad}},
	}
}

func buildGatherNDGrad(b *BuildContext) (Kernel, error) {
	batch := b.Int("batch_dims", 0)
	f32 := gatherNDGradKernel(batch)
	half := throughFloat32(f32, 0)
	return b.need(0, byType{tensor.Float32: f32, tensor.Float64: gatherNDGradKernel(batch), tensor.Float16: half, tensor.BFloat16: half})
}

func gatherNDGradKernel(batch int) Kernel {
	return func(c *Call) error {
		d := c.T(0)
		s, err := c.shaped(2)
		if err != nil {
			return err
		}
		to, n, err := tupleOffsets(c, s, batch)
		if err != nil {
			return err
		}
		is := c.T(1).Shape()
		want := append(append([]int{}, is[:len(is)-1]...), s[batch+is[len(is)-1]:]...)
		if !slices.Equal(d.Shape(), want) {
			return fmt.Errorf("dY has shape %v, want %v", d.Shape(), want)
		}
		y := c.Output(0, d.DType(), s...)
		zero(y)
		combiner{y, d, to, n, "add"}.run(c.P)
		return nil
	}
}
