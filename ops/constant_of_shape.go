package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ConstantOfShape: a tensor of shape input, every element value (default: the
// float32 0).
//
//	input: int64[r]    output: T[input]
//
// Spec: https://onnx.ai/onnx/operators/onnx__ConstantOfShape.html
func init() {
	register(&Op{
		Name:     "ConstantOfShape",
		Versions: []Version{{Since: 9, In: N(1), Out: N(1), Infer: inferConstantOfShape, Build: buildConstantOfShape}},
	})
}

// fillValue returns the attribute value, a tensor of one element.
func fillValue(a *attrs) (*tensor.Tensor, error) {
	v := a.Tensor("value")
	if v == nil {
		return tensor.Scalar(float32(0)), nil
	}
	if v.Len() != 1 {
		return nil, fmt.Errorf("attribute %q has %d elements, want 1", "value", v.Len())
	}
	return v, nil
}

func inferConstantOfShape(c *InferContext) error {
	v, err := fillValue(&c.attrs)
	if err != nil {
		return err
	}
	c.Out[0] = onnx.UnrankedType(v.DType())
	shape, ok := c.KnownInts(0)
	if !ok {
		if n, ok := c.vectorLen(0); ok && n <= 1024 {
			c.setRank(0, v.DType(), n)
		}
		return nil
	}
	c.Out[0] = onnx.TensorType(v.DType(), shape...)
	one, ok := tensorInts(v)
	if !ok && v.Rank() > 1 {
		r, err := v.Reshape(1)
		if err != nil {
			return err
		}
		one, ok = tensorInts(r)
	}
	if ok && len(shape) <= 1 {
		n, known := 1, true
		if len(shape) == 1 {
			n, known = shape[0].Size()
		}
		if known && n >= 0 && n <= 1024 {
			out := make([]onnx.Dim, n)
			for i := range out {
				out[i] = one[0]
			}
			c.SetInts(0, out)
		}
	}
	return nil
}

func buildConstantOfShape(b *BuildContext) (Kernel, error) {
	v, err := fillValue(&b.attrs)
	if err != nil {
		return nil, err
	}
	d := v.DType()
	unpacked := v
	if d.IsPacked() {
		unpacked = unpackBits(v)
	}
	return func(c *Call) error {
		shape, err := c.Ints(0)
		if err != nil {
			return err
		}
		y := c.Output(0, d, shape...)
		if y.Len() == 0 {
			return nil
		}
		if d.IsPacked() { // one byte holds equal elements
			pattern := byte(0)
			for i := 0; i < 8; i += d.Bits() {
				pattern |= unpacked.Bytes()[0] << i
			}
			for i := range y.Bytes() {
				y.Bytes()[i] = pattern
			}
			if left := y.Len() * d.Bits() % 8; left > 0 {
				y.Bytes()[len(y.Bytes())-1] &= 1<<left - 1
			}
			return nil
		}
		moverOf(d).fill(c.P, y, 0, y.Len(), v, 0)
		return nil
	}, nil
}
