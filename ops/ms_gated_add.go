package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// GatedAdd (com.microsoft): output = X + Y · gate, gate one number for each row.
//
//	X, Y, output: T[…, n]    gate: T[…, 1]
//
// A gate that is computed here, from gate_weight, is not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GatedAdd
func init() {
	register(&Op{Domain: "com.microsoft", Name: "GatedAdd", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{3, 4}, Out: N(1), Expand: func(c *ExpandContext) ([]*onnx.Value, error) {
			if c.Has(3) {
				return nil, fmt.Errorf("%w: input gate_weight", ErrUnsupported)
			}
			return []*onnx.Value{c.Op("Add", nil, c.value(0), c.Op("Mul", nil, c.value(1), c.value(2)))}, nil
		}},
	}})
}
