package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// NonZero: the indices of the elements that are not zero, in row-major order;
// column j of Y is the j-th of them.
//
//	X: T[d0, …]    Y: int64[rank, n]
//
// NaN is not zero. Spec: https://onnx.ai/onnx/operators/onnx__NonZero.html
func init() {
	register(&Op{
		Name:     "NonZero",
		Versions: []Version{{Since: 9, In: N(1), Out: N(1), Infer: inferNonZero, Build: buildNonZero}},
	})
}

func inferNonZero(c *InferContext) error {
	c.setRank(0, tensor.Int64, 2)
	if x := c.In(0); x.Ranked {
		c.Out[0].Dims[0] = onnx.Size(len(x.Dims))
	}
	return nil
}

// nonZero returns the offsets of the elements of t that are not zero, in memory of the call.
func nonZero(c *Call, t *tensor.Tensor) ([]int64, error) {
	switch t.DType() {
	case tensor.Float32:
		return nonZeroOf(c, tensor.Data[float32](t)), nil
	case tensor.Float64:
		return nonZeroOf(c, tensor.Data[float64](t)), nil
	case tensor.Complex64:
		return nonZeroOf(c, tensor.Data[complex64](t)), nil
	case tensor.Complex128:
		return nonZeroOf(c, tensor.Data[complex128](t)), nil
	case tensor.String:
		return nonZeroOf(c, tensor.Data[string](t)), nil
	case tensor.Bool:
		return nonZeroOf(c, tensor.Data[bool](t)), nil
	case tensor.Float16, tensor.BFloat16:
		return nonZeroOf(c, tensor.Data[float32](tensor.Widen(t))), nil
	}
	if d := t.DType(); !d.IsInt() || d.IsPacked() {
		return nil, unsupportedType(0, d)
	}
	switch t.DType().Size() {
	case 1:
		return nonZeroOf(c, cells[uint8]{}.of(t)), nil
	case 2:
		return nonZeroOf(c, cells[uint16]{}.of(t)), nil
	case 4:
		return nonZeroOf(c, cells[uint32]{}.of(t)), nil
	}
	return nonZeroOf(c, cells[uint64]{}.of(t)), nil
}

func nonZeroOf[T comparable](c *Call, d []T) []int64 {
	var zero T
	n := 0
	for _, v := range d {
		if v != zero {
			n++
		}
	}
	at := Scratch[int64](c, n)[:0]
	for i, v := range d {
		if v != zero {
			at = append(at, int64(i))
		}
	}
	return at
}

func buildNonZero(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		x := c.T(0)
		at, err := nonZero(c, x)
		if err != nil {
			return err
		}
		s := x.Shape()
		y := tensor.Data[int64](c.Output(0, tensor.Int64, len(s), len(at)))
		for k := len(s) - 1; k >= 0; k-- {
			row := y[k*len(at):][:len(at)]
			for j, i := range at {
				row[j] = i % int64(s[k])
				at[j] = i / int64(s[k])
			}
		}
		return nil
	}, nil
}
