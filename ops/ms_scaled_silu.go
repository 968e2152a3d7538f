package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ScaledSiLU (com.microsoft): Y = Z · sigmoid(Z) of Z = scale · X, each rounded to T.
//
//	X, Y: T[...]    scale (optional): M[], instead of attribute alpha
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.ScaledSiLU
func init() {
	register(&Op{Domain: "com.microsoft", Name: "ScaledSiLU", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{1, 2}, Out: N(1), Expand: expandScaledSiLU},
	}})
}

func expandScaledSiLU(c *ExpandContext) ([]*onnx.Value, error) {
	z := c.value(0)
	alpha := float64(c.attrs.Float("alpha", 1))
	switch {
	case c.Has(1):
		z = c.backFrom32(c.Op("Mul", nil, c.asFloat32(z), c.asFloat32(c.value(1))), c.In(0))
	case alpha != 1:
		z = c.backFrom32(c.Op("Mul", nil, c.asFloat32(z), c.Builder.Float(tensor.Float32, alpha)), c.In(0))
	}
	return []*onnx.Value{c.Op("Mul", nil, z, c.Op("Sigmoid", nil, z))}, nil
}
