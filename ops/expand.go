package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Expand: input stretched to the shape that its own and shape broadcast to.
//
//	input: T[...], shape: int64[r]    output: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Expand.html
func init() {
	register(&Op{
		Name:     "Expand",
		Versions: []Version{{Since: 8, In: N(2), Out: N(1), Infer: inferExpand, Build: buildExpand}},
	})
}

func gradExpand(c *GradContext) []*onnx.Value { return []*onnx.Value{c.SumTo(c.DOut[0], c.X(0))} }

func inferExpand(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	want, ok := c.KnownInts(1)
	if !ok {
		if n, ok := c.vectorLen(1); ok && x.Ranked && n <= 1024 {
			c.setRank(0, x.DType, max(n, len(x.Dims)))
		}
		return nil
	}
	dims, ok, err := broadcastDims(x, onnx.TensorType(tensor.Int64, want...))
	if err != nil {
		return err
	}
	if !ok {
		return nil
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	if v, ok := c.KnownInts(0); ok && len(dims) == 1 && len(v) == 1 {
		if n, ok := dims[0].Size(); ok && n >= 0 && n <= 1024 {
			out := make([]onnx.Dim, n)
			for i := range out {
				out[i] = v[0]
			}
			c.SetInts(0, out)
		}
	}
	return nil
}

func buildExpand(*BuildContext) (Kernel, error) {
	return bytewise(func(c *Call) error {
		x := c.T(0)
		want, err := c.Ints(1)
		if err != nil {
			return err
		}
		for _, d := range want {
			if d < 0 {
				return fmt.Errorf("shape %v has dimension %d", want, d)
			}
		}
		shape, err := c.broadcast(x.Shape(), want)
		if err != nil {
			return err
		}
		if sizeOf(shape) == x.Len() {
			return c.reshaped(shape)
		}
		y := c.Output(0, x.DType(), shape...)
		moverOf(x.DType()).copy(c.P, y, x, strided{shape: c.list(shape...), ds: c.strides(shape), ss: c.broadcastStrides(x.Shape(), shape)})
		return nil
	}, 0), nil
}
