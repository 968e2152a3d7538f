package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// RMSNormalization: Y = X / sqrt(mean(X²) + epsilon) * scale, the mean over the
// dimensions from axis on.
//
//	X: T[d0...]    scale: V, broadcasts to X    Y: V[d0...]; may share X's storage
//
// The mean is made in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RMSNormalization.html (23)
func init() {
	register(&Op{Name: "RMSNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 23, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferRMSNormalization, Build: buildSimplifiedLayerNorm},
	}})
}

func inferRMSNormalization(c *InferContext) error {
	c.Ignore("axis", "epsilon", "stash_type")
	c.Out[0] = c.In(0)
	c.Out[0].DType = c.In(1).DType
	return nil
}

// gradRMSNormalization is also the gradient of SimplifiedLayerNormalization, whose
// statistics have none.
func gradRMSNormalization(c *GradContext) []*onnx.Value {
	if c.DOut[0] == nil || len(c.DOut) > 1 && c.DOut[1] != nil {
		c.Fail(fmt.Errorf("%w: the gradient of the statistics of %s", ErrUnsupported, c.Node().Op))
		return nil
	}
	g := c.rowNormGrads(c.DOut[0], c.X(0), c.X(1), nil, c.Attr.Int("axis", -1), float64(c.Attr.Float("epsilon", 1e-5)), false, [3]bool{c.Needs(0), c.Needs(1)})
	return g[:2]
}
