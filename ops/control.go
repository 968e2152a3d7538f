package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// mergeTypes returns the most that holds of a value that has type a or type b.
func mergeTypes(a, b onnx.Type) onnx.Type {
	if a.Kind != b.Kind {
		return onnx.Type{}
	}
	t := onnx.Type{Kind: a.Kind}
	if a.DType == b.DType {
		t.DType = a.DType
	}
	if a.Denotation == b.Denotation {
		t.Denotation = a.Denotation
	}
	if a.Opaque == b.Opaque {
		t.Opaque = a.Opaque
	}
	if a.Ranked && b.Ranked && len(a.Dims) == len(b.Dims) {
		t.Ranked = true
		t.Dims = make([]onnx.Dim, len(a.Dims))
		for i, d := range a.Dims {
			if d.Equal(b.Dims[i]) {
				t.Dims[i] = d
			}
		}
	}
	if a.Elem != nil && b.Elem != nil {
		e := mergeTypes(*a.Elem, *b.Elem)
		t.Elem = &e
	}
	return t
}

// sameType reports whether a and b say the same.
func sameType(a, b onnx.Type) bool {
	if a.Kind != b.Kind || a.DType != b.DType || a.Ranked != b.Ranked || !slices.Equal(a.Dims, b.Dims) {
		return false
	}
	if (a.Elem == nil) != (b.Elem == nil) {
		return false
	}
	return a.Elem == nil || sameType(*a.Elem, *b.Elem)
}

// carriedTypes finds types that hold of loop-carried values at every
// iteration. They start as the types of the initial values; infer tells what
// one iteration makes of them, and what it changes becomes unknown, until
// nothing changes. The last call of infer is about the result.
func carriedTypes(init []onnx.Type, infer func([]onnx.Type) ([]onnx.Type, error)) ([]onnx.Type, error) {
	cur := slices.Clone(init)
	for round := 0; ; round++ {
		out, err := infer(cur)
		if err != nil {
			return nil, err
		}
		next := make([]onnx.Type, len(cur))
		same := true
		for i := range cur {
			next[i] = mergeTypes(cur[i], out[i])
			if !sameType(next[i], cur[i]) {
				same = false
				if round > 8 { // each round forgets something; do not go dimension by dimension for ever
					next[i] = onnx.Type{}
				}
			}
		}
		if same {
			return cur, nil
		}
		cur = next
	}
}

// bodyOf returns the graph attribute name, whose inputs and outputs must be as
// many as said.
func bodyOf(a *attrs, name string, in, out int) (*onnx.Graph, error) {
	g := a.Graph(name)
	switch {
	case g == nil:
		return nil, fmt.Errorf("attribute %q is missing", name)
	case in >= 0 && len(g.Inputs) != in:
		return nil, fmt.Errorf("attribute %q has %d inputs, want %d", name, len(g.Inputs), in)
	case out >= 0 && len(g.Outputs) != out:
		return nil, fmt.Errorf("attribute %q has %d outputs, want %d", name, len(g.Outputs), out)
	}
	return g, nil
}

// runBody runs a body unless the run has ended.
func runBody(c *Call, b Body, in, out []tensor.Value) error {
	if err := c.Ctx().Err(); err != nil {
		return err
	}
	if n := len(b.Out()); n < len(out) {
		return fmt.Errorf("body has %d results, want %d", n, len(out))
	}
	return b.Run(c, in, out)
}

// oneBool returns the element of a bool tensor that has just one.
func oneBool(v tensor.Value, name string) (bool, error) {
	t, ok := v.(*tensor.Tensor)
	if !ok || t.DType() != tensor.Bool || t.Len() != 1 {
		return false, fmt.Errorf("%s is %v, want one bool", name, v)
	}
	return tensor.Data[bool](t)[0], nil
}

// nested holds the arguments and results of nested graphs between runs: only the memory,
// the values go when a call ends.
type nested struct{ args, out []tensor.Value }

// arguments returns n places for arguments.
func (m *nested) arguments(n int) []tensor.Value {
	m.args = slices.Grow(m.args[:0], n)[:n]
	return m.args
}

// results returns n places for results.
func (m *nested) results(n int) []tensor.Value {
	m.out = slices.Grow(m.out[:0], n)[:n]
	return m.out
}

// stacker collects tensors of one type and shape, one after the other in one
// growing buffer, as a scan output needs them.
type stacker struct {
	n     int
	dtype tensor.DType
	shape []int  // of all: n and the shape of one
	size  int    // bytes of one
	room  [1]int // shape of data
	data  *tensor.Tensor
	str   []string
}

// begin forgets all but the memory of a shape.
func (s *stacker) begin() { *s = stacker{shape: s.shape[:0]} }

// add appends v. hint is the number of tensors that will come at most; 0 if unknown.
func (s *stacker) add(c *Call, v tensor.Value, hint int) error {
	t, ok := v.(*tensor.Tensor)
	if !ok {
		return fmt.Errorf("scan output is %v, want a tensor", v)
	}
	if s.n == 0 {
		s.dtype, s.shape, s.size = t.DType(), append(append(s.shape[:0], 0), t.Shape()...), len(t.Bytes())
		if s.dtype.IsPacked() && t.Len()*s.dtype.Bits()%8 != 0 {
			return fmt.Errorf("%w: scan output of %v with %d elements", ErrUnsupported, s.dtype, t.Len())
		}
		const most = 1 << 24 // a trip count may be a mere bound: do not reserve without limit
		if hint < 1 || hint > most/max(s.size, 1) {
			hint = 1
		}
		s.grow(c, hint)
	}
	if t.DType() != s.dtype || !slices.Equal(t.Shape(), s.shape[1:]) {
		return fmt.Errorf("scan output is %v in iteration %d, want %v %v as in the first", t, s.n, s.dtype, s.shape[1:])
	}
	if s.dtype == tensor.String {
		s.str = append(s.str, tensor.Data[string](t)...)
	} else {
		if len(s.data.Bytes()) < (s.n+1)*s.size {
			s.grow(c, 2*s.n)
		}
		copy(s.data.Bytes()[s.n*s.size:], t.Bytes())
	}
	s.n++
	return nil
}

// grow makes room for n tensors.
func (s *stacker) grow(c *Call, n int) {
	if s.dtype == tensor.String {
		return
	}
	s.room = [1]int{n * s.size}
	if s.size > 0 && n > math.MaxInt/s.size {
		panic(Abort{fmt.Errorf("%w: scan output of %d times %d bytes", tensor.ErrSize, n, s.size)})
	}
	data := c.Lend(tensor.Uint8, s.room[:])
	if s.data != nil {
		copy(data.Bytes(), s.data.Bytes()[:s.n*s.size])
		c.Free(s.data)
	}
	s.data = data
}

// finish makes output i: the tensors stacked along a new first axis. elem is
// what is known of the type of one, for the case that there is none.
func (s *stacker) finish(c *Call, i int, elem onnx.Type) error {
	if s.n == 0 {
		d, shape, err := emptyOf(elem)
		if err != nil {
			return err
		}
		c.Output(i, d, append([]int{0}, shape...)...)
		return nil
	}
	s.shape[0] = s.n
	out := c.Output(i, s.dtype, s.shape...)
	if s.dtype == tensor.String {
		copy(tensor.Data[string](out), s.str)
	} else {
		copy(out.Bytes(), s.data.Bytes())
		c.Free(s.data)
	}
	return nil
}

// emptyOf returns the element type and shape that a tensor of type t has if
// there are none of it: dimensions that are not known count as 0.
func emptyOf(t onnx.Type) (tensor.DType, []int, error) {
	if t.DType == tensor.Undefined {
		return 0, nil, fmt.Errorf("%w: no iteration, and the element type of the scan output is unknown", ErrUnsupported)
	}
	shape := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		shape[i], _ = d.Size()
	}
	return t.DType, shape, nil
}
