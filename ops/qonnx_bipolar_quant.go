package ops

import "github.com/gneiss-run/gneiss/onnx"

// BipolarQuant (qonnx.custom_op.general): y = scale where x is at least 0, else -scale.
//
//	x: T[…], scale: T[…], broadcast    y: T[…]
//
// T: float32, float64, float16, bfloat16.
//
// Spec: https://github.com/fastmachinelearning/qonnx/blob/main/docs/qonnx-custom-ops/bipolar_quant_op.md
func init() {
	register(&Op{Domain: qonnxDomain, Name: "BipolarQuant", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(2), Out: N(1), Expand: expandBipolarQuant},
	}})
}

func expandBipolarQuant(c *ExpandContext) ([]*onnx.Value, error) {
	q, err := newQONNX(c)
	if err != nil {
		return nil, err
	}
	return []*onnx.Value{q.two("Mul", q.signs(q.value(0)), q.value(1))}, nil
}
