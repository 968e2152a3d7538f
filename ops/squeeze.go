package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// Squeeze: data without the dimensions axes, which must be 1; without axes,
// all dimensions of size 1 go.
//
//	data: T[...], axes: int64[k], optional    squeezed: T[...]; shares data's storage
//
// Spec: https://onnx.ai/onnx/operators/onnx__Squeeze.html
func init() {
	register(&Op{
		Name: "Squeeze",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferSqueeze1, Build: buildSqueeze1},
			// 11 allowed negative axes, 13 made axes an input.
			{Since: 13, In: Arity{1, 2}, Out: N(1), Infer: inferSqueeze, Build: buildSqueeze},
		},
	})
}

func gradSqueeze(c *GradContext) []*onnx.Value { return []*onnx.Value{c.Like(c.DOut[0], c.X(0))} }

func inferSqueeze1(c *InferContext) error {
	has := c.HasAttr("axes")
	return inferSqueezeOf(c, c.Ints("axes", nil), has)
}

func inferSqueeze(c *InferContext) error {
	axes, ok := c.sizesKnown(1)
	if c.Has(1) && !ok {
		x := c.In(0)
		c.Out[0] = onnx.UnrankedType(x.DType)
		if n, ok := c.vectorLen(1); ok && x.Ranked && n <= len(x.Dims) {
			c.setRank(0, x.DType, len(x.Dims)-n)
		}
		return nil
	}
	return inferSqueezeOf(c, axes, c.Has(1))
}

func inferSqueezeOf(c *InferContext, axes []int, given bool) error {
	x := c.In(0)
	if v, ok := c.KnownInts(0); ok && len(v) == 1 {
		c.SetInts(0, v)
	} else if ok && given && len(axes) == 0 {
		c.SetInts(0, v)
	}
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked {
		return nil
	}
	if !given {
		var out []onnx.Dim
		for _, d := range x.Dims {
			if _, ok := d.Size(); !ok {
				return nil // may be 1
			}
			if !d.Is(1) {
				out = append(out, d)
			}
		}
		c.Out[0] = onnx.TensorType(x.DType, out...)
		return nil
	}
	axes, err := normAxes(axes, len(x.Dims))
	if err != nil {
		return err
	}
	var out []onnx.Dim
	for i, d := range x.Dims {
		if !slices.Contains(axes, i) {
			out = append(out, d)
		} else if n, ok := d.Size(); ok && n != 1 {
			return fmt.Errorf("dimension %d of data is %d, want 1", i, n)
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, out...)
	return nil
}

func squeeze(c *Call, axes []int, given bool) error {
	s := c.T(0).Shape()
	out := c.Dims(len(s))[:0]
	axes, err := normAxesInto(c.Dims(len(axes)), axes, len(s))
	if err != nil {
		return err
	}
	for i, d := range s {
		switch {
		case given && !slices.Contains(axes, i), !given && d != 1:
			out = append(out, d)
		case d != 1:
			return fmt.Errorf("dimension %d of data is %d, want 1", i, d)
		}
	}
	return c.reshaped(out)
}

func buildSqueeze1(b *BuildContext) (Kernel, error) {
	given := b.HasAttr("axes")
	axes := b.Ints("axes", nil)
	return func(c *Call) error { return squeeze(c, axes, given) }, nil
}

func buildSqueeze(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		axes, err := c.Ints(1)
		if err != nil {
			return err
		}
		return squeeze(c, axes, c.Has(1))
	}, nil
}
