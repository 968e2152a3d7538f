package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MaxUnpool: the partial inverse of MaxPool: zeros, with X[i] at flat index I[i]
// of the shape that kernel_shape, strides and pads give. A larger output_shape
// surrounds that with zeros at the ends.
//
//	X: T[n, c, d…]    I: int64, shape of X    output_shape: int64[rank], optional    output: T[n, c, o…]
//	o = (d-1)·strides + kernel_shape - pads
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__MaxUnpool.html
func init() {
	register(&Op{
		Name: "MaxUnpool",
		Versions: []Version{
			// 11 says what the defaults are, 22 added bfloat16.
			{Since: 9, In: Arity{2, 3}, Out: N(1), Infer: inferMaxUnpool, Build: buildMaxUnpool},
		},
	})
}

func readMaxUnpool(a *attrs) windowParams {
	p := windowParams{autoPad: "NOTSET", kernel: a.Ints("kernel_shape", nil), strides: a.Ints("strides", nil), pads: a.Ints("pads", nil)}
	p.check(a, "kernel_shape", p.kernel, 1)
	p.check(a, "strides", p.strides, 1)
	p.check(a, "pads", p.pads, 0)
	return p
}

func inferMaxUnpool(c *InferContext) error {
	p := readMaxUnpool(&c.attrs)
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked || c.err != nil {
		return nil
	}
	if c.Has(2) {
		dims, ok := c.KnownInts(2)
		if !ok {
			dims = make([]onnx.Dim, len(x.Dims))
		}
		c.Out[0] = onnx.TensorType(x.DType, dims...)
		return nil
	}
	d := len(x.Dims) - 2
	if d < 0 {
		return fmt.Errorf("X is %v, want rank at least 2", x)
	}
	strides, _, pads, err := p.lists(d)
	if err != nil || len(p.kernel) != d {
		return fmt.Errorf("kernel_shape %v, strides %v and pads %v for %v", p.kernel, p.strides, p.pads, x)
	}
	dims := slices.Clone(x.Dims)
	for i := range d {
		dims[i+2] = x.Dims[i+2].Sub(onnx.Size(1)).Mul(onnx.Size(strides[i])).Add(onnx.Size(p.kernel[i] - pads[i] - pads[i+d]))
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildMaxUnpool(b *BuildContext) (Kernel, error) {
	p := readMaxUnpool(&b.attrs)
	return b.dispatch(0, byType{
		tensor.Float32: maxUnpoolKernel[float32](p), tensor.Float64: maxUnpoolKernel[float64](p),
		tensor.Float16: maxUnpoolKernel[tensor.F16](p), tensor.BFloat16: maxUnpoolKernel[tensor.BF16](p),
	})
}

func maxUnpoolKernel[T tensor.Element](p windowParams) Kernel {
	return func(c *Call) error {
		x, index := c.T(0), c.T(1)
		d := x.Rank() - 2
		if d < 1 || !slices.Equal(x.Shape(), index.Shape()) || index.DType() != tensor.Int64 {
			return fmt.Errorf("X is %v and I is %v, want [n c d…] and int64 of the same shape", x, index)
		}
		strides, _, pads, err := p.lists(d)
		if err != nil || len(p.kernel) != d {
			return fmt.Errorf("kernel_shape %v, strides %v and pads %v for shape %v", p.kernel, p.strides, p.pads, x.Shape())
		}
		inner := slices.Clone(x.Shape())
		for i := range d {
			inner[i+2] = (x.Dim(i+2)-1)*strides[i] + p.kernel[i] - pads[i] - pads[i+d]
		}
		size, err := tensor.Count(inner)
		if err != nil {
			return err
		}
		shape := inner
		if given, err := c.Ints(2); err != nil {
			return err
		} else if given != nil {
			if len(given) != len(inner) {
				return fmt.Errorf("output_shape is %v, want %d dimensions", given, len(inner))
			}
			for i := range given {
				if given[i] < inner[i] {
					return fmt.Errorf("output_shape is %v, want at least %v", given, inner)
				}
			}
			shape = given
		}
		y := tensor.Data[T](c.Output(0, x.DType(), shape...))
		clear(y)
		strideIn, strideOut := tensor.Strides(inner), tensor.Strides(shape)
		at := tensor.Data[int64](index)
		same := slices.Equal(inner, shape)
		for i, v := range tensor.Data[T](x) {
			k := int(at[i])
			if k < 0 || k >= size {
				return fmt.Errorf("I has %d at %d, want an index into %v", k, i, inner)
			}
			if !same {
				flat := k
				k = 0
				for j, s := range strideIn {
					k += flat / s * strideOut[j]
					flat %= s
				}
			}
			y[k] = v
		}
		return nil
	}
}
