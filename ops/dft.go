package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// DFT: y[k] = Σn exp(-2πi·kn/N)·x[n] along axis, or with inverse = 1
// x[n] = 1/N·Σk exp(2πi·kn/N)·y[k].
//
//	input: T[..., 1] (real) or T[..., 2] (real and imaginary parts)
//	dft_length (optional): N, scalar; the signal is cut or filled with zeros
//	axis (since 20; before, an attribute, default 1): scalar, default -2; not the last dimension
//	output: T[..., 2] with N elements along axis
//
// With onesided = 1 the transform of a real input gives N/2+1 elements; the
// inverse takes as many and gives T[..., 1], N by default 2·(n-1). Computed in
// float64, for any N.
//
// Spec: https://onnx.ai/onnx/operators/onnx__DFT.html (17, 20)
func init() {
	register(&Op{Name: "DFT", Numerics: Rounding, Versions: []Version{
		{Since: 17, In: Arity{1, 2}, Out: N(1), Infer: inferDFT, Build: buildDFT},
		{Since: 20, In: Arity{1, 3}, Out: N(1), Infer: inferDFT, Build: buildDFT},
	}})
}

// dftAttrs reads the attributes; axisGiven is false if the axis is an input.
func dftAttrs(a *attrs, opset int) (d dft, axis int) {
	axis = -2
	if opset < 20 {
		axis = a.Int("axis", 1)
	}
	return dft{inverse: a.Bool("inverse", false), onesided: a.Bool("onesided", false)}, axis
}

func inferDFT(c *InferContext) error {
	d, axis := dftAttrs(&c.attrs, c.Opset())
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if len(x.Dims) < 2 {
		return nil
	}
	dims := append([]onnx.Dim(nil), x.Dims...)
	last := len(dims) - 1
	dims[last] = onnx.Size(2)
	if d.inverse && d.onesided {
		dims[last] = onnx.Size(1)
	}
	if c.Has(2) {
		a, ok := knownInt(c, 2).Size()
		if !ok {
			for i := range dims[:last] {
				dims[i] = onnx.Dim{}
			}
			c.Out[0] = onnx.TensorType(x.DType, dims...)
			return nil
		}
		axis = a
	}
	a, err := tensor.Axis(axis, len(dims))
	if err != nil {
		return err
	}
	if a == last {
		return fmt.Errorf("axis %d is the last dimension, which holds the parts of numbers", axis)
	}
	n := dims[a]
	switch {
	case c.Has(1):
		n = knownInt(c, 1)
	case d.inverse && d.onesided:
		n = n.Sub(onnx.Size(1)).Mul(onnx.Size(2))
	}
	if d.onesided && !d.inverse {
		n = n.FloorDiv(onnx.Size(2)).Add(onnx.Size(1))
	}
	dims[a] = n
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildDFT(b *BuildContext) (Kernel, error) {
	d, axis := dftAttrs(&b.attrs, b.Opset())
	return b.realKernels(0, dftKernel[float32](d, axis), dftKernel[float64](d, axis))
}

func dftKernel[T floating](d dft, axis int) Kernel {
	return func(c *Call) error {
		d, axis := d, axis
		xt := c.T(0)
		if v, ok, err := scalarInt(c, 2, "axis"); err != nil {
			return err
		} else if ok {
			axis = v
		}
		a, err := tensor.Axis(axis, xt.Rank())
		if err != nil {
			return err
		}
		last := xt.Rank() - 1
		parts := xt.Dim(last)
		if a == last || parts != 1 && parts != 2 {
			return fmt.Errorf("input has shape %v and axis is %d, want a last dimension of 1 or 2 and another axis", xt.Shape(), axis)
		}
		if d.onesided && !d.inverse && parts == 2 {
			return fmt.Errorf("input has shape %v, want a real one for onesided = 1", xt.Shape())
		}
		outer, n, inner := splitAxis(xt.Shape()[:last], a)
		var ok bool
		if d.n, ok, err = scalarInt(c, 1, "dft_length"); err != nil {
			return err
		}
		if !ok {
			d.n = n
			if d.inverse && d.onesided {
				d.n = 2 * (n - 1)
			}
		}
		if d.n < 1 {
			return fmt.Errorf("dft_length is %d, want 1 or more", d.n)
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		shape := c.list(xt.Shape()...)
		shape[a], shape[last] = d.outputs()
		y, done := realsOut[T](c, 0, xt.DType(), shape...)
		runDFT(c, d, y, x, outer, n, inner, parts)
		done()
		return nil
	}
}

// gradDFT: the transform is linear, so the gradient is by its conjugate transpose, a
// DFT too: N·DFT⁻¹ of dY, or DFT/N for the inverse. onesided leaves conjugates out: of
// them the transform has zeros for dY, and the inverse twice the real parts.
func gradDFT(c *GradContext) []*onnx.Value {
	x, dy, length, axis := c.X(0), c.DOut[0], c.X(1), c.X(2)
	d, _ := dftAttrs(&c.Attr, 20)
	at := c.Ints(-2)
	if axis != nil {
		at = c.Op("Reshape", nil, c.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), axis), c.Ints(1))
	}
	along := func(v *onnx.Value) *onnx.Value { return c.Op("Gather", nil, c.Op("Shape", nil, v), at) }
	number := func(v int64) *onnx.Value { return c.Const(tensor.Scalar(v)) }
	float := func(v *onnx.Value) *onnx.Value { return c.Op("Cast", onnx.NewAttrs("to", int(c.DType())), v) }
	var back *onnx.Value
	if !d.inverse {
		n := length
		if n == nil {
			n = c.Op("Squeeze", nil, along(x))
		}
		back = c.Times(c.Op("DFT", onnx.NewAttrs("inverse", 1), dy, n, axis), float(n))
	} else {
		n := along(dy)
		back = c.Over(c.Op("DFT", onnx.NewAttrs("onesided", d.onesided), dy, nil, axis), float(n))
		if d.onesided {
			count := along(back)
			k := c.Op("Range", nil, number(0), c.Op("Squeeze", nil, count), number(1))
			alone := c.Op("Or", nil, c.Op("Equal", nil, k, number(0)), c.Op("Equal", nil, c.Plus(k, k), n))
			rank := c.Op("Shape", nil, c.Op("Shape", nil, back))
			shape := c.Op("ScatterElements", nil, c.Op("Expand", nil, number(1), rank), at, count)
			back = c.Times(back, c.Op("Reshape", nil, c.Op("Where", nil, alone, c.Scalar(1), c.Scalar(2)), shape))
		}
	}
	if sameShape(back.Type, x.Type) {
		return []*onnx.Value{back}
	}
	// The input may have been cut or filled up, and may have real parts only.
	ends := c.Op("Concat", onnx.NewAttrs("axis", 0), c.Ints(0, 0), c.Minus(along(x), along(back)), c.Minus(c.Op("Shape", onnx.NewAttrs("start", -1), x), c.Ints(2)))
	return []*onnx.Value{c.Op("Pad", nil, back, ends, nil, c.Op("Concat", onnx.NewAttrs("axis", 0), at, c.Ints(-1)))}
}
