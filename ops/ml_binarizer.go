package ops

import "github.com/gneiss-run/gneiss/tensor"

// Binarizer: Y = 1 where X > threshold, else 0.
//
//	X: float32, float64, int64 or int32 [...]    Y: the same type and shape
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_Binarizer.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "Binarizer",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferBinarizer, Build: buildBinarizer},
		},
	})
}

func inferBinarizer(c *InferContext) error {
	c.Float("threshold", 0)
	return inferSame(c)
}

func buildBinarizer(b *BuildContext) (Kernel, error) {
	t := b.Float("threshold", 0)
	return b.dispatch(0, byType{
		tensor.Float32: binarize[float32](t), tensor.Float64: binarize[float64](t),
		tensor.Int64: binarize[int64](t), tensor.Int32: binarize[int32](t),
	})
}

func binarize[T float32 | float64 | int64 | int32](threshold float32) Kernel {
	limit := float64(threshold)
	return func(c *Call) error {
		x := c.T(0)
		y := tensor.Data[T](c.Output(0, x.DType(), x.Shape()...))
		for i, v := range tensor.Data[T](x) {
			y[i] = 0
			if float64(v) > limit {
				y[i] = 1
			}
		}
		return nil
	}
}
