package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Compress: the slices of input along axis (without axis: the elements) for
// which condition is true. What condition is too short for is left out.
//
//	input: T[...], condition: bool[k]    output: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Compress.html
func init() {
	register(&Op{
		Name:     "Compress",
		Versions: []Version{{Since: 9, In: N(2), Out: N(1), Infer: inferCompress, Build: buildCompress}},
	})
}

func inferCompress(c *InferContext) error {
	x := c.In(0)
	c.setRank(0, x.DType, 1)
	if !c.HasAttr("axis") {
		return nil
	}
	axis := c.Int("axis", 0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if x.Ranked {
		a, err := tensor.Axis(axis, len(x.Dims))
		if err != nil {
			return err
		}
		c.Out[0] = onnx.TensorType(x.DType, append([]onnx.Dim{}, x.Dims...)...)
		c.Out[0].Dims[a] = onnx.Dim{}
	}
	return nil
}

func buildCompress(b *BuildContext) (Kernel, error) {
	given := b.HasAttr("axis")
	axis := b.Int("axis", 0)
	return bytewise(func(c *Call) error {
		x, cond := c.T(0), c.T(1)
		if cond.DType() != tensor.Bool {
			return unsupportedType(1, cond.DType())
		}
		s := c.list(x.Len())
		a := 0
		if given {
			s = c.list(x.Shape()...)
			var err error
			if a, err = tensor.Axis(axis, len(s)); err != nil {
				return err
			}
		}
		idx := Scratch[int64](c, cond.Len())[:0]
		for i, v := range tensor.Data[bool](cond) {
			if v && i < s[a] {
				idx = append(idx, int64(i))
			}
		}
		outer, n, inner := sizeOf(s[:a]), s[a], sizeOf(s[a+1:])
		s[a] = len(idx)
		y := c.Output(0, x.DType(), s...)
		moverOf(x.DType()).gather(c.P, y, x, idx, outer, n, inner)
		return nil
	}, 0), nil
}

// gradCompress: zeros with dY where condition holds.
func gradCompress(c *GradContext) []*onnx.Value {
	x, axis := c.X(0), 0
	shape := c.shapeOf(x)
	if c.Attr.HasAttr("axis") {
		axis = c.Attr.Int("axis", 0)
	} else {
		shape = c.Op("Reshape", nil, c.Op("Size", nil, x), c.Ints(1))
	}
	size := c.Op("Gather", nil, shape, c.Ints(axis))
	given := c.Op("Slice", nil, c.X(1), c.Ints(0), size) // what is longer than the dimension says nothing
	at := c.Op("Reshape", nil, c.Op("NonZero", nil, given), c.Ints(-1))
	d := c.Ops(Private, "GatherGrad", onnx.NewAttrs("axis", axis), 1, c.DOut[0], shape, at)[0]
	return []*onnx.Value{c.Like(d, x)}
}
