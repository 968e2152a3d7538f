// Package attn computes attention: Y = softmax(softcap(scale·Q·Kᵀ) + mask)·V for
// each head, with no more scores in memory than a block of queries and a chunk
// of keys have.
//
// Many queries are multiplied in tiles of package gemm with keys and values that
// are packed once and shared by all queries and heads that read them. Few
// queries (decoding) read keys and values in place, once. Both go over the keys
// in chunks, with a running maximum and sum. A result does not depend on the
// number of threads.
package attn

import (
	"math"
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
)

// View reads memory as [batch, head, position, element]: strides of the first
// three; elements lie together. Keys and values may be numbers of 16 bits,
// which are widened a chunk at a time.
type View struct {
	Data    []float32
	Half    []uint16 // in place of Data
	Kind    half.Kind
	B, H, L int
}

// rows returns where n positions of size elements from l on lie, and how many
// elements apart. buf has room for them if they have 16 bits.
func (v *View) rows(buf []float32, b, h, l, n, size int) (unsafe.Pointer, int) {
	if v.Half == nil {
		_ = v.at(b, h, l+n-1, size)
		return v.at(b, h, l, size), v.L
	}
	if size == 0 {
		return nil, 0
	}
	s := v.Half[b*v.B+h*v.H+l*v.L:]
	if v.L == size {
		half.Widen(v.Kind, buf[:n*size], s)
	} else {
		for i := range n {
			half.Widen(v.Kind, buf[i*size:(i+1)*size], s[i*v.L:])
		}
	}
	return unsafe.Pointer(&buf[0]), size
}

// room returns how many elements rows needs for n positions.
func (v *View) room(n, size int) int {
	if v.Half == nil {
		return 0
	}
	return n * size
}

func (v *View) at(b, h, l, n int) unsafe.Pointer {
	if n == 0 {
		return nil
	}
	s := v.Data[b*v.B+h*v.H+l*v.L:]
	return unsafe.Pointer(&s[:n][0])
}

// Mask is added to the scores: Add, or -Inf where Keep is false. It is read at
// b·B + h·H + i·I + key; keys at or past N are not attended.
type Mask struct {
	Keep    []bool
	Add     []float32
	B, H, I int
	N       int
}

// Args is one attention. Query head h reads key head h / (Heads/KVHeads). A
// query that may attend no key gives 0.
type Args struct {
	Batch, Heads, KVHeads, LQ, LK, D, DV int

	Q, K, V, Y View

	Scale, Softcap float64 // Softcap 0: none
	// Span gives the keys [lo, hi) that query i of batch b may attend. Nil: all.
	Span func(b, i int) (lo, hi int)
	Mask *Mask // nil: none
	// Sinks adds e^Sinks[h] to the sum of each softmax of head h. Nil: none.
	Sinks []float32
}

// chunk is the number of keys that are taken at once; sums of products run over
// at most half of it before they are added up.
const chunk = 384

// few is the number of queries up to which keys and values are read in place.
const few = 15

// Run computes a.Y. It panics if a slice is too short for the sizes and strides.
func Run(p par.P, a *Args) {
	if a.Batch <= 0 || a.Heads <= 0 || a.LQ <= 0 || a.DV <= 0 {
		return
	}
	if a.LK <= 0 {
		for i := range a.Batch * a.Heads * a.LQ {
			clear(floats(a.Y.at(i/a.LQ/a.Heads, i/a.LQ%a.Heads, i%a.LQ, a.DV), a.DV))
		}
		return
	}
	if a.LQ <= few {
		a.decode(p)
	} else {
		a.prefill(p)
	}
}

// span returns the keys of [lo, hi) that query i of batch b may attend.
func (a *Args) span(b, i, lo, hi int) (int, int) {
	if a.Span != nil {
		l, r := a.Span(b, i)
		lo, hi = max(lo, l), min(hi, r)
	}
	if a.Mask != nil {
		hi = min(hi, a.Mask.N)
	}
	return lo, max(lo, hi)
}

// state is the softmax of one query so far: the sum of e^(score - m).
type state struct {
	m   float32
	sum float64
}

// stateBufs hold states that calls share out among themselves.
var stateBufs = sync.Pool{New: func() any { return new([]state) }}

// borrowStates returns n states, undefined, and what to put back.
func borrowStates(n int) ([]state, *[]state) {
	buf, _ := stateBufs.Get().(*[]state)
	*buf = slices.Grow((*buf)[:0], n)[:n]
	return *buf, buf
}

func (a *Args) start(h int) state {
	if a.Sinks != nil {
		return state{a.Sinks[h], 1}
	}
	return state{m: negInf}
}

// softmax turns the scores s of query i with the keys from j0 on into weights
// and updates st. It returns what the earlier weighted sums must be multiplied
// with; any is false where no weight is other than 0. s has n scores and is as
// long as the next multiple of 16 or longer; all of it is written.
func (a *Args) softmax(t *table, s []float32, n int, st *state, b, h, i, j0 int) (rescale float32, any bool) {
	l, r := a.span(b, i, j0, j0+n)
	l, r = l-j0, r-j0
	if l >= r {
		clear(s)
		return 1, false
	}
	if a.Softcap > 0 {
		c := float32(a.Softcap)
		part := s[l:r]
		t.scale(unsafe.Pointer(&part[0]), unsafe.Pointer(&part[0]), r-l, 1/c)
		vec.Best().Tanh(part, part)
		t.scale(unsafe.Pointer(&part[0]), unsafe.Pointer(&part[0]), r-l, c)
	}
	// Whole vectors from l0 to r0.
	l0, r0 := l&^15, (r+15)&^15
	clear(s[:l0])
	clear(s[r0:])
	for j := l0; j < l; j++ {
		s[j] = negInf
	}
	for j := r; j < r0; j++ {
		s[j] = negInf
	}
	var m float32
	switch k := a.Mask; {
	case k == nil:
		m = t.largest(unsafe.Pointer(&s[l0]), r0-l0)
	case k.Keep != nil:
		keep := k.Keep[b*k.B+h*k.H+i*k.I+j0+l:][:r-l]
		m = t.keepLargest(unsafe.Pointer(&s[l]), unsafe.Pointer(&keep[0]), r-l)
	default:
		add := k.Add[b*k.B+h*k.H+i*k.I+j0+l:][:r-l]
		m = t.addLargest(unsafe.Pointer(&s[l]), unsafe.Pointer(&add[0]), r-l)
	}
	rescale = 1
	if m > st.m {
		rescale = float32(math.Exp(float64(st.m - m)))
		st.sum *= float64(rescale)
		st.m = m
	}
	if st.m == negInf {
		// All are -Inf, or NaN, which the maximum passes over.
		nan := false
		for _, v := range s[l:r] {
			nan = nan || v != v
		}
		if !nan {
			clear(s)
			return 1, false
		}
		st.m = 0
	}
	st.sum += float64(t.expSum(unsafe.Pointer(&s[l0]), r0-l0, st.m))
	return rescale, true
}

// inverse returns the factor of the weighted sum.
func (st state) inverse() float32 {
	if st.sum == 0 {
		return 0
	}
	return float32(1 / st.sum)
}
