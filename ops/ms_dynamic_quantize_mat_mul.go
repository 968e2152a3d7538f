package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// DynamicQuantizeMatMul (com.microsoft): A is quantized to uint8 as
// DynamicQuantizeLinear does, multiplied with B in exact int32 sums, and the
// result is Y = sums · a_scale·b_scale + bias.
//
//	A: float32 [.., m, k]    B: u8 or i8 [.., k, n]    b_scale, b_zero_point: one or [n]
//	bias: float32 [n]        Y: float32 [.., m, n]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.DynamicQuantizeMatMul
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "DynamicQuantizeMatMul", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{3, 5}, Out: N(1), Infer: inferDynamicQuantizeMatMul, Build: buildDynamicQuantizeMatMul},
		},
	})
}

func inferDynamicQuantizeMatMul(c *InferContext) error { return inferMatShape(c, 0, 1, tensor.Float32) }

func buildDynamicQuantizeMatMul(b *BuildContext) (Kernel, error) {
	mat, err := buildIntMat(b, 0, 1)
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		x := c.T(0)
		if x == nil || x.DType() != tensor.Float32 {
			return fmt.Errorf("A is %v, want float32", c.In[0])
		}
		bytes := Scratch[uint8](c, x.Len())
		q := quantizeDynamically(c.P, bytes, tensor.Data[float32](x))
		return mat.toFloat(c, intLeft{bytes, tensor.Uint8, x.Shape()}, q.scale, q.zero, floatMatInputs{scale: 2, zero: 3, bias: 4})
	}, nil
}
