package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// GatherElements: output[i0, i1, …] = data[i0, …, indices[i0, i1, …], …], with
// the index at place axis.
//
//	data: T[...], indices: int32 or int64[...], same rank    output: T, shape of indices
//
// Spec: https://onnx.ai/onnx/operators/onnx__GatherElements.html
func init() {
	register(&Op{
		Name:     "GatherElements",
		Versions: []Version{{Since: 11, In: N(2), Out: N(1), Infer: inferGatherElements, Build: buildGatherElements}},
	})
}

func gradGatherElements(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.scatteredAdd(c.X(0), c.X(1), c.DOut[0], c.Attr.Int("axis", 0))}
}

func inferGatherElements(c *InferContext) error {
	x, idx := c.In(0), c.In(1)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if idx.Ranked {
		c.Out[0] = onnx.TensorType(x.DType, idx.Dims...)
	}
	axis := c.Int("axis", 0)
	if x.Ranked {
		if _, err := tensor.Axis(axis, len(x.Dims)); err != nil {
			return err
		}
	}
	return nil
}

func buildGatherElements(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", 0)
	return bytewise(func(c *Call) error {
		x := c.T(0)
		a, err := tensor.Axis(axis, x.Rank())
		if err != nil {
			return err
		}
		from, n, err := elementOffsets(c, a, x.Shape())
		if err != nil {
			return err
		}
		y := c.Output(0, x.DType(), c.T(1).Shape()...)
		moverOf(x.DType()).blocks(c.P, y, nil, x, from, n, len(from))
		return nil
	}, 0), nil
}

// scatteredAdd returns zeros of like's shape to which v is added at indices along
// axis, as ScatterElements does.
func (c *GradContext) scatteredAdd(like, indices, v *onnx.Value, axis int) *onnx.Value {
	return c.Op("ScatterElements", onnx.NewAttrs("axis", axis, "reduction", "add"), c.Zeros(like), indices, v)
}
