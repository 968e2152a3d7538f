package ops

import (
	f16 "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// inner is a call of a kernel inside of a call of another element type, which converts
// what goes in and out. It stays with the node, so that its lists and tensors are made once.
type inner struct {
	call   Call
	outer  *Call
	dtype  tensor.DType // the outputs of this type are working memory, which outer converts
	heads  []*tensor.Tensor
	used   int // of heads
	states []any
}

// innerCall begins a call inside of c with the inputs of c. Its outputs of type d are working memory of c.
func innerCall(c *Call, d tensor.DType) *inner {
	w := State[inner](c)
	w.outer, w.dtype = c, d
	w.call.Begin(len(c.In), len(c.Out), &w.states)
	w.call.P, w.call.Frame, w.call.Mem = c.P, c.Frame, w
	copy(w.call.In, c.In)
	clear(w.call.Out)
	return w
}

// end lets go of all that the call has used.
func (w *inner) end() {
	for _, t := range w.heads[:w.used] {
		_ = t.Renew(w.dtype, noElements, nil, nil) // cannot fail
	}
	clear(w.call.In)
	clear(w.call.Out)
	w.call.P, w.call.Frame, w.outer, w.used = par.P{}, nil, nil, 0
}

var noElements = []int{0}

// Output implements Memory.
func (w *inner) Output(i int, d tensor.DType, shape []int) (*tensor.Tensor, error) {
	if d != w.dtype {
		return w.outer.Mem.Output(i, d, shape)
	}
	n, err := tensor.ByteSize(d, shape)
	if err != nil {
		return nil, err
	}
	b, err := w.Scratch(n)
	if err != nil {
		return nil, err
	}
	if w.used == len(w.heads) {
		w.heads = append(w.heads, &tensor.Tensor{})
	}
	t := w.heads[w.used]
	w.used++
	return t, t.Renew(d, shape, b, nil)
}

// Scratch implements Memory.
func (w *inner) Scratch(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	return w.outer.Mem.Scratch(n)
}

// input returns a tensor of the type and the shape for the elements of an input.
func (w *inner) input(shape []int) *tensor.Tensor {
	t, err := w.Output(-1, w.dtype, shape)
	if err != nil {
		panic(Abort{err})
	}
	return t
}

// widened is what the function of this name gives, until the call ends.
func (w *inner) widened(t *tensor.Tensor) *tensor.Tensor {
	h, kind, _ := halvesOf(t)
	f := w.input(t.Shape())
	f16.Widen(kind, tensor.Data[float32](f), h)
	return f
}
