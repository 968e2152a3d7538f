package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.SliceGrad: zeros of the given shape with dY at the places that Slice takes from
// such a tensor. This operator is private: gradients write it.
//
//	dY: T[...], shape: int64[r], starts, ends, axes (optional), steps (optional): as for Slice    dX: T[shape]
//
// T: any type of whole bytes.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Slice.html
func sliceGradOp() *Op {
	return &Op{
		Domain: Private, Name: "SliceGrad",
		Versions: []Version{{Since: 1, In: Arity{4, 6}, Out: N(1), Infer: inferShaped, Build: buildSliceGrad}},
	}
}

// inferShaped gives output 0 the element type of input 0 and the shape that input
// 1 holds.
func inferShaped(c *InferContext) error { return inferShapedBy(c, 1) }

// inferShapedBy gives output 0 the element type of input 0 and the shape that
// input i holds.
func inferShapedBy(c *InferContext, i int) error {
	c.Out[0] = onnx.UnrankedType(c.In(0).DType)
	if dims, ok := c.KnownInts(i); ok {
		c.Out[0] = onnx.TensorType(c.In(0).DType, dims...)
	} else if n, ok := c.vectorLen(i); ok {
		c.setRank(0, c.In(0).DType, n)
	}
	return nil
}

// shaped returns the shape that input i holds.
func (c *Call) shaped(i int) ([]int, error) {
	shape, err := c.Ints(i)
	if err == nil {
		_, err = tensor.Count(shape)
	}
	return shape, err
}

func buildSliceGrad(*BuildContext) (Kernel, error) {
	return bytewise(func(c *Call) error {
		s, err := c.shaped(1)
		if err != nil {
			return err
		}
		var args [4][]int
		for i := range args {
			if args[i], err = c.Ints(i + 2); err != nil {
				return err
			}
		}
		shape, ds, at, err := sliceSpan(c, s, args[0], args[1], args[2], args[3])
		if err != nil {
			return err
		}
		d := c.T(0)
		if !slices.Equal(d.Shape(), shape) {
			return fmt.Errorf("dY has shape %v, want %v", d.Shape(), shape)
		}
		y := c.Output(0, d.DType(), s...)
		if y.Len() > d.Len() {
			zero(y)
		}
		if d.Len() > 0 {
			moverOf(d.DType()).copy(c.P, y, d, strided{shape: shape, ds: ds, ss: c.strides(shape), do: at})
		}
		return nil
	}, 0), nil
}
