package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// Flatten: input as a matrix; dimensions before axis make the rows.
//
//	input: T[d0, …]    output: T[d0*…*d(axis-1), d(axis)*…]; shares input's storage
//
// Spec: https://onnx.ai/onnx/operators/onnx__Flatten.html
func init() {
	register(&Op{
		Name:     "Flatten",
		Versions: []Version{{Since: 1, In: N(1), Out: N(1), Infer: inferFlatten, Build: buildFlatten}},
	})
}

func gradFlatten(c *GradContext) []*onnx.Value { return []*onnx.Value{c.Like(c.DOut[0], c.X(0))} }

// flattenAxis maps axis to [0, rank].
func flattenAxis(axis, rank int) (int, error) {
	if axis < -rank || axis > rank {
		return 0, fmt.Errorf("axis %d is not in [%d, %d]", axis, -rank, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

func inferFlatten(c *InferContext) error {
	x := c.In(0)
	c.setRank(0, x.DType, 2)
	axis := c.Int("axis", 1)
	if !x.Ranked {
		return nil
	}
	axis, err := flattenAxis(axis, len(x.Dims))
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(x.DType, productOf(x.Dims[:axis]), productOf(x.Dims[axis:]))
	return nil
}

func buildFlatten(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", 1)
	return func(c *Call) error {
		s := c.T(0).Shape()
		a, err := flattenAxis(axis, len(s))
		if err != nil {
			return err
		}
		return c.reshaped([]int{sizeOf(s[:a]), sizeOf(s[a:])})
	}, nil
}
