package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// readJSON reads nested arrays of numbers, strings or bools as a tensor of the
// input's element type.
func readJSON(r io.Reader, typ onnx.Type) (*tensor.Tensor, error) {
	d := json.NewDecoder(r)
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value: want one, nested arrays for a tensor")
	}
	if typ.Kind != onnx.TensorKind || typ.DType == tensor.Undefined {
		return nil, fmt.Errorf("JSON is read for tensors, the input is %v: give a .pb", typ)
	}
	return jsonTensor(v, typ)
}

// jsonTensor returns decoded JSON, nested arrays, as a tensor of typ's element type.
func jsonTensor(v any, typ onnx.Type) (*tensor.Tensor, error) {
	shape, err := shapeOf(v)
	if err != nil {
		return nil, err
	}
	t := tensor.New(typ.DType, shape...)
	i := 0
	var set func(x any) error
	set = func(x any) error {
		a, ok := x.([]any)
		if !ok {
			if err := setJSON(t, i, x); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
			i++
			return nil
		}
		for _, y := range a {
			if err := set(y); err != nil {
				return err
			}
		}
		return nil
	}
	return t, set(v)
}

// shapeOf returns the shape of nested arrays, which must not be ragged.
func shapeOf(v any) ([]int, error) {
	var shape []int
	for x := v; ; {
		a, ok := x.([]any)
		if !ok {
			break
		}
		if shape = append(shape, len(a)); len(shape) > 64 {
			return nil, errors.New("arrays in arrays, more than 64 deep")
		}
		if len(a) == 0 {
			break
		}
		x = a[0]
	}
	var walk func(x any, depth int) error
	walk = func(x any, depth int) error {
		a, ok := x.([]any)
		if ok != (depth < len(shape)) || ok && len(a) != shape[depth] {
			return fmt.Errorf("ragged: the arrays at depth %d differ in length from the first ones, whose shape is %v", depth, shape)
		}
		for _, y := range a {
			if err := walk(y, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return shape, walk(v, 0)
}

func setJSON(t *tensor.Tensor, i int, x any) error {
	switch x := x.(type) {
	case json.Number:
		if t.DType().IsInt() {
			n, err := x.Int64()
			if u, uerr := strconv.ParseUint(x.String(), 10, 64); err != nil && uerr == nil && t.DType() == tensor.Uint64 {
				tensor.Data[uint64](t)[i] = u
				return nil
			}
			if err != nil {
				return fmt.Errorf("%q is no %v", x, t.DType())
			}
			return setInt(t, i, n)
		}
		f, err := x.Float64()
		if err != nil {
			return err
		}
		switch t.DType() {
		case tensor.Float32:
			tensor.Data[float32](t)[i] = float32(f)
		case tensor.Float64:
			tensor.Data[float64](t)[i] = f
		case tensor.Float16:
			tensor.Data[tensor.F16](t)[i] = tensor.F16Of(float32(f))
		case tensor.BFloat16:
			tensor.Data[tensor.BF16](t)[i] = tensor.BF16Of(float32(f))
		default:
			return fmt.Errorf("a number, want %v", t.DType())
		}
		return nil
	case string:
		if t.DType() != tensor.String {
			return fmt.Errorf("a string, want %v", t.DType())
		}
		tensor.Data[string](t)[i] = strings.Clone(x) // not all the block that it may be part of
		return nil
	case bool:
		if t.DType() != tensor.Bool {
			return fmt.Errorf("a bool, want %v", t.DType())
		}
		tensor.Data[bool](t)[i] = x
		return nil
	}
	kind := "null"
	if x != nil {
		kind = "an object"
	}
	return fmt.Errorf("%s, want %v", kind, t.DType())
}

func setInt(t *tensor.Tensor, i int, n int64) error {
	bits, low, high := t.DType().Bits(), int64(0), int64(math.MaxInt64)
	if t.DType().IsSigned() {
		low, high = -1<<(bits-1), 1<<(bits-1)-1
	} else if bits < 64 {
		high = 1<<bits - 1
	}
	if n < low || n > high {
		return fmt.Errorf("%d is no %v", n, t.DType())
	}
	switch t.DType() {
	case tensor.Int64:
		tensor.Data[int64](t)[i] = n
	case tensor.Int32:
		tensor.Data[int32](t)[i] = int32(n)
	case tensor.Int16:
		tensor.Data[int16](t)[i] = int16(n)
	case tensor.Int8:
		tensor.Data[int8](t)[i] = int8(n)
	case tensor.Uint64:
		tensor.Data[uint64](t)[i] = uint64(n)
	case tensor.Uint32:
		tensor.Data[uint32](t)[i] = uint32(n)
	case tensor.Uint16:
		tensor.Data[uint16](t)[i] = uint16(n)
	case tensor.Uint8:
		tensor.Data[uint8](t)[i] = uint8(n)
	default:
		return fmt.Errorf("no JSON form of %v", t.DType())
	}
	return nil
}
