package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// maxRandom bounds a random input, in bytes.
const maxRandom = 1 << 32

// randomInputs makes an input for everything the session needs: floats are
// normal, integers 0 or 1 (which are valid ids and masks), strings "a".
// Symbolic sizes that dims does not give are 1.
func randomInputs(s *runtime.Session, dims map[string]int, seed uint64) (map[string]tensor.Value, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	in := map[string]tensor.Value{}
	for _, v := range s.Inputs() {
		if v.Optional {
			continue
		}
		if v.Type.Kind != onnx.TensorKind {
			return nil, fmt.Errorf("input %q is %v: random values are for tensors; give it with --input or --data", v.Name, v.Type)
		}
		shape := make([]int, len(v.Type.Dims))
		for i, d := range v.Type.Dims {
			n, ok := d.Eval(dims)
			if !ok {
				n = 1
			}
			shape[i] = n
		}
		size, err := tensor.ByteSize(v.Type.DType, shape)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", v.Name, err)
		}
		if size > maxRandom {
			return nil, fmt.Errorf("input %q would take %d bytes", v.Name, size)
		}
		t := tensor.New(v.Type.DType, shape...)
		if err := fillRandom(t, r); err != nil {
			return nil, fmt.Errorf("input %q: %w", v.Name, err)
		}
		in[v.Name] = t
	}
	return in, nil
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
		return fmt.Errorf("no random values of type %v", t.DType())
	}
	return nil
}

func fillBits[T int16 | int32 | int64 | uint16 | uint32 | uint64](d []T, r *rand.Rand) {
	for i := range d {
		d[i] = T(r.Uint32() & 1)
	}
}
