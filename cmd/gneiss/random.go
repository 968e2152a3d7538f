package main

import (
	"fmt"
	"maps"
	"math/rand/v2"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// maxRandom bounds a random input, in bytes.
const maxRandom = 1 << 32

// randomInputs makes what in lacks of the inputs that the session needs: floats
// are normal, integers 0 or 1 (which are valid ids and masks), strings "a".
// Symbolic sizes that neither dims nor the inputs in in give are 1. An input
// depends on the seed and its place alone, not on which others are given.
func randomInputs(in map[string]tensor.Value, s *runtime.Session, dims map[string]int, seed uint64) error {
	sizes := maps.Clone(dims)
	if sizes == nil {
		sizes = map[string]int{}
	}
	for _, v := range s.Inputs() {
		t, ok := in[v.Name].(*tensor.Tensor)
		if !ok || t.Rank() != len(v.Type.Dims) {
			continue
		}
		for i, d := range v.Type.Dims {
			if _, fixed := sizes[d.Expr()]; !fixed && d.Expr() != "" {
				sizes[d.Expr()] = t.Dim(i)
			}
		}
	}
	for k, v := range s.Inputs() {
		if v.Optional || in[v.Name] != nil {
			continue
		}
		r := rand.New(rand.NewPCG(seed, uint64(k)))
		if v.Type.Kind != onnx.TensorKind {
			return fmt.Errorf("input %q is %v: random values are for tensors; give it with --input %s=FILE or --data", v.Name, v.Type, v.Name)
		}
		shape := make([]int, len(v.Type.Dims))
		for i, d := range v.Type.Dims {
			n, ok := d.Eval(sizes)
			if !ok {
				n = 1
			}
			shape[i] = n
		}
		size, err := tensor.ByteSize(v.Type.DType, shape)
		if err != nil {
			return fmt.Errorf("input %q: %w", v.Name, err)
		}
		if int64(size) > maxRandom {
			return fmt.Errorf("input %q: %v of shape %v takes %s, at most %s are made", v.Name, v.Type.DType, shape, bytesText(int64(size)), bytesText(maxRandom))
		}
		t := tensor.New(v.Type.DType, shape...)
		if err := fillRandom(t, r); err != nil {
			return fmt.Errorf("input %q: %w", v.Name, err)
		}
		in[v.Name] = t
	}
	return nil
}

func fillRandom(t *tensor.Tensor, r *rand.Rand) error {
	switch t.DType() {
	case tensor.Float32:
		for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
			d[i] = float32(r.NormFloat64())
		}
	case tensor.Float64:
		for i, d := 0, tensor.Data[float64](t); i < len(d); i++ {
			d[i] = r.NormFloat64()
		}
	case tensor.Float16:
		for i, d := 0, tensor.Data[tensor.F16](t); i < len(d); i++ {
			d[i] = tensor.F16Of(float32(r.NormFloat64()))
		}
	case tensor.BFloat16:
		for i, d := 0, tensor.Data[tensor.BF16](t); i < len(d); i++ {
			d[i] = tensor.BF16Of(float32(r.NormFloat64()))
		}
	case tensor.Int64:
		fillBits(tensor.Data[int64](t), r)
	case tensor.Int32:
		fillBits(tensor.Data[int32](t), r)
	case tensor.Int16:
		fillBits(tensor.Data[int16](t), r)
	case tensor.Uint16:
		fillBits(tensor.Data[uint16](t), r)
	case tensor.Uint32:
		fillBits(tensor.Data[uint32](t), r)
	case tensor.Uint64:
		fillBits(tensor.Data[uint64](t), r)
	case tensor.Int8:
		for i, d := 0, tensor.Data[int8](t); i < len(d); i++ {
			d[i] = int8(r.Uint32())
		}
	case tensor.Uint8:
		for i, d := 0, tensor.Data[uint8](t); i < len(d); i++ {
			d[i] = uint8(r.Uint32())
		}
	case tensor.Bool:
		for i, d := 0, tensor.Data[bool](t); i < len(d); i++ {
			d[i] = r.Uint32()&1 == 1
		}
	case tensor.String:
		for i, d := 0, tensor.Data[string](t); i < len(d); i++ {
			d[i] = "a"
		}
	default:
		return fmt.Errorf("no random values of type %v: give it with --input or --data", t.DType())
	}
	return nil
}

func fillBits[T int16 | int32 | int64 | uint16 | uint32 | uint64](d []T, r *rand.Rand) {
	for i := range d {
		d[i] = T(r.Uint32() & 1)
	}
}
