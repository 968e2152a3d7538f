package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// grain is the number of elements below which an element-wise loop is not
// split between threads.
const grain = 16 << 10

// maxOperands is the largest number of inputs that a bcast walks at once.
const maxOperands = 3

// bcast is the walk over an output and the operands that broadcast to it.
// Dimensions of 1 are dropped and those that all operands pass over evenly are
// merged, so that the innermost stride of each operand is 0 or 1.
type bcast struct {
	n       int   // elements of the output
	dims    []int // at least one
	inner   int   // the last of dims
	strides [maxOperands][]int
}

// plan makes b the walk over an output of shape out, to which each shape must broadcast, in the memory that it has.
func (b *bcast) plan(out []int, shapes ...[]int) *bcast {
	b.n, b.dims = 1, slices.Grow(b.dims[:0], len(out)+1)
	for k := range b.strides {
		if k < len(shapes) {
			b.strides[k] = slices.Grow(b.strides[k][:0], len(out)+1)
		} else {
			b.strides[k] = nil
		}
	}
	var run [maxOperands]int // elements of operand k from the current dimension inwards
	for k := range shapes {
		run[k] = 1
	}
	// From the innermost dimension outwards; reversed at the end.
	for i := len(out) - 1; i >= 0; i-- {
		d := out[i]
		b.n *= d
		if d == 1 {
			continue
		}
		var s [maxOperands]int
		last := len(b.dims) - 1
		merge := last >= 0
		for k, shape := range shapes {
			if j := i - (len(out) - len(shape)); j >= 0 && shape[j] != 1 {
				s[k] = run[k]
				run[k] *= d
			}
			merge = merge && s[k] == b.strides[k][last]*b.dims[last]
		}
		if merge {
			b.dims[last] *= d
			continue
		}
		b.dims = append(b.dims, d)
		for k := range shapes {
			b.strides[k] = append(b.strides[k], s[k])
		}
	}
	if len(b.dims) == 0 {
		b.dims = append(b.dims, 1)
		for k := range shapes {
			b.strides[k] = append(b.strides[k], 1)
		}
	}
	reverse(b.dims)
	for k := range shapes {
		reverse(b.strides[k])
	}
	b.inner = b.dims[len(b.dims)-1]
	return b
}

func reverse(s []int) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

// step returns the innermost stride of operand k, 0 or 1.
func (b *bcast) step(k int) int { return b.strides[k][len(b.dims)-1] }

// each calls f for runs of n consecutive elements of the output, starting at
// o, over which operand k starts at off[k] and moves by step(k). Runs do not
// cross the innermost dimension. Calls may run at once.
func (b *bcast) each(p par.P, f func(o, n int, off [maxOperands]int)) {
	if b.n == 0 {
		return
	}
	rows := b.n / b.inner
	if b.inner < 2*grain {
		par.Each(p, rows, max(1, grain/b.inner), bcastEach{b, f, 0}, (*bcastEach).whole)
		return
	}
	for r := range rows {
		par.Each(p, b.inner, grain, bcastEach{b, f, r}, (*bcastEach).pieces)
	}
}

type bcastEach struct {
	b   *bcast
	f   func(o, n int, off [maxOperands]int)
	row int
}

// whole computes whole rows.
func (p *bcastEach) whole(lo, hi int) {
	n := p.b.inner
	for at := p.b.rows(lo); lo < hi; lo++ {
		p.f(lo*n, n, at.off)
		at.next(p.b)
	}
}

// pieces computes a piece of one row.
func (p *bcastEach) pieces(lo, hi int) {
	var off [maxOperands]int
	p.b.seek(p.row, &off, nil)
	for k := range off {
		if p.b.strides[k] != nil {
			off[k] += lo * p.b.step(k)
		}
	}
	p.f(p.row*p.b.inner+lo, hi-lo, off)
}

// parter computes n elements of the output from o on, in one row, whose operands
// begin at i and j.
type parter interface{ part(o, n, i, j int) }

// parts has f compute the whole output. It is what each is, without memory
// taken, and for two operands.
func (b *bcast) parts(p par.P, f parter) {
	if b.n == 0 {
		return
	}
	rows := b.n / b.inner
	if b.inner < 2*grain {
		par.Each(p, rows, max(1, grain/b.inner), bcastRows{b, f, 0}, (*bcastRows).whole)
		return
	}
	for r := range rows {
		par.Each(p, b.inner, grain, bcastRows{b, f, r}, (*bcastRows).pieces)
	}
}

type bcastRows struct {
	b   *bcast
	f   parter
	row int
}

// whole computes whole rows.
func (p *bcastRows) whole(lo, hi int) {
	n := p.b.inner
	for at := p.b.rows(lo); lo < hi; lo++ {
		p.f.part(lo*n, n, at.off[0], at.off[1])
		at.next(p.b)
	}
}

// pieces computes a piece of one row.
func (p *bcastRows) pieces(lo, hi int) {
	var off [maxOperands]int
	p.b.seek(p.row, &off, nil)
	p.f.part(p.row*p.b.inner+lo, hi-lo, off[0]+lo*p.b.step(0), off[1]+lo*p.b.step(1))
}

// rowWalk stands at a row of a bcast.
type rowWalk struct {
	off [maxOperands]int // where the row starts in each operand
	idx indices
}

// rows returns a walk that stands at row r.
func (b *bcast) rows(r int) (w rowWalk) {
	b.seek(r, &w.off, w.idx.of(len(b.dims)-1))
	return w
}

// next moves to the next row of b.
func (w *rowWalk) next(b *bcast) {
	idx := w.idx.of(len(b.dims) - 1)
	for d := len(idx) - 1; d >= 0; d-- {
		idx[d]++
		for k := range w.off {
			if b.strides[k] != nil {
				w.off[k] += b.strides[k][d]
			}
		}
		if idx[d] < b.dims[d] {
			return
		}
		idx[d] = 0
		for k := range w.off {
			if b.strides[k] != nil {
				w.off[k] -= b.strides[k][d] * b.dims[d]
			}
		}
	}
}

// seek sets off to where row r starts in each operand, and idx (unless nil) to
// its index in the outer dimensions.
func (b *bcast) seek(r int, off *[maxOperands]int, idx []int) {
	for d := len(b.dims) - 2; d >= 0; d-- {
		i := r % b.dims[d]
		r /= b.dims[d]
		if idx != nil {
			idx[d] = i
		}
		for k := range off {
			if b.strides[k] != nil {
				off[k] += i * b.strides[k][d]
			}
		}
	}
}

// expand writes the elements of operand k that the output elements [lo, lo+len(dst))
// meet, in order.
func expand[T any](b *bcast, k, lo int, dst, src []T) {
	outer := len(b.dims) - 1
	walk := b.rows(lo / b.inner)
	idx, o, at, step, st := walk.idx.of(outer), walk.off[k], lo%b.inner, b.step(k), b.strides[k]
	for len(dst) > 0 {
		n := min(b.inner-at, len(dst))
		if step == 1 {
			copy(dst[:n], src[o+at:])
		} else {
			v := src[o]
			for i := range dst[:n] {
				dst[i] = v
			}
		}
		dst, at = dst[n:], 0
		for d := outer - 1; d >= 0; d-- {
			idx[d]++
			o += st[d]
			if idx[d] < b.dims[d] {
				break
			}
			idx[d] = 0
			o -= st[d] * b.dims[d]
		}
	}
}

// legacyBroadcast wraps a kernel of two inputs for the versions before opset 7,
// where the attribute broadcast allows B to be a scalar or a part of A's shape
// that starts at the attribute axis (unset: B ends where A ends).
func legacyBroadcast(b *BuildContext, k Kernel) Kernel {
	on := b.Bool("broadcast", false)
	hasAxis := b.HasAttr("axis")
	axis := b.Int("axis", 0)
	switch b.Node.Op {
	case "Add", "Sub", "Mul", "Div":
		b.Ignore("consumed_inputs")
	}
	return func(c *Call) error {
		x, y := c.T(0), c.T(1)
		if x == nil || y == nil {
			return fmt.Errorf("an input is absent")
		}
		shape, err := c.legacyShape(x.Shape(), y.Shape(), on, hasAxis, axis)
		if err != nil {
			return err
		}
		s := State[legacyView](c)
		if err := s.t.RenewView(y, shape); err != nil {
			return err
		}
		defer s.forget()
		return c.with(1, &s.t, k)
	}
}

// legacyView is the B of a call in the shape that it takes there.
type legacyView struct{ t tensor.Tensor }

// forget leaves of the tensor the memory of its shape alone.
func (v *legacyView) forget() { _ = v.t.Renew(tensor.Uint8, noElements, nil, nil) } // cannot fail

// with runs k with v in the place of input i.
func (c *Call) with(i int, v tensor.Value, k Kernel) error {
	given := c.In[i]
	defer func() { c.In[i] = given }()
	c.In[i] = v
	return k(c)
}

// legacyShape returns the shape that B takes so that the rule of opset 7 gives
// what the attributes mean.
func (c *Call) legacyShape(a, b []int, on, hasAxis bool, axis int) ([]int, error) {
	if n, err := tensor.Count(b); err == nil && n == 1 && on {
		return c.Dims(0), nil
	}
	if !on {
		if !slices.Equal(a, b) {
			return nil, fmt.Errorf("B has shape %v, want A's shape %v as broadcast is 0", b, a)
		}
		return b, nil
	}
	start := len(a) - len(b)
	if hasAxis {
		start = axis
		if start < 0 {
			start += len(a)
		}
	}
	if start < 0 || start+len(b) > len(a) {
		return nil, fmt.Errorf("B has shape %v, want a part of A's shape %v at axis %d", b, a, start)
	}
	shape := c.Dims(len(a) - start)
	for i := range shape {
		shape[i] = 1
		if i < len(b) {
			shape[i] = b[i]
			if b[i] != 1 && b[i] != a[start+i] {
				return nil, fmt.Errorf("B has shape %v, want a part of A's shape %v at axis %d", b, a, start)
			}
		}
	}
	return shape, nil
}

// inferLegacy gives output 0 the element type d (Undefined: that of A) and A's shape.
func inferLegacy(d tensor.DType) func(*InferContext) error {
	return func(c *InferContext) error {
		t := c.In(0)
		if d != tensor.Undefined {
			t.DType = d
		}
		if t.Kind == onnx.UnknownKind {
			t.Kind = onnx.TensorKind
		}
		c.Out[0] = t
		return nil
	}
}
