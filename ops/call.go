package ops

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Call is one execution of one node.
type Call struct {
	// P is where loops run; P.Ctx is the context of the run, never nil.
	P par.P
	// In are the inputs; nil where one is absent or was packed by Build.
	In []tensor.Value
	// Out are the outputs, set by Output and SetOut.
	Out []tensor.Value
	// Mem gives memory. Kernels call Output and Scratch.
	Mem Memory
	// Frame belongs to the runtime: Body.Run finds captured values by it.
	Frame any

	ints   []int // memory of Dims: what is in use, within its capacity
	states *[]any

	roundings []*rounding
	rounds    int // roundings in use
}

// Begin makes c ready for another call by a runtime that uses its calls again:
// what Dims gave is void, In and Out have the given lengths and are to be
// filled. states, which may be nil, is what State keeps from call to call of
// one node; such calls must not overlap.
func (c *Call) Begin(in, out int, states *[]any) {
	c.ints, c.states = c.ints[:0], states
	for _, r := range c.roundings[:c.rounds] {
		r.clear() // the call before may have failed
	}
	c.rounds = 0
	c.In, c.Out = slices.Grow(c.In[:0], in)[:in], slices.Grow(c.Out[:0], out)[:out]
}

// Dims returns n ints for a shape or the like, undefined, valid until the call
// ends. They are never nil, which elsewhere means that there is no list.
func (c *Call) Dims(n int) []int {
	if c.ints == nil {
		c.ints = []int{}
	}
	at := len(c.ints)
	if n > cap(c.ints)-at { // what was given before stays where it is
		c.ints, at = make([]int, 0, max(64, 2*cap(c.ints), n)), 0
	}
	c.ints = c.ints[:at+n]
	return c.ints[at : at+n : at+n]
}

// list is Dims with the given contents.
func (c *Call) list(v ...int) []int {
	d := c.Dims(len(v))
	copy(d, v)
	return d
}

// strides is tensor.Strides in memory of Dims.
func (c *Call) strides(shape []int) []int {
	s := c.Dims(len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// broadcastStrides is tensor.BroadcastStrides in memory of Dims.
func (c *Call) broadcastStrides(shape, out []int) []int {
	s := c.Dims(len(out))
	clear(s)
	n, off := 1, len(out)-len(shape)
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] != 1 {
			s[off+i] = n
		}
		n *= shape[i]
	}
	return s
}

// broadcast is tensor.Broadcast of two shapes in memory of Dims.
func (c *Call) broadcast(a, b []int) ([]int, error) {
	x, y := a, b
	if len(a) < len(b) {
		a, b = b, a
	}
	out := c.list(a...)
	off := len(a) - len(b)
	for i, d := range b {
		switch o := &out[off+i]; {
		case *o == d || d == 1:
		case *o == 1:
			*o = d
		default:
			return tensor.Broadcast(slices.Clone(x), slices.Clone(y)) // which fails
		}
	}
	return out, nil
}

// State returns a T that stays with the node from run to run, zero at first,
// and is this call's alone while it runs: buffers and the like that need not
// be made again. Nothing that a result depends on may be kept in it, and no
// tensor or piece of one.
func State[T any](c *Call) *T {
	if c.states == nil {
		return new(T)
	}
	for _, s := range *c.states {
		if s, ok := s.(*T); ok {
			return s
		}
	}
	s := new(T)
	*c.states = append(*c.states, s)
	return s
}

// Memory gives a call its buffers. An error is about a limit.
type Memory interface {
	// Output returns a tensor for output i with undefined contents (strings: empty).
	Output(i int, d tensor.DType, shape []int) (*tensor.Tensor, error)
	// Scratch returns n bytes, 64-byte aligned, undefined, valid until the call ends.
	Scratch(n int) ([]byte, error)
}

// Viewer is a Memory that also gives tensors that share storage.
type Viewer interface {
	// View returns, for output i, a tensor of t's storage with the given shape.
	View(i int, t *tensor.Tensor, shape []int) (*tensor.Tensor, error)
}

// Lender is a Memory that also gives tensors which are no outputs.
type Lender interface {
	// Lend returns a tensor with undefined contents (strings: empty), valid until the call ends.
	Lend(d tensor.DType, shape []int) (*tensor.Tensor, error)
	// Free takes back a tensor that Lend or Body.Run gave to the call in progress;
	// of other values it does nothing.
	Free(v tensor.Value)
}

// Abort is what Output and Scratch panic with when memory is refused or a size
// is impossible. The one recover point of the executor turns it into the
// node's error, so that kernels need not test every allocation.
type Abort struct{ Err error }

// T returns input i as a tensor; nil if it is absent. An input of another kind aborts the call.
func (c *Call) T(i int) *tensor.Tensor {
	if i >= len(c.In) || c.In[i] == nil {
		return nil
	}
	t, ok := c.In[i].(*tensor.Tensor)
	if !ok {
		panic(Abort{fmt.Errorf("input %d is a %s, want a tensor", i, c.In[i])})
	}
	return t
}

// Has reports whether input i is given.
func (c *Call) Has(i int) bool { return i < len(c.In) && c.In[i] != nil }

// Wants reports whether output i is asked for.
func (c *Call) Wants(i int) bool { return i < len(c.Out) }

// Ctx returns the context of the run.
func (c *Call) Ctx() context.Context {
	if c.P.Ctx == nil {
		return context.Background()
	}
	return c.P.Ctx
}

// Output makes the tensor for output i. Its contents are undefined (strings
// are empty); it may share storage with an input that InPlace or Beside allows. It does
// not return if the size is impossible or over the run's limit.
func (c *Call) Output(i int, d tensor.DType, shape ...int) *tensor.Tensor {
	own := c.Dims(len(shape)) // so that the list of arguments need not be allocated
	copy(own, shape)
	t, err := c.Mem.Output(i, d, own)
	if err != nil {
		panic(Abort{err})
	}
	if i < len(c.Out) {
		c.Out[i] = t
	}
	return t
}

// View sets output i to a tensor of t's elements with another shape, which
// shares t's storage.
func (c *Call) View(i int, t *tensor.Tensor, shape ...int) error {
	own := c.Dims(len(shape))
	copy(own, shape)
	var v *tensor.Tensor
	var err error
	if m, ok := c.Mem.(Viewer); ok {
		v, err = m.View(i, t, own)
	} else {
		v, err = t.Reshape(own...)
	}
	if err == nil {
		c.SetOut(i, v)
	}
	return err
}

// Lend returns a tensor that is no output: a value for a nested graph, say. Its contents
// are undefined (strings: empty). It is valid until Free or the end of the call,
// and may become an output or a part of one; after Free nobody may hold it.
func (c *Call) Lend(d tensor.DType, shape []int) *tensor.Tensor {
	m, ok := c.Mem.(Lender)
	if !ok {
		m = heap{}
	}
	t, err := m.Lend(d, shape)
	if err != nil {
		panic(Abort{err})
	}
	return t
}

// Free gives back, before the call ends, what Lend or Body.Run gave. Other values stay as they are.
func (c *Call) Free(v tensor.Value) {
	if m, ok := c.Mem.(Lender); ok {
		m.Free(v)
	}
}

// Pass sets output i to v, an input or a result of a nested graph.
func (c *Call) Pass(i int, v tensor.Value) error {
	if t, ok := v.(*tensor.Tensor); ok && i < len(c.Out) {
		return c.View(i, t, t.Shape()...)
	}
	c.SetOut(i, v)
	return nil
}

// SetOut sets output i to a value that the kernel made itself or passes on
// from an input.
func (c *Call) SetOut(i int, v tensor.Value) {
	if i < len(c.Out) {
		c.Out[i] = v
	}
}

// Scratch returns n elements of working memory, undefined, valid until the call ends.
func Scratch[T tensor.Element](c *Call, n int) []T {
	var z T
	size := int(unsafe.Sizeof(z))
	if tensor.DTypeOf[T]() == tensor.String || n < 0 || n > math.MaxInt/size {
		panic(Abort{fmt.Errorf("%w: scratch of %d elements", tensor.ErrSize, n)})
	}
	if n == 0 {
		return nil
	}
	b, err := c.Mem.Scratch(n * size)
	if err != nil {
		panic(Abort{err})
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// heap is a Memory without limits, on the Go heap.
type heap struct{}

func (heap) Output(_ int, d tensor.DType, shape []int) (*tensor.Tensor, error) {
	if _, err := tensor.ByteSize(d, shape); err != nil {
		return nil, err
	}
	return tensor.New(d, shape...), nil
}
func (h heap) Lend(d tensor.DType, shape []int) (*tensor.Tensor, error) { return h.Output(0, d, shape) }
func (heap) Free(tensor.Value)                                          {}
func (heap) Scratch(n int) ([]byte, error)                              { return tensor.AlignedBytes(n), nil }

// bounded is a heap that gives no more than left bytes.
type bounded struct {
	heap
	left int
}

func (m *bounded) take(n int) error {
	if n > m.left {
		return fmt.Errorf("%w: %d bytes more are over the limit", tensor.ErrSize, n)
	}
	m.left -= n
	return nil
}

func (m *bounded) Output(i int, d tensor.DType, shape []int) (*tensor.Tensor, error) {
	n, err := tensor.ByteSize(d, shape)
	if err == nil {
		err = m.take(n)
	}
	if err != nil {
		return nil, err
	}
	return m.heap.Output(i, d, shape)
}

func (m *bounded) Lend(d tensor.DType, shape []int) (*tensor.Tensor, error) {
	return m.Output(0, d, shape)
}

func (m *bounded) Scratch(n int) ([]byte, error) {
	if err := m.take(n); err != nil {
		return nil, err
	}
	return m.heap.Scratch(n)
}

// Eval runs one node outside of a session: constant folding and tests. In[i]
// may be nil where the input is absent. Panics of kernels become errors.
func Eval(p par.P, n *onnx.Node, in []tensor.Value, env BuildEnv) ([]tensor.Value, error) {
	return EvalWithin(p, n, in, env, math.MaxInt)
}

// EvalWithin is Eval with so many bytes at most for results and working memory.
func EvalWithin(p par.P, n *onnx.Node, in []tensor.Value, env BuildEnv, limit int) ([]tensor.Value, error) {
	k, _, err := Build(n, env)
	if err != nil {
		return nil, err
	}
	c := &Call{P: p, In: in, Out: make([]tensor.Value, len(n.Out)), Mem: &bounded{left: limit}}
	if err := k.Safely(c); err != nil {
		return nil, err
	}
	return c.Out, nil
}

// flushing returns k with subnormal numbers counting as zero.
func (k Kernel) flushing() Kernel {
	return func(c *Call) error {
		defer par.FlushSubnormals().Restore()
		c.P.Flush = true
		return k(c)
	}
}

// Safely calls k and turns a panic into an error.
func (k Kernel) Safely(c *Call) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = Recovered(r)
		}
	}()
	return k(c)
}
