package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// IntsOf returns the elements of an integer tensor, or the int nearest to each.
func IntsOf(t *tensor.Tensor) ([]int, error) { return intsInto(make([]int, t.Len()), t) }

func intsInto(out []int, t *tensor.Tensor) ([]int, error) {
	switch t.DType() {
	case tensor.Int64:
		for i, v := range tensor.Data[int64](t) {
			out[i] = tensor.Int(v)
		}
	case tensor.Int32:
		for i, v := range tensor.Data[int32](t) {
			out[i] = int(v)
		}
	case tensor.Int8:
		for i, v := range tensor.Data[int8](t) {
			out[i] = int(v)
		}
	case tensor.Uint8:
		for i, v := range tensor.Data[uint8](t) {
			out[i] = int(v)
		}
	case tensor.Int16:
		for i, v := range tensor.Data[int16](t) {
			out[i] = int(v)
		}
	case tensor.Uint16:
		for i, v := range tensor.Data[uint16](t) {
			out[i] = int(v)
		}
	case tensor.Uint32:
		for i, v := range tensor.Data[uint32](t) {
			out[i] = tensor.Int(int64(v))
		}
	case tensor.Uint64:
		for i, v := range tensor.Data[uint64](t) {
			out[i] = tensor.Int(int64(min(v, math.MaxInt64)))
		}
	default:
		return nil, fmt.Errorf("element type %v, want integers", t.DType())
	}
	return out, nil
}

// Ints returns the elements of input i, an integer scalar or vector; nil if it
// is absent. They are valid until the call ends.
func (c *Call) Ints(i int) ([]int, error) {
	t := c.T(i)
	if t == nil {
		return nil, nil
	}
	v, err := intsInto(c.Dims(t.Len()), t)
	if err != nil {
		return nil, fmt.Errorf("input %d: %w", i, err)
	}
	return v, nil
}

// broadcastDims is tensor.Broadcast for types: dims that are not known to be
// equal or 1 give what the rule still tells.
func broadcastDims(ts ...onnx.Type) ([]onnx.Dim, bool, error) {
	rank := 0
	for _, t := range ts {
		if !t.Ranked {
			return nil, false, nil
		}
		rank = max(rank, len(t.Dims))
	}
	out := onnx.Sizes(make([]int, rank)...)
	for i := range out {
		out[i] = onnx.Size(1)
	}
	for _, t := range ts {
		off := rank - len(t.Dims)
		for i, d := range t.Dims {
			o := &out[off+i]
			n, known := d.Size()
			m, oknown := o.Size()
			switch {
			case d.Is(1) || o.Equal(d):
			case o.Is(1):
				*o = d
			case known && oknown && n != m:
				return nil, false, fmt.Errorf("dimension %d: %d against %d", off+i, m, n)
			case known: // the other is unknown and must be 1 or equal: a known size above 1 decides
				*o = d
			case oknown:
			case isCap(d, *o): // min(o, n) with n above 1 is o, or 1 where o is 1
			case isCap(*o, d):
				*o = d
			default:
				*o = onnx.Dim{}
			}
		}
	}
	return out, true, nil
}

// isCap reports whether d is min(e, n) with n above 1. If d and e broadcast to
// one another then, the result is e.
func isCap(d, e onnx.Dim) bool {
	n, ok := d.CappedBy(e)
	return ok && n > 1
}

// inferBroadcast gives output 0 the element type of input 0 and the broadcast
// of all inputs' shapes.
func inferBroadcast(c *InferContext) error { return inferBroadcastTo(c, c.In(0).DType) }

// inferBroadcastTo gives output 0 the element type d and the broadcast of all inputs' shapes.
func inferBroadcastTo(c *InferContext, d tensor.DType) error {
	ts := make([]onnx.Type, c.NumIn())
	for i := range ts {
		ts[i] = c.In(i)
	}
	dims, ok, err := broadcastDims(ts...)
	if err != nil {
		return err
	}
	c.Out[0] = onnx.Type{Kind: onnx.TensorKind, DType: d, Ranked: ok, Dims: dims}
	return nil
}

// throughFloat32 computes a float16 or bfloat16 operator by a float32 kernel:
// the listed inputs of that type are widened, outputs of type float32 rounded
// back once. in is the input whose element type tells which of the two it is.
func throughFloat32(k Kernel, in int) Kernel { return throughFloat32But(k, in, -1) }

// throughFloat32But is throughFloat32 for a kernel that does not read input skip, which it has packed.
//
//go:noinline
func throughFloat32But(k Kernel, in, skip int) Kernel {
	return func(c *Call) error {
		half := c.T(in).DType()
		w := innerCall(c, tensor.Float32)
		defer w.end()
		for i, v := range c.In {
			if t, ok := v.(*tensor.Tensor); ok && i != skip && t.DType() == half {
				w.call.In[i] = w.widened(t)
			}
		}
		if err := k(&w.call); err != nil {
			return err
		}
		for i, v := range w.call.Out {
			t, ok := v.(*tensor.Tensor)
			if !ok || t.DType() != tensor.Float32 {
				if v != nil {
					c.Out[i] = v
				}
				continue
			}
			narrowed(c.Output(i, half, t.Shape()...), t)
		}
		return nil
	}
}
