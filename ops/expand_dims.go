package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ExpandDims: X with a new dimension of size 1 at axis, in [-rank-1, rank].
//
//	X: T[...], axis: int32[]    Y: T[...], rank + 1; shares X's storage
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.ExpandDims
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "ExpandDims",
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), Infer: inferExpandDims, Build: buildExpandDims, Expand: expandExpandDims}},
	})
}

func inferExpandDims(c *InferContext) error {
	x := c.In(0)
	if axis, ok := c.scalarKnown(1); ok {
		return inferUnsqueezeOf(c, []int{axis})
	}
	c.Out[0] = onnx.UnrankedType(x.DType)
	if x.Ranked {
		c.setRank(0, x.DType, len(x.Dims)+1)
	}
	return nil
}

func buildExpandDims(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		axes, err := c.Ints(1)
		if err != nil {
			return err
		}
		if len(axes) != 1 {
			return fmt.Errorf("axis has %d elements, want 1", len(axes))
		}
		return unsqueeze(c, axes)
	}, nil
}

// expandExpandDims: Unsqueeze.
func expandExpandDims(c *ExpandContext) ([]*onnx.Value, error) {
	axis := c.Op("Reshape", nil, c.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), c.value(1)), c.Builder.Ints(1))
	return []*onnx.Value{c.Op("Unsqueeze", nil, c.value(0), axis)}, nil
}
