package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// Unsqueeze: data with dimensions of size 1 at the places axes of the result.
//
//	data: T[...], axes: int64[k]    expanded: T[...], rank + k; shares data's storage
//
// Spec: https://onnx.ai/onnx/operators/onnx__Unsqueeze.html
func init() {
	register(&Op{
		Name: "Unsqueeze",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferUnsqueeze1, Build: buildUnsqueeze1},
			// 11 allowed negative axes, 13 made axes an input.
			{Since: 13, In: N(2), Out: N(1), Infer: inferUnsqueeze, Build: buildUnsqueeze},
		},
	})
}

func gradUnsqueeze(c *GradContext) []*onnx.Value { return []*onnx.Value{c.Like(c.DOut[0], c.X(0))} }

func inferUnsqueeze1(c *InferContext) error { return inferUnsqueezeOf(c, c.Ints("axes", nil)) }

func inferUnsqueeze(c *InferContext) error {
	axes, ok := c.sizesKnown(1)
	if !ok {
		x := c.In(0)
		c.Out[0] = onnx.UnrankedType(x.DType)
		if n, ok := c.vectorLen(1); ok && x.Ranked {
			c.setRank(0, x.DType, len(x.Dims)+n)
		}
		return nil
	}
	return inferUnsqueezeOf(c, axes)
}

func inferUnsqueezeOf(c *InferContext, axes []int) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked {
		return nil
	}
	if v, ok := c.KnownInts(0); ok && len(x.Dims)+len(axes) <= 1 {
		c.SetInts(0, v)
	}
	at, err := unsqueezed(len(x.Dims), axes)
	if err != nil {
		return err
	}
	out := make([]onnx.Dim, len(at))
	for i, k := range at {
		out[i] = onnx.Size(1)
		if k >= 0 {
			out[i] = x.Dims[k]
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, out...)
	return nil
}

// unsqueezed returns, for each dimension of the result, the dimension of data
// that it is, or -1 for a new one.
func unsqueezed(rank int, axes []int) ([]int, error) {
	return unsqueezedInto(func(n int) []int { return make([]int, n) }, rank, axes)
}

func unsqueezedInto(ints func(n int) []int, rank int, axes []int) ([]int, error) {
	if len(axes) > 1<<16 {
		return nil, fmt.Errorf("axes has %d elements", len(axes))
	}
	norm, err := normAxesInto(ints(len(axes)), axes, rank+len(axes))
	if err != nil {
		return nil, err
	}
	at := ints(rank + len(axes))
	clear(at)
	for _, a := range norm {
		at[a] = -1
	}
	k := 0
	for i := range at {
		if at[i] == 0 {
			at[i] = k
			k++
		}
	}
	return at, nil
}

func unsqueeze(c *Call, axes []int) error {
	s := c.T(0).Shape()
	at, err := unsqueezedInto(c.Dims, len(s), axes)
	if err != nil {
		return err
	}
	for i, k := range at {
		at[i] = 1
		if k >= 0 {
			at[i] = s[k]
		}
	}
	return c.reshaped(at)
}

func buildUnsqueeze1(b *BuildContext) (Kernel, error) {
	axes := b.Ints("axes", nil)
	return func(c *Call) error { return unsqueeze(c, axes) }, nil
}

func buildUnsqueeze(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		axes, err := c.Ints(1)
		if err != nil {
			return err
		}
		return unsqueeze(c, axes)
	}, nil
}
