package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Shape: shape = dimensions [start, end) of data; both are clamped, negative
// ones count from the end.
//
//	data: T[...]    shape: int64[n]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Shape.html
func init() {
	register(&Op{
		Name: "Shape",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferShape, Build: buildShape},
			// 15 added start and end, which an older model does not have.
		},
	})
}

// shapeRange clamps start and end to the rank.
func shapeRange(start, end, rank int) (int, int) {
	clamp := func(v int) int {
		if v < 0 {
			v += rank
		}
		return min(max(v, 0), rank)
	}
	start, end = clamp(start), clamp(end)
	return start, max(start, end)
}

func inferShape(c *InferContext) error {
	start := c.Int("start", 0)
	end := c.Int("end", 1<<30)
	c.setRank(0, tensor.Int64, 1)
	if x := c.In(0); x.Ranked {
		s, e := shapeRange(start, end, len(x.Dims))
		c.Out[0].Dims[0] = onnx.Size(e - s)
		c.SetInts(0, append([]onnx.Dim{}, x.Dims[s:e]...))
	}
	return nil
}

func buildShape(b *BuildContext) (Kernel, error) {
	start, end := b.Int("start", 0), b.Int("end", 1<<30)
	return func(c *Call) error {
		shape := c.T(0).Shape()
		s, e := shapeRange(start, end, len(shape))
		out := tensor.Data[int64](c.Output(0, tensor.Int64, e-s))
		for i, d := range shape[s:e] {
			out[i] = int64(d)
		}
		return nil
	}, nil
}
