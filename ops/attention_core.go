package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/attn"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	f16 "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// headView reads memory as [batch, head, position, element]: strides of the
// first three; elements lie together.
type headView[T any] struct {
	data    []T
	b, h, l int
}

// at returns the memory from position l of head h of batch b on.
func (v headView[T]) at(b, h, l int) []T { return v.data[b*v.b+h*v.h+l*v.l:] }

// headsFirst views contiguous [batch, heads, length, size].
func headsFirst[T any](data []T, heads, length, size int) headView[T] {
	return headView[T]{data, heads * length * size, length * size, size}
}

// headsLast views contiguous [batch, length, heads, size].
func headsLast[T any](data []T, heads, length, size int) headView[T] {
	return headView[T]{data, heads * length * size, size, heads * size}
}

// attention is softmax(softcap(scale·Q·Kᵀ) + mask)·V for all heads. Query head
// h reads key head h / (heads/kvHeads).
type attention[T floating] struct {
	batch, heads, kvHeads, lq, lk, d, dv int

	q, k, v, y headView[T]
	// kh and vh take the place of k and v that have 16 bits and are read as they
	// are, which only fused does.
	kh, vh headView[uint16]
	kind   f16.Kind

	scale, softcap float64 // softcap 0: none
	// span gives the keys [lo, hi) that query i of batch b may attend; nil: all.
	span func(b, i int) (lo, hi int)
	mask *attentionMask[T] // nil: none
	// sinks adds exp(sinks[h]) to the sum of each softmax of head h. Nil: none.
	sinks []T
	// qk [batch, heads, lq, lk] takes the scores: 0 scaled, 1 after softcap, 2
	// with mask, 3 after softmax. Nil: not wanted.
	qk     []T
	qkMode int

	args  attn.Args // of fused
	amask attn.Mask
}

// attentionMask is added to the scores. It broadcasts; keys at or past n are
// not attended.
type attentionMask[T floating] struct {
	keep    []bool // or nil: false is -∞
	add     []T
	b, h, i int // strides
	n       int
}

// run computes y, and qk if it is set.
func (a *attention[T]) run(p par.P) {
	if a.batch*a.heads*a.lq*a.dv == 0 && a.qk == nil {
		return
	}
	if f, ok := any(a).(*attention[float32]); ok && a.qk == nil {
		f.fused(p)
		return
	}
	const most = 1 << 18 // elements of a block of scores
	rows := min(max(most/max(a.lk, 1), 16), 256)
	blocks := (a.lq + rows - 1) / rows
	l := attentionLoop[T]{a: a, p: p, rows: rows, blocks: blocks}
	if a.lq >= 32 && a.lk > 0 && a.d > 0 { // K is used often enough to be packed once
		n := a.batch * a.kvHeads
		mem := gemm.Borrow[T](n * gemm.PackedLen(a.d, a.lk))
		defer mem.Return()
		l.packs, l.packing = mem.S, true
		par.Run(p, n, 1, par.With(l))
		l.packing = false
	}
	par.Run(p, a.batch*a.heads*blocks, 1+(1<<14)/(1+rows*a.lk*(a.d+a.dv)), par.With(l))
}

// attentionLoop packs the keys of heads, or computes blocks of queries.
type attentionLoop[T floating] struct {
	a            *attention[T]
	p            par.P
	packs        []T // the keys of all heads; nil: they are read as they are
	packing      bool
	rows, blocks int // of queries
}

// attentionWork is what a product of a block needs, in memory of a goroutine.
type attentionWork[T floating] struct {
	args   gemm.Args[T]
	packed gemm.Packed[T]
}

// Chunk does heads, or blocks, [lo, hi).
func (l *attentionLoop[T]) Chunk(lo, hi int) {
	a := l.a
	w, pool := borrow[attentionWork[T]]()
	for t := lo; t < hi; t++ {
		if l.packing {
			w.packed.Set(par.P{}, l.packsOf(t), a.k.at(t/a.kvHeads, t%a.kvHeads, 0), a.d, a.lk, 1, a.k.l)
			continue
		}
		i := t % l.blocks * l.rows
		l.block(w, t/l.blocks/a.heads, t/l.blocks%a.heads, i, min(i+l.rows, a.lq))
	}
	*w = attentionWork[T]{}
	pool.Put(w)
}

// packsOf returns where the packed keys of a key head of all batches are.
func (l *attentionLoop[T]) packsOf(head int) []T {
	n := gemm.PackedLen(l.a.d, l.a.lk)
	return l.packs[head*n:][:n]
}

// fused is run where nobody asks for the scores.
func (a *attention[T]) fused(p par.P) {
	g := &a.args
	*g = attn.Args{
		Batch: a.batch, Heads: a.heads, KVHeads: a.kvHeads, LQ: a.lq, LK: a.lk, D: a.d, DV: a.dv,
		Q: viewOf(a.q), K: viewOf(a.k), V: viewOf(a.v), Y: viewOf(a.y), Scale: a.scale, Softcap: a.softcap, Span: a.span,
	}
	if a.kh.data != nil {
		g.K = attn.View{Half: a.kh.data, Kind: a.kind, B: a.kh.b, H: a.kh.h, L: a.kh.l}
	}
	if a.vh.data != nil {
		g.V = attn.View{Half: a.vh.data, Kind: a.kind, B: a.vh.b, H: a.vh.h, L: a.vh.l}
	}
	if m := a.mask; m != nil {
		a.amask = attn.Mask{Keep: m.keep, B: m.b, H: m.h, I: m.i, N: m.n}
		a.amask.Add, _ = any(m.add).([]float32)
		g.Mask = &a.amask
	}
	g.Sinks, _ = any(a.sinks).([]float32)
	attn.Run(p, g)
}

func viewOf[T floating](v headView[T]) attn.View {
	data, _ := any(v.data).([]float32)
	return attn.View{Data: data, B: v.b, H: v.h, L: v.l}
}

// block computes queries [i0, i1) of head h of batch b.
func (l *attentionLoop[T]) block(w *attentionWork[T], b, h, i0, i1 int) {
	a := l.a
	lo, hi := 0, a.lk
	if a.span != nil && a.qk == nil {
		lo, hi = a.lk, 0
		for i := i0; i < i1; i++ {
			if from, to := a.span(b, i); from < to {
				lo, hi = min(lo, from), max(hi, to)
			}
		}
	}
	if lo >= hi {
		for i := i0; i < i1; i++ {
			clear(a.y.at(b, h, i)[:a.dv])
		}
		return
	}
	lo = lo / gemm.Panel * gemm.Panel
	kv, m, n := h/(a.heads/a.kvHeads), i1-i0, hi-lo
	mem := gemm.Borrow[T](m * n)
	defer mem.Return()
	s, g := mem.S, &w.args
	*g = gemm.Args[T]{M: m, N: n, K: a.d, A: a.q.at(b, h, i0), ARS: a.q.l, ACS: 1, C: s, LDC: n}
	if l.packs != nil {
		w.packed = gemm.Packed[T]{K: a.d, N: n, Data: l.packsOf(b*a.kvHeads + kv)[lo*a.d:]}
		g.Packed = &w.packed
	} else {
		g.B, g.BRS, g.BCS = a.k.at(b, kv, lo), 1, a.k.l
	}
	gemm.Run(l.p, g)
	for i := i0; i < i1; i++ {
		a.row(s[(i-i0)*n:(i-i0+1)*n], b, h, i, lo)
	}
	if a.dv > 0 {
		*g = gemm.Args[T]{M: m, N: a.dv, K: n, A: s, ARS: n, ACS: 1, B: a.v.at(b, kv, lo), BRS: a.v.l, BCS: 1, C: a.y.at(b, h, i0), LDC: max(a.y.l, a.dv)}
		gemm.Run(l.p, g)
	}
}

// row turns the products of query i with the keys from lo on into weights.
func (a *attention[T]) row(s []T, b, h, i, lo int) {
	scale := T(a.scale)
	for j := range s {
		s[j] *= scale
	}
	a.tap(0, s, b, h, i)
	if a.softcap > 0 {
		for j, v := range s {
			s[j] = T(a.softcap * math.Tanh(float64(v)/a.softcap))
		}
	}
	a.tap(1, s, b, h, i)
	a.hide(s, b, h, i, lo)
	a.tap(2, s, b, h, i)
	m := maxOf(s)
	if math.IsInf(float64(m), -1) {
		clear(s) // nothing may be attended
	} else {
		extra := 0.0
		if a.sinks != nil {
			m = max(m, a.sinks[h])
			extra = math.Exp(float64(a.sinks[h] - m))
		}
		inv := T(1 / (expShifted(s, s, m) + extra))
		for j := range s {
			s[j] *= inv
		}
	}
	a.tap(3, s, b, h, i)
}

// hide adds the mask to the scores of query i with the keys from lo on, and sets
// those of keys that it may not attend to -∞.
func (a *attention[T]) hide(s []T, b, h, i, lo int) {
	none := T(math.Inf(-1))
	if a.span != nil {
		l, r := a.span(b, i)
		l, r = min(max(l-lo, 0), len(s)), min(max(r-lo, 0), len(s))
		for j := range s[:l] {
			s[j] = none
		}
		for j := max(l, r); j < len(s); j++ {
			s[j] = none
		}
	}
	if a.mask != nil {
		a.mask.apply(s, b, h, i, lo)
	}
}

// clearHidden sets what qk has for keys that are not attended to 0.
func (a *attention[T]) clearHidden() {
	for u := range a.batch * a.heads * a.lq {
		lo, hi := a.span(u/(a.heads*a.lq), u%a.lq)
		row := a.qk[u*a.lk:][:a.lk]
		clear(row[:lo])
		clear(row[hi:])
	}
}

func (a *attention[T]) tap(mode int, s []T, b, h, i int) {
	if a.qk != nil && a.qkMode == mode {
		copy(a.qk[((b*a.heads+h)*a.lq+i)*a.lk:], s)
	}
}

// apply adds the mask of query i to the scores of the keys from lo on. What is
// masked out is -∞ whatever the score was.
func (m *attentionMask[T]) apply(s []T, b, h, i, lo int) {
	none := T(math.Inf(-1))
	n := min(max(m.n-lo, 0), len(s))
	at := b*m.b + h*m.h + i*m.i + lo
	for j := n; j < len(s); j++ {
		s[j] = none
	}
	if m.keep != nil {
		for j, keep := range m.keep[at:][:n] {
			if !keep {
				s[j] = none
			}
		}
		return
	}
	for j, v := range m.add[at:][:n] {
		if v == none {
			s[j] = none
		} else {
			s[j] += v
		}
	}
}

// newAttentionMask reads a mask, bool or numbers, whose shape broadcasts to
// [batch, heads, lq, lk]; the last dimension may be shorter than lk.
func newAttentionMask[T floating](c *Call, t *tensor.Tensor, name string, batch, heads, lq, lk int) (*attentionMask[T], error) {
	m := &attentionMask[T]{}
	return m, m.read(c, t, name, batch, heads, lq, lk)
}

// read is newAttentionMask in m.
func (m *attentionMask[T]) read(c *Call, t *tensor.Tensor, name string, batch, heads, lq, lk int) error {
	shape := t.Shape()
	fail := func() error {
		return fmt.Errorf("%s has shape %v, want one that broadcasts to %v", name, t.Shape(), []int{batch, heads, lq, lk})
	}
	if len(shape) > 4 || len(shape) == 0 || shape[len(shape)-1] > lk {
		return fail()
	}
	*m = attentionMask[T]{n: shape[len(shape)-1]}
	stride := m.n
	for k, to := range []struct {
		want int
		s    *int
	}{{lq, &m.i}, {heads, &m.h}, {batch, &m.b}} {
		at := len(shape) - 2 - k
		if at < 0 {
			break
		}
		switch shape[at] {
		case to.want:
			*to.s = stride
		case 1:
		default:
			return fail()
		}
		stride *= shape[at]
	}
	if t.DType() == tensor.Bool {
		m.keep = tensor.Data[bool](t)
		return nil
	}
	if t.DType().IsFloat() {
		var err error
		m.add, err = realsFor[T](c, t)
		return err
	}
	f, err := tensor.Float64s(t)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.add = convertInto(make([]T, len(f)), f)
	return nil
}

// joinCache writes past [batch, heads, p, size] and the new positions, which
// fresh views as elements of size bytes, to dst [batch, heads, p+l, size].
func joinCache(c *Call, dst, past []byte, fresh headView[byte], batch, heads, p, l, size int) {
	par.Each(c.P, batch*heads, 1+(1<<17)/(1+(p+l)*size), cacheJoin{dst, past, fresh, heads, p, l, size}, (*cacheJoin).run)
}

type cacheJoin struct {
	dst, past         []byte
	fresh             headView[byte]
	heads, p, l, size int
}

func (j *cacheJoin) run(lo, hi int) {
	p, l, size := j.p, j.l, j.size
	for u := lo; u < hi; u++ {
		out := j.dst[u*(p+l)*size:][:(p+l)*size]
		copy(out, j.past[u*p*size:][:p*size])
		out = out[p*size:]
		if j.fresh.l == size && l > 0 {
			copy(out, j.fresh.at(u/j.heads, u%j.heads, 0))
			continue
		}
		for i := 0; i < l; i++ {
			copy(out[i*size:(i+1)*size], j.fresh.at(u/j.heads, u%j.heads, i))
		}
	}
}
