package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// CenterCropPad: input_data cut or padded with zeros around its centre to the
// sizes shape along axes. Of an odd number of elements the larger part is cut
// or added at the end.
//
//	input_data: T[...], shape: int32 or int64[k]    output_data: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__CenterCropPad.html
func init() {
	register(&Op{
		Name:     "CenterCropPad",
		Versions: []Version{{Since: 18, In: N(2), Out: N(1), Infer: inferCenterCropPad, Build: buildCenterCropPad}},
	})
}

// cropAxes returns the axes that a shape of n sizes is for, in memory of ints.
func cropAxes(ints func(int) []int, rank, n int, axes []int, given bool) ([]int, error) {
	if !given {
		axes = ints(rank)
		for i := range axes {
			axes[i] = i
		}
	}
	if n != len(axes) {
		return nil, fmt.Errorf("shape has %d elements, want %d", n, len(axes))
	}
	return normAxesInto(ints(n), axes, rank)
}

func inferCenterCropPad(c *InferContext) error {
	x := c.In(0)
	given := c.HasAttr("axes")
	axes := c.Ints("axes", nil)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked {
		return nil
	}
	c.setRank(0, x.DType, len(x.Dims))
	want, ok := c.KnownInts(1)
	if !ok {
		return nil
	}
	axes, err := cropAxes(newInts, len(x.Dims), len(want), axes, given)
	if err != nil {
		return err
	}
	copy(c.Out[0].Dims, x.Dims)
	for i, a := range axes {
		c.Out[0].Dims[a] = want[i]
	}
	return nil
}

func buildCenterCropPad(b *BuildContext) (Kernel, error) {
	given := b.HasAttr("axes")
	attr := b.Ints("axes", nil)
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		want, err := c.Ints(1)
		if err != nil {
			return err
		}
		axes, err := cropAxes(c.Dims, len(s), len(want), attr, given)
		if err != nil {
			return err
		}
		shape := c.list(s...)
		for i, a := range axes {
			shape[a] = want[i]
		}
		y := c.Output(0, x.DType(), shape...)
		l := strided{shape: c.Dims(len(s)), ds: c.strides(shape), ss: c.strides(s)}
		whole := true
		for i, n := range s {
			l.shape[i] = min(n, shape[i])
			if n >= shape[i] {
				l.so += (n - shape[i]) / 2 * l.ss[i]
			} else {
				l.do += (shape[i] - n) / 2 * l.ds[i]
				whole = false
			}
		}
		if !whole {
			zero(y)
		}
		if !slices.Contains(l.shape, 0) {
			moverOf(x.DType()).copy(c.P, y, x, l)
		}
		return nil
	}, 0), nil
}

// gradCenterCropPad: cutting is undone by padding and padding by cutting, as both
// leave the smaller part of an odd number of elements at the front.
func gradCenterCropPad(c *GradContext) []*onnx.Value {
	size := c.shapeOf(c.X(0))
	if !c.Attr.HasAttr("axes") {
		return []*onnx.Value{c.Op("CenterCropPad", nil, c.DOut[0], size)}
	}
	axes := c.Attr.Ints("axes", nil)
	return []*onnx.Value{c.Op("CenterCropPad", onnx.NewAttrs("axes", axes), c.DOut[0], c.Op("Gather", nil, size, c.Ints(axes...)))}
}
