package ops

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// Data movement. Operators that only move elements look at the size of an
// element, not at its type: cell lists the storage units, and a mover does the
// work for one of them. Elements of less than a byte are unpacked around the
// kernel (see bytewise).

// cell is a storage unit by which elements are moved.
type cell interface {
	uint8 | uint16 | uint32 | uint64 | [2]uint64 | string
}

// mover moves the elements of tensors of one element size. All offsets and
// strides are in elements.
type mover interface {
	// copy copies the elements that l tells of, whose slices it writes over.
	copy(p par.P, dst, src *tensor.Tensor, l strided)
	// run copies n adjacent elements.
	run(dst *tensor.Tensor, do int, src *tensor.Tensor, so, n int)
	// blocks copies count blocks of n elements. Block i goes from src[from[i]] to
	// dst[to[i]]; nil offsets stand for i*n. Blocks of dst must not overlap if p
	// runs in parallel.
	blocks(p par.P, dst *tensor.Tensor, to []int64, src *tensor.Tensor, from []int64, n, count int)
	// gather sets dst[o, j, i] = src[o, idx[j], i] for src of shape [outer, axis, inner].
	gather(p par.P, dst, src *tensor.Tensor, idx []int64, outer, axis, inner int)
	// elements sets each element of dst to that of src which l tells of. It returns the place of an
	// index that is out of range, or -1.
	elements(p par.P, dst, src *tensor.Tensor, l elementLines) int
	// pairs sets dst to the elements of a and b by turns.
	pairs(p par.P, dst, a, b *tensor.Tensor)
	// fill sets dst[at : at+n] to src[so].
	fill(p par.P, dst *tensor.Tensor, at, n int, src *tensor.Tensor, so int)
	// mapped does rows [lo, hi) of the destination of l.
	mapped(l *mappedRows, lo, hi int)
}

// moverOf returns the mover for an element type that is not packed.
func moverOf(d tensor.DType) mover {
	switch d.Bits() {
	case 0:
		return cells[string]{}
	case 16:
		return cells[uint16]{}
	case 32:
		return cells[uint32]{}
	case 64:
		return cells[uint64]{}
	case 128:
		return cells[[2]uint64]{}
	}
	return cells[uint8]{}
}

// strided describes a copy: element (i0, i1, …) of shape goes from
// src[so + Σ i*ss] to dst[do + Σ i*ds].
type strided struct {
	shape, ds, ss []int
	do, so        int
}

// merged returns the same copy with as few dimensions as possible, at least
// two. It writes over the slices of l.
func (l strided) merged() strided {
	if len(l.shape) < 2 {
		m := strided{shape: []int{1, 1}, ds: make([]int, 2), ss: make([]int, 2), do: l.do, so: l.so}
		if len(l.shape) == 1 {
			m.shape[1], m.ds[1], m.ss[1] = l.shape[0], l.ds[0], l.ss[0]
		}
		return m
	}
	m := strided{l.shape[:0], l.ds[:0], l.ss[:0], l.do, l.so}
	for i, n := range l.shape {
		if n == 1 {
			continue
		}
		if k := len(m.shape) - 1; k >= 0 && m.ds[k] == l.ds[i]*n && m.ss[k] == l.ss[i]*n {
			m.shape[k], m.ds[k], m.ss[k] = m.shape[k]*n, l.ds[i], l.ss[i]
			continue
		}
		m.shape, m.ds, m.ss = append(m.shape, n), append(m.ds, l.ds[i]), append(m.ss, l.ss[i])
	}
	for len(m.shape) < 2 { // there is room: l had two
		m.shape, m.ds, m.ss = slices.Insert(m.shape, 0, 1), slices.Insert(m.ds, 0, 1), slices.Insert(m.ss, 0, 1)
	}
	return m
}

// paired returns a merged copy with a dimension along which src is contiguous next to
// the one along which dst is, so that both are walked in tiles. It writes over the slices of l.
func (l strided) paired() strided {
	if k := len(l.shape) - 1; k > 1 && l.ds[k] == 1 && l.ss[k] != 1 {
		if j := slices.Index(l.ss, 1); j >= 0 {
			for _, s := range [...][]int{l.shape, l.ds, l.ss} {
				v := s[j]
				copy(s[j:k-1], s[j+1:k])
				s[k-1] = v
			}
		}
	}
	return l
}

// odometer walks the index space of shape and keeps two offsets.
type odometer struct {
	shape, as, bs []int
	a, b          int
	idx           indices
}

// indices holds one index for each of some dimensions, on the stack if these are few.
type indices struct {
	few  [8]int
	many []int
}

func (x *indices) of(rank int) []int {
	if rank <= len(x.few) {
		return x.few[:rank]
	}
	if x.many == nil {
		x.many = make([]int, rank)
	}
	return x.many
}

// seek moves to index i in row-major order.
func (o *odometer) seek(i int) {
	idx := o.idx.of(len(o.shape))
	o.a, o.b = 0, 0
	for k := len(o.shape) - 1; k >= 0; k-- {
		j := i % o.shape[k]
		i /= o.shape[k]
		idx[k] = j
		o.a += j * o.as[k]
		o.b += j * o.bs[k]
	}
}

// next moves to the next index.
func (o *odometer) next() {
	idx := o.idx.of(len(o.shape))
	for k := len(o.shape) - 1; k >= 0; k-- {
		idx[k]++
		o.a += o.as[k]
		o.b += o.bs[k]
		if idx[k] < o.shape[k] {
			return
		}
		o.a -= o.shape[k] * o.as[k]
		o.b -= o.shape[k] * o.bs[k]
		idx[k] = 0
	}
}

// moveGrain is the number of elements per parallel chunk.
const moveGrain = 32 << 10

// cells is the mover of one storage unit.
type cells[T cell] struct{}

// of returns the storage of t.
func (cells[T]) of(t *tensor.Tensor) []T {
	if t.DType() == tensor.String {
		return any(tensor.Data[string](t)).([]T)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.Bytes()))), t.Len())
}

func (c cells[T]) run(dst *tensor.Tensor, do int, src *tensor.Tensor, so, n int) {
	copy(c.of(dst)[do:do+n], c.of(src)[so:so+n])
}

func (c cells[T]) copy(p par.P, dst, src *tensor.Tensor, l strided) {
	if slices.Contains(l.shape, 0) {
		return
	}
	d, s := c.of(dst), c.of(src)
	if few := 1 << 12; len(l.shape) == 1 && l.shape[0] <= few {
		if l.ds[0] == 1 && l.ss[0] == 1 {
			copy(d[l.do:], s[l.so:l.so+l.shape[0]])
			return
		}
		for i := range l.shape[0] {
			d[l.do+i*l.ds[0]] = s[l.so+i*l.ss[0]]
		}
		return
	}
	if repeated(p, dst, src, &l) {
		return
	}
	k := len(l.shape) - 2
	rows, cols := l.shape[k], l.shape[k+1]
	dc, sr, sc := l.ds[k+1], l.ss[k], l.ss[k+1]
	colsPer := min(cols, 16<<10)
	rowsPer := min(rows, max(1, 8<<10/colsPer))
	if dc == 1 && sr == 1 && sc != 1 {
		rowsPer, colsPer = min(rows, 128), min(cols, 128)
	}
	rb, cb := (rows+rowsPer-1)/rowsPer, (cols+colsPer-1)/colsPer
	outer := 1
	for _, n := range l.shape[:k] {
		outer *= n
	}
	if k > 0 && l.shape[k-1] >= 8 && cols < 8 && rows*cols <= 16 {
		n := l.shape[k-1]
		parts := (n + bundle - 1) / bundle
		par.Run(p, outer/n*parts, max(1, moveGrain/(min(n, bundle)*rows*cols)), par.With(bundles[T]{d, s, l, parts}))
		return
	}
	par.Run(p, outer*rb*cb, max(1, moveGrain/(rowsPer*colsPer)), par.With(tiles[T]{d, s, l, k, rows, cols, rowsPer, colsPer, rb, cb}))
}

// bundle is the number of tiny matrices that are copied together.
const bundle = 256

// bundles are those of a copy: of matrices too small for a loop of their own, all elements of one place are
// copied one after the other. parts is how many there are along the last dimension but two.
type bundles[T cell] struct {
	d, s  []T
	l     strided
	parts int
}

func (t *bundles[T]) Chunk(lo, hi int) {
	l, k := &t.l, len(t.l.shape)-3
	n, dn, sn := l.shape[k], l.ds[k], l.ss[k]
	o := odometer{shape: l.shape[:k], as: l.ds[:k], bs: l.ss[:k]}
	o.seek(lo / t.parts)
	for part := lo % t.parts; lo < hi; lo++ {
		from := part * bundle
		count := min(bundle, n-from)
		do, so := l.do+o.a+from*dn, l.so+o.b+from*sn
		for r := range l.shape[k+1] {
			for c := range l.shape[k+2] {
				a, b := do+r*l.ds[k+1]+c*l.ds[k+2], so+r*l.ss[k+1]+c*l.ss[k+2]
				for range count {
					t.d[a] = t.s[b]
					a, b = a+dn, b+sn
				}
			}
		}
		if part++; part == t.parts {
			part = 0
			o.next()
		}
	}
}

// tiles are those of a copy: rb by cb for each index of the first k dimensions of l.
type tiles[T cell] struct {
	d, s                                    []T
	l                                       strided
	k, rows, cols, rowsPer, colsPer, rb, cb int
}

func (t *tiles[T]) Chunk(lo, hi int) {
	l, k := &t.l, t.k
	dr, dc, sr, sc := l.ds[k], l.ds[k+1], l.ss[k], l.ss[k+1]
	o := odometer{shape: l.shape[:k], as: l.ds[:k], bs: l.ss[:k]}
	o.seek(lo / (t.rb * t.cb))
	r, c := lo/t.cb%t.rb, lo%t.cb
	for ; lo < hi; lo++ {
		r0, c0 := r*t.rowsPer, c*t.colsPer
		tile(t.d, t.s, l.do+o.a+r0*dr+c0*dc, l.so+o.b+r0*sr+c0*sc, min(t.rowsPer, t.rows-r0), min(t.colsPer, t.cols-c0), dr, dc, sr, sc)
		if c++; c == t.cb {
			if c, r = 0, r+1; r == t.rb {
				r = 0
				o.next()
			}
		}
	}
}

// tile copies a matrix of rows by cols elements with the given strides.
func tile[T cell](d, s []T, do, so, rows, cols, dr, dc, sr, sc int) {
	switch {
	case dc == 1 && sc == 1:
		// Of the commonest sizes alone: each takes half a kilobyte of a program.
		if e := int(unsafe.Sizeof(*new(T))); (e == 1 || e == 4) && rows >= 4 && dr > 0 && sr >= 0 {
			if n := cols * e; n <= 64 {
				copyRows(bytesFrom(unsafe.Pointer(&d[0]), len(d)*e, do*e), bytesFrom(unsafe.Pointer(&s[0]), len(s)*e, so*e), rows, n, dr*e, sr*e)
				return
			}
		}
		for range rows {
			copy(d[do:do+cols], s[so:so+cols])
			do, so = do+dr, so+sr
		}
	case dc == 1 && sc == 0:
		for range rows {
			fillWith(d[do:do+cols], s[so])
			do, so = do+dr, so+sr
		}
	case dc == 1 && sr == 1 && (rows >= 4 || unsafe.Sizeof(d[0]) == 4):
		if words, ok := any(s).([]uint32); ok && dr > 0 && sc > 0 {
			move.Transpose(any(d).([]uint32)[do:], words[so:], rows, cols, dr, sc)
			return
		}
		if bytes, ok := any(s).([]uint8); ok && rows >= 8 && cols >= 8 {
			move.Transpose8(any(d).([]uint8)[do:], bytes[so:], rows, cols, dr, sc)
			return
		}
		if halves, ok := any(s).([]uint16); ok && rows >= 4 && cols >= 4 {
			move.Transpose16(bytesFrom(unsafe.Pointer(&d[0]), len(d)*2, do*2), bytesFrom(unsafe.Pointer(&halves[0]), len(s)*2, so*2), rows, cols, dr, sc)
			return
		}
		j := 0
		for ; j+8 <= cols; j += 8 { // eight streams of src, eight adjacent elements of dst
			s0, s1, s2, s3 := s[so+j*sc:], s[so+(j+1)*sc:], s[so+(j+2)*sc:], s[so+(j+3)*sc:]
			s4, s5, s6, s7 := s[so+(j+4)*sc:], s[so+(j+5)*sc:], s[so+(j+6)*sc:], s[so+(j+7)*sc:]
			for i := range rows {
				q := d[do+i*dr+j:]
				q = q[:8:8]
				q[0], q[1], q[2], q[3] = s0[i], s1[i], s2[i], s3[i]
				q[4], q[5], q[6], q[7] = s4[i], s5[i], s6[i], s7[i]
			}
		}
		for ; j < cols; j++ {
			for i, v := range s[so+j*sc:][:rows] {
				d[do+i*dr+j] = v
			}
		}
	default:
		for range rows {
			a, b := do, so
			for range cols {
				d[a] = s[b]
				a, b = a+dc, b+sc
			}
			do, so = do+dr, so+sr
		}
	}
}

// fillWith sets all of row to v.
func fillWith[T cell](row []T, v T) {
	n := min(len(row), 64)
	for j := range row[:n] {
		row[j] = v
	}
	for n < len(row) {
		n += copy(row[n:], row[:min(n, 4096)])
	}
}

func (c cells[T]) blocks(p par.P, dst *tensor.Tensor, to []int64, src *tensor.Tensor, from []int64, n, count int) {
	if n == 0 {
		return
	}
	par.Run(p, count, max(1, moveGrain/n), par.With(blockMoves[T]{c.of(dst), c.of(src), to, from, n}))
}

type blockMoves[T cell] struct {
	d, s     []T
	to, from []int64
	n        int
}

func (m *blockMoves[T]) Chunk(lo, hi int) {
	d, s, to, from, n := m.d, m.s, m.to, m.from, m.n
	switch {
	case n == 1 && from == nil && to != nil:
		for i, v := range s[lo:hi] {
			d[to[lo+i]] = v
		}
		return
	case n == 1 && to == nil && from != nil:
		row := d[lo:hi]
		for i, x := range from[lo:hi] {
			row[i] = s[x]
		}
		return
	}
	for i := lo; i < hi; i++ {
		a, b := i*n, i*n
		if to != nil {
			a = int(to[i])
		}
		if from != nil {
			b = int(from[i])
		}
		copy(d[a:a+n], s[b:b+n])
	}
}

func (c cells[T]) pairs(p par.P, dst, a, b *tensor.Tensor) {
	par.Run(p, a.Len(), moveGrain/4, par.With(pairMoves[T]{c.of(dst), c.of(a), c.of(b)}))
}

type pairMoves[T cell] struct{ d, a, b []T }

func (m *pairMoves[T]) Chunk(lo, hi int) {
	a, b, d := m.a[lo:hi], m.b[lo:hi], m.d[2*lo:2*hi]
	for i := 0; i < len(a) && i < len(b) && 2*i+1 < len(d); i++ { // no bounds are left to check
		d[2*i], d[2*i+1] = a[i], b[i]
	}
}

func (c cells[T]) gather(p par.P, dst, src *tensor.Tensor, idx []int64, outer, axis, inner int) {
	if inner == 0 || len(idx) == 0 {
		return
	}
	par.Run(p, outer*len(idx), max(1, moveGrain/inner), par.With(gatherMoves[T]{c.of(dst), c.of(src), idx, axis, inner}))
}

type gatherMoves[T cell] struct {
	d, s        []T
	idx         []int64
	axis, inner int
}

func (g *gatherMoves[T]) Chunk(lo, hi int) {
	d, s, idx, axis, inner := g.d, g.s, g.idx, g.axis, g.inner
	m := len(idx)
	for i := lo; i < hi; {
		o, j := i/m, i%m
		end := min(m, j+hi-i)
		base, out := o*axis*inner, (o*m+j)*inner
		i += end - j
		if inner == 1 {
			row, from := d[out:out+end-j], s[base:base+axis]
			for q, x := range idx[j:end] {
				row[q] = from[x]
			}
			continue
		}
		for _, x := range idx[j:end] {
			copy(d[out:out+inner], s[base+int(x)*inner:][:inner])
			out += inner
		}
	}
}

func (c cells[T]) fill(p par.P, dst *tensor.Tensor, at, n int, src *tensor.Tensor, so int) {
	par.Run(p, n, 4*moveGrain, par.With(fillMove[T]{c.of(dst)[at : at+n], c.of(src)[so]}))
}

type fillMove[T cell] struct {
	d []T
	v T
}

func (f *fillMove[T]) Chunk(lo, hi int) {
	fillWith(f.d[lo:hi], f.v)
}

// mapped sets dst[i0, i1, …] = src[maps[0][i0] + maps[1][i1] + …].
func mapped(p par.P, m mover, dst, src *tensor.Tensor, maps [][]int) {
	switch {
	case dst.Len() == 0:
		return
	case len(maps) == 0:
		m.run(dst, 0, src, 0, 1)
		return
	}
	n := len(maps[len(maps)-1])
	l := mappedRows{m: m, dst: dst, src: src, maps: maps[:len(maps)-1], last: maps[len(maps)-1]}
	l.from, l.to = longestRun(l.last)
	par.Run(p, dst.Len()/n, max(1, moveGrain/n), par.With(l))
}

// mappedRows is mapped over rows along the last dimension.
type mappedRows struct {
	m        mover
	dst, src *tensor.Tensor
	maps     [][]int // without that of the last dimension
	last     []int
	from, to int // the longest run of last
}

func (l *mappedRows) Chunk(lo, hi int) { l.m.mapped(l, lo, hi) }

func (c cells[T]) mapped(l *mappedRows, lo, hi int) {
	d, s, maps, last, from, to := c.of(l.dst), c.of(l.src), l.maps, l.last, l.from, l.to
	n := len(last)
	var few [8]int
	idx := slices.Grow(few[:0], len(maps))[:len(maps)]
	for i, k := lo, len(maps)-1; k >= 0; k-- {
		idx[k] = i % len(maps[k])
		i /= len(maps[k])
	}
	for r := lo; r < hi; r++ {
		base := 0
		for k, i := range idx {
			base += maps[k][i]
		}
		row := d[r*n:][:n]
		for j, x := range last[:from] {
			row[j] = s[base+x]
		}
		copy(row[from:to], s[base+last[from]:])
		for j, x := range last[to:] {
			row[to+j] = s[base+x]
		}
		for k := len(idx) - 1; k >= 0; k-- {
			if idx[k]++; idx[k] < len(maps[k]) {
				break
			}
			idx[k] = 0
		}
	}
}

// longestRun returns where the longest run of consecutive numbers begins and ends.
func longestRun(s []int) (from, to int) {
	for i, k := 0, 0; i < len(s); i = k {
		for k = i + 1; k < len(s) && s[k] == s[k-1]+1; k++ {
		}
		if k-i > to-from {
			from, to = i, k
		}
	}
	return from, to
}

// zero clears the storage of t.
func zero(t *tensor.Tensor) {
	clear(t.Bytes())
	if t.DType() == tensor.String {
		clear(tensor.Data[string](t))
	}
}

// sizeOf returns the product of dims.
func sizeOf(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// bytewise lets k, which moves whole elements, work on packed types: such
// inputs are unpacked to one byte per element, and output out (as uint8) is
// packed again.
//
//go:noinline
func bytewise(k Kernel, outs ...int) Kernel {
	return func(c *Call) error {
		packed := tensor.Undefined
		for _, v := range c.In {
			if t, ok := v.(*tensor.Tensor); ok && t.DType().IsPacked() {
				packed = t.DType()
			}
		}
		if packed == tensor.Undefined {
			return k(c)
		}
		w := innerCall(c, tensor.Uint8)
		defer w.end()
		for i, v := range c.In {
			if t, ok := v.(*tensor.Tensor); ok && t.DType() == packed {
				u := w.input(t.Shape())
				unpackInto(u, t)
				w.call.In[i] = u
			}
		}
		if err := k(&w.call); err != nil {
			return err
		}
		for i, v := range w.call.Out {
			if t, ok := v.(*tensor.Tensor); ok && slices.Contains(outs, i) {
				packBits(c.Output(i, packed, t.Shape()...), t)
			} else if v != nil {
				c.SetOut(i, v)
			}
		}
		return nil
	}
}

// unpackBits returns the bit patterns of a packed tensor, one per byte.
func unpackBits(t *tensor.Tensor) *tensor.Tensor {
	u := tensor.New(tensor.Uint8, t.Shape()...)
	unpackInto(u, t)
	return u
}

func unpackInto(u, t *tensor.Tensor) {
	d, s, bits := u.Bytes(), t.Bytes(), t.DType().Bits()
	per, mask := 8/bits, byte(1<<bits-1)
	for i := range d {
		d[i] = s[i/per] >> (i % per * bits) & mask
	}
}

// packBits is the inverse of unpackInto.
func packBits(t, u *tensor.Tensor) {
	d, s, bits := t.Bytes(), u.Bytes(), t.DType().Bits()
	clear(d)
	per := 8 / bits
	for i, v := range s {
		d[i/per] |= v << (i % per * bits)
	}
}
