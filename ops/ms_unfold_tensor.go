package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// UnfoldTensor (com.microsoft): the slices of size elements along dimension dim that start at multiples of step;
// within a slice elements go along a new last dimension. As torch.Tensor.unfold.
//
//	input: T[…, n, …]    output: T[…, (n - size)/step + 1, …, size]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.UnfoldTensor
func init() {
	register(&Op{Domain: "com.microsoft", Name: "UnfoldTensor", Versions: []Version{
		{Since: 1, In: N(1), Out: N(1), Expand: expandUnfoldTensor},
	}})
}

func expandUnfoldTensor(c *ExpandContext) ([]*onnx.Value, error) {
	dim, size, step := c.attrs.Int("dim", -1), c.attrs.Int("size", 0), c.attrs.Int("step", 1)
	x := c.In(0)
	if size < 1 || step < 1 {
		return nil, fmt.Errorf("attributes \"size\" and \"step\" are %d and %d, want at least 1", size, step)
	}
	if !x.Ranked {
		return nil, fmt.Errorf("%w: input %v of unknown rank", ErrUnsupported, x)
	}
	rank := len(x.Dims)
	if dim < 0 {
		dim += rank
	}
	if dim < 0 || dim >= rank {
		return nil, fmt.Errorf("attribute \"dim\" is %d, the input %v", c.attrs.Int("dim", -1), x)
	}
	number := func(n int) *onnx.Value { return c.Const(tensor.Scalar(int64(n))) }
	starts := c.Op("Sub", nil, c.Op("Reshape", nil, c.sizeAt(c.value(0), dim), c.Builder.Ints()), number(size-1))
	starts = c.Op("Range", nil, number(0), starts, number(step))
	within := c.Op("Range", nil, number(0), number(size), number(1))
	at := c.Op("Add", nil, c.Op("Reshape", nil, starts, c.Builder.Ints(-1, 1)), within)
	y := c.Op("Gather", onnx.NewAttrs("axis", dim), c.value(0), at)
	if dim < rank-1 {
		var perm []int
		for i := range rank + 1 {
			if i != dim+1 {
				perm = append(perm, i)
			}
		}
		y = c.Op("Transpose", onnx.NewAttrs("perm", append(perm, dim+1)), y)
	}
	return []*onnx.Value{y}, nil
}
