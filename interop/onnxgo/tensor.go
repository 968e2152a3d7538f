package onnxgo

import (
	"fmt"

	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
	gorgonia "gorgonia.org/tensor"
)

// FromGorgonia returns t as a tensor of Gneiss. The two share storage if t is contiguous and
// row-major; views, transposed and column-major tensors are copied. Gorgonia's int, uint and
// uintptr, which ONNX lacks, sparse and masked tensors are errors that wrap
// ops.ErrUnsupported.
func FromGorgonia(t gorgonia.Tensor) (out *tensor.Tensor, err error) {
	defer caught(&err) // gorgonia.org/tensor panics where it has no error result
	d, ok := t.(*gorgonia.Dense)
	if !ok || d == nil {
		return nil, fmt.Errorf("%w: tensor of type %T", ops.ErrUnsupported, t)
	}
	if d.IsMasked() && d.DataSize() > 0 {
		return nil, fmt.Errorf("%w: masked tensor", ops.ErrUnsupported)
	}
	if !d.IsNativelyAccessible() {
		return nil, fmt.Errorf("%w: tensor outside of Go's memory", ops.ErrUnsupported)
	}
	switch d.Dtype() {
	case gorgonia.Float32:
		return fromDense[float32](d)
	case gorgonia.Float64:
		return fromDense[float64](d)
	case gorgonia.Int8:
		return fromDense[int8](d)
	case gorgonia.Int16:
		return fromDense[int16](d)
	case gorgonia.Int32:
		return fromDense[int32](d)
	case gorgonia.Int64:
		return fromDense[int64](d)
	case gorgonia.Uint8:
		return fromDense[uint8](d)
	case gorgonia.Uint16:
		return fromDense[uint16](d)
	case gorgonia.Uint32:
		return fromDense[uint32](d)
	case gorgonia.Uint64:
		return fromDense[uint64](d)
	case gorgonia.Bool:
		return fromDense[bool](d)
	case gorgonia.String:
		return fromDense[string](d)
	case gorgonia.Complex64:
		return fromDense[complex64](d)
	case gorgonia.Complex128:
		return fromDense[complex128](d)
	}
	return nil, fmt.Errorf("%w: tensor of Go type %v", ops.ErrUnsupported, d.Dtype())
}

// caught turns a panic into an error.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("onnxgo: gorgonia.org/tensor: %v", r)
	}
}

func fromDense[T tensor.Element](d *gorgonia.Dense) (*tensor.Tensor, error) {
	shape := append([]int{}, d.Shape()...)
	n, err := tensor.Count(shape)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return tensor.New(tensor.DTypeOf[T](), shape...), nil
	}
	var data []T
	switch x := d.Data().(type) {
	case []T:
		data = x
	case T: // shapes () and (1)
		data = []T{x}
	default:
		return nil, fmt.Errorf("onnxgo: tensor of %v holds a %T", d.Dtype(), x)
	}
	if n == 1 && len(data) > 0 {
		return tensor.Of(data[:1], shape...), nil
	}
	strides := append([]int{}, d.Strides()...)
	if len(strides) == 1 && len(shape) > 1 { // a vector that is written as a matrix
		one := strides[0]
		strides = make([]int, len(shape))
		for i, size := range shape {
			if size > 1 {
				strides[i] = one
			}
		}
	}
	if len(strides) != len(shape) {
		return nil, fmt.Errorf("onnxgo: tensor of shape %v has strides %v", shape, strides)
	}
	contiguous, step, last := true, 1, 0
	for i := len(shape) - 1; i >= 0; i-- {
		if strides[i] < 0 {
			return nil, fmt.Errorf("%w: tensor with strides %v", ops.ErrUnsupported, strides)
		}
		if shape[i] > 1 {
			contiguous = contiguous && strides[i] == step
			last += (shape[i] - 1) * strides[i]
		}
		step *= shape[i]
	}
	if last >= len(data) {
		return nil, fmt.Errorf("onnxgo: tensor of shape %v and strides %v has %d elements", shape, strides, len(data))
	}
	if contiguous {
		return tensor.Of(data[:n:n], shape...), nil
	}
	flat := make([]T, 0, n)
	at := make([]int, len(shape))
	inner := len(shape) - 1
	for off := 0; ; {
		for i := range shape[inner] {
			flat = append(flat, data[off+i*strides[inner]])
		}
		k := inner - 1
		for ; k >= 0; k-- {
			at[k]++
			off += strides[k]
			if at[k] < shape[k] {
				break
			}
			off -= at[k] * strides[k]
			at[k] = 0
		}
		if k < 0 {
			return tensor.Of(flat, shape...), nil
		}
	}
}

// ToGorgonia returns t as a tensor of gorgonia.org/tensor, over the same storage. The element
// types that Go lacks, such as float16, are errors that wrap ops.ErrUnsupported.
func ToGorgonia(t *tensor.Tensor) (out gorgonia.Tensor, err error) {
	defer caught(&err)
	switch t.DType() {
	case tensor.Float32:
		return toDense[float32](t), nil
	case tensor.Float64:
		return toDense[float64](t), nil
	case tensor.Int8:
		return toDense[int8](t), nil
	case tensor.Int16:
		return toDense[int16](t), nil
	case tensor.Int32:
		return toDense[int32](t), nil
	case tensor.Int64:
		return toDense[int64](t), nil
	case tensor.Uint8:
		return toDense[uint8](t), nil
	case tensor.Uint16:
		return toDense[uint16](t), nil
	case tensor.Uint32:
		return toDense[uint32](t), nil
	case tensor.Uint64:
		return toDense[uint64](t), nil
	case tensor.Bool:
		return toDense[bool](t), nil
	case tensor.String:
		return toDense[string](t), nil
	case tensor.Complex64:
		return toDense[complex64](t), nil
	case tensor.Complex128:
		return toDense[complex128](t), nil
	}
	return nil, fmt.Errorf("%w: gorgonia.org/tensor has no element type for %v", ops.ErrUnsupported, t.DType())
}

func toDense[T tensor.Element](t *tensor.Tensor) gorgonia.Tensor {
	data := tensor.Data[T](t)
	if t.Rank() == 0 {
		return gorgonia.New(gorgonia.FromScalar(data[0]))
	}
	if len(data) == 0 {
		data = make([]T, 0, 1) // a slice with an address: without one gorgonia allocates by itself
	}
	return gorgonia.New(gorgonia.WithShape(t.Shape()...), gorgonia.WithBacking(data))
}
