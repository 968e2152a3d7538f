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

// unpooling is where the elements of MaxUnpool's X go.
type unpooling struct {
	inner, shape []int // what kernel_shape, strides and pads give; that of the output
	size         int   // elements of inner
	at           []int64
	same         bool  // inner is shape
	from, to     []int // the strides of inner and shape
}

// readUnpooling checks indices, whose shape is that of X, and output_shape, input 2.
func readUnpooling(c *Call, p windowParams, index *tensor.Tensor) (u unpooling, err error) {
	d := index.Rank() - 2
	if d < 1 || index.DType() != tensor.Int64 {
		return u, fmt.Errorf("I is %v, want int64 [n c d…]", index)
	}
	strides, _, pads, err := p.listsIn(c.Dims, d)
	if err != nil || len(p.kernel) != d {
		return u, fmt.Errorf("kernel_shape %v, strides %v and pads %v for shape %v", p.kernel, p.strides, p.pads, index.Shape())
	}
	u.inner, u.at = c.list(index.Shape()...), tensor.Data[int64](index)
	for i := range d {
		u.inner[i+2] = (index.Dim(i+2)-1)*strides[i] + p.kernel[i] - pads[i] - pads[i+d]
	}
	if u.size, err = tensor.Count(u.inner); err != nil {
		return u, err
	}
	u.shape, u.same = u.inner, true
	given, err := c.Ints(2)
	if err != nil || given == nil {
		return u, err
	}
	if len(given) != len(u.inner) {
		return u, fmt.Errorf("output_shape is %v, want %d dimensions", given, len(u.inner))
	}
	for i := range given {
		if given[i] < u.inner[i] {
			return u, fmt.Errorf("output_shape is %v, want at least %v", given, u.inner)
		}
	}
	u.shape, u.same = given, slices.Equal(u.inner, given)
	u.from, u.to = c.strides(u.inner), c.strides(u.shape)
	return u, nil
}

// place returns the place in the output of element i of X.
func (u *unpooling) place(i int) (int, error) {
	flat := u.at[i]
	if flat < 0 || flat >= int64(u.size) {
		return 0, fmt.Errorf("I has %d at %d, want an index into %v", flat, i, u.inner)
	}
	if u.same {
		return int(flat), nil
	}
	k, left := 0, int(flat)
	for j, s := range u.from {
		k += left / s * u.to[j]
		left %= s
	}
	return k, nil
}

func maxUnpoolKernel[T tensor.Element](p windowParams) Kernel {
	return func(c *Call) error {
		x, index := c.T(0), c.T(1)
		if !slices.Equal(x.Shape(), index.Shape()) {
			return fmt.Errorf("X is %v and I is %v, want [n c d…] and int64 of the same shape", x, index)
		}
		u, err := readUnpooling(c, p, index)
		if err != nil {
			return err
		}
		y := tensor.Data[T](c.Output(0, x.DType(), u.shape...))
		clear(y)
		for i, v := range tensor.Data[T](x) {
			k, err := u.place(i)
			if err != nil {
				return err
			}
			y[k] = v
		}
		return nil
	}
}

// gradMaxUnpool: by x.MaxUnpoolGrad.
func gradMaxUnpool(c *GradContext) []*onnx.Value {
	return c.Ops(Private, "MaxUnpoolGrad", slices.Clone(c.Node().Attrs), 1, c.DOut[0], c.X(1), c.X(2))
}
