package ops

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// GridSample (com.microsoft): GridSample of the standard for images, with the names that modes have in version 16.
//
//	X: T[n, c, h, w]    Grid: T[n, h', w', 2]    Y: T[n, c, h', w']
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GridSample
func init() {
	register(&Op{Domain: "com.microsoft", Name: "GridSample", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(2), Out: N(1), Infer: inferGridSample, Build: buildGridSample, Expand: func(c *ExpandContext) ([]*onnx.Value, error) {
			return c.at("GridSample", 16, slices.Clone(c.node.Attrs), 1, c.value(0), c.value(1)), nil
		}},
	}})
}
