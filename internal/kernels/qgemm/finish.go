package qgemm

import (
	"encoding/binary"
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
)

// View is a left matrix that tiles read where it is: rows of unsigned bytes,
// Stride apart. A row is one run of K bytes, or Segments of them, Step apart. A
// run is read to the next multiple of 4 beyond K; the right matrix, whose K
// counts these bytes too, must have zeros there.
type View struct {
	M, K, Stride   int
	Segments, Step int // 0: one
	Data           []byte
	// Sums has the sum of each row. It may be nil if Finish.Zeros is.
	Sums []int32
	// Before is how many tiles have been computed with the same panel just
	// before: the first two fetch the next panel.
	Before int
}

// segments returns their number and the groups of four bytes of each.
func (a *View) segments() (n, kg int) { return max(a.Segments, 1), (a.K + 3) / 4 }

// Finish says what becomes of the sums of a product before they leave the
// registers:
//
//	s[i,j] = Σ_p a[i,p]·b[p,j] + Bias[j] - Sums[i]·Zeros[j]
//	bytes:  clamp(round(s·Scale[j]) + Zero, Lo, Hi), halves to even
//	floats: s·Scale[j] + Shift[j]
//	ints:   s
//
// Slices have an element for each column of all panels. It is not changed by
// Bytes and Floats, so that one may serve many calls.
type Finish struct {
	Bias         []int32
	Zeros        []int32 // nil: all 0
	Scale        []float32
	Shift        []float32 // nil: all 0
	Zero, Lo, Hi int32
	// Small says that all scales lie within (-1, 1), so that no product leaves
	// the range of int32. SetScale sets it.
	Small bool

	zeros []int32   // what Zeros may use
	shift []float32 // what Shift may use
}

// SetScale sets Scale for n columns from one value or one for each, each times
// factor.
func (f *Finish) SetScale(scale []float32, n int, factor float32) {
	padded := (n + Width - 1) / Width * Width
	if cap(f.Scale) < padded {
		f.Scale = make([]float32, padded)
	}
	f.Scale = f.Scale[:padded]
	f.Small = true
	for j := range n {
		s := scale[0]
		if len(scale) > 1 {
			s = scale[j]
		}
		s *= factor
		f.Scale[j] = s
		f.Small = f.Small && s > -1 && s < 1
	}
	clear(f.Scale[n:])
}

// SetShift sets Shift for n columns; nil: none.
func (f *Finish) SetShift(shift []float32, n int) {
	if shift == nil {
		f.Shift = nil
		return
	}
	padded := (n + Width - 1) / Width * Width
	if cap(f.shift) < padded {
		f.shift = make([]float32, padded)
	}
	f.Shift = f.shift[:padded]
	clear(f.Shift[copy(f.Shift, shift[:n]):])
}

// SetZeros sets Bias and Zeros for the product of a, whose bytes have the zero
// point za (as unsigned bytes), with b, of zero points zb (one, one for each
// column, or none), so that s is the sum of the products of what the bytes stand
// for, of which there are k, plus bias (nil: none).
func (f *Finish) SetZeros(b *Right, k int, za int32, zb, bias []int32) {
	padded := b.Panels() * Width
	if cap(f.Bias) < padded {
		f.Bias = make([]int32, padded)
	}
	f.Bias = f.Bias[:padded]
	off := int32(0)
	if !b.Signed {
		off = -128
	}
	any := off != 0 && len(zb) == 0
	for _, z := range zb {
		any = any || z+off != 0
	}
	if any {
		if cap(f.zeros) < padded {
			f.zeros = make([]int32, padded)
		}
		f.Zeros = f.zeros[:padded]
		for j := range b.N {
			f.Zeros[j] = zeroAt(zb, j) + off
		}
	} else {
		f.Zeros = nil
	}
	if !any && bias == nil {
		to := f.Bias[:b.N]
		for j, v := range b.Sums[:len(to)] {
			to[j] = -za * v
		}
		return
	}
	for j := range b.N {
		v := -za * b.Sums[j]
		if any {
			v += za * int32(k) * f.Zeros[j]
		}
		if bias != nil {
			v += bias[j]
		}
		f.Bias[j] = v
	}
}

// RowSums returns the sums of the rows of a.
func (a *View) RowSums(dst []int32) {
	n, _ := a.segments()
	for i := range dst[:a.M] {
		dst[i] = 0
		for s := range n {
			at := i*a.Stride + s*a.Step
			dst[i] += byteSum(a.Data[at : at+a.K])
		}
	}
}

// Bytes writes the bytes of rows a times panels [q0, q1) of b to dst, whose
// rows are ldd apart and begin with the first column of b.
func (f *Finish) Bytes(t *Table, a *View, b *Right, q0, q1 int, dst []byte, ldd int) {
	f.run(t, a, b, q0, q1, unsafe.Pointer(unsafe.SliceData(dst)), len(dst), ldd, asBytes)
}

// Floats is Bytes for floats.
func (f *Finish) Floats(t *Table, a *View, b *Right, q0, q1 int, dst []float32, ldd int) {
	f.run(t, a, b, q0, q1, unsafe.Pointer(unsafe.SliceData(dst)), len(dst), ldd, asFloats)
}

// Ints is Bytes for the sums themselves. It needs no Scale.
func (f *Finish) Ints(t *Table, a *View, b *Right, q0, q1 int, dst []int32, ldd int) {
	f.run(t, a, b, q0, q1, unsafe.Pointer(unsafe.SliceData(dst)), len(dst), ldd, asInts)
}

// kind is what becomes of sums.
type kind uint8

const (
	asBytes kind = iota
	asFloats
	asInts
)

func (f *Finish) run(t *Table, a *View, b *Right, q0, q1 int, dst unsafe.Pointer, size, ldd int, to kind) {
	if a.M == 0 || q1 <= q0 {
		return
	}
	segments, kg := a.segments()
	panel := PanelSize(b.K)
	last := min(q1*Width, b.N)
	if segments*kg != (b.K+3)/4 || (a.M-1)*ldd+last > size || (a.M-1)*a.Stride+(segments-1)*a.Step+kg*4 > len(a.Data) || q1*panel > len(b.Data) || q1*Width > len(f.Bias) ||
		to != asInts && q1*Width > len(f.Scale) || f.Shift != nil && to == asFloats && q1*Width > len(f.Shift) || f.Zeros != nil && (len(a.Sums) < a.M || q1*Width > len(f.Zeros)) {
		panic("qgemm: sizes do not fit")
	}
	elem := 4
	fused := t.Floats
	switch to {
	case asBytes:
		elem, fused = 1, t.Bytes
	case asInts:
		fused = t.Ints
	}
	byTiles := t.tiles.takes(a, b, q1) && (to != asBytes || f.Small)
	thin := b.narrow && t.Thin != nil
	if thin {
		fused = [...]fusedTile{t.Thin.Bytes, t.Thin.Floats, t.Thin.Ints}[to]
	}
	if kg == 0 || b.K > 4*kBlock || to == asBytes && !f.Small || b.fixes != nil && !thin {
		fused = nil
	}
	wk := works.Get().(*work)
	defer works.Put(wk)
	wk.words = [5]uint32{pair(f.Zero), pair(f.Lo), pair(f.Hi)}
	if f.Lo < 0 { // as unsigned bytes, which are flipped
		wk.words = [5]uint32{pair(f.Zero + 128), pair(f.Lo + 128), pair(f.Hi + 128), 1, 0x80808080}
	} else if f.Lo > 0 || f.Hi < 255 {
		wk.words[3] = 1
	}
	if byTiles {
		t.tiles.run(f, a, b, q0, q1, dst, ldd, to, &wk.words, false)
		return
	}
	p := product{f: f, t: t, a: a, b: b, wk: wk, fused: fused, to: to, elem: elem, dst: dst, ldd: ldd, kg: kg, stride: a.Stride, segments: segments, mr: t.MR}
	if thin && fused != nil {
		p.mr = t.Thin.MR
	}
	if fused == nil || thin || t.Widen == nil {
		p.data = a.Data
		p.rows(0, a.M, q0, q1)
	} else {
		// As many rows as stay in the cache while panels come by.
		p.kg, p.stride, p.segments = segments*kg, segments*kg*8, 1
		high := max(t.MR, wideBytes/p.stride/t.MR*t.MR)
		for i := 0; i < a.M; i += high {
			n := min(high, a.M-i)
			p.data = wk.widen(t, a, i, n, kg)
			p.rows(i, n, q0, q1)
		}
	}
	wk.ends = Ends{}
}

// wideBytes is what widened rows take at most.
const wideBytes = 128 << 10

// fusedTile is Table.Bytes, Floats or Ints.
type fusedTile = func(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends)

// product is a call of run.
type product struct {
	f         *Finish
	t         *Table
	a         *View
	b         *Right
	wk        *work
	fused     fusedTile
	mr        int
	to        kind
	elem, ldd int
	dst       unsafe.Pointer
	// Rows that fused reads.
	data                 []byte
	kg, stride, segments int
}

// rows computes n rows from row i0 on, which p.data begins with, of panels [q0, q1).
func (p *product) rows(i0, n, q0, q1 int) {
	f, a, b := p.f, p.a, p.b
	tiles := (n + p.mr - 1) / p.mr
	step, size := (n+tiles-1)/tiles, PanelSize(b.K)
	for q := q0; q < q1; q++ {
		j := q * Width
		w := min(Width, b.N-j)
		e := &p.wk.ends
		bias := &f.Bias[j]
		if p.t.Less != 0 && p.fused != nil {
			for x, v := range b.Sums[j : j+Width] {
				p.wk.bias[x] = f.Bias[j+x] + p.t.Less*v
			}
			bias = &p.wk.bias[0]
		}
		e.Bias, e.Apart, e.Scale, e.More, e.Segments, e.Step = unsafe.Pointer(bias), 0, nil, nil, p.segments, a.Step-p.kg*4
		if p.to != asInts {
			e.Scale = unsafe.Pointer(&f.Scale[j])
		}
		if p.to == asBytes {
			e.More = unsafe.Pointer(&p.wk.words)
		} else if f.Shift != nil {
			e.More = unsafe.Pointer(&f.Shift[j])
		}
		for i := 0; i < n; i += step {
			r := min(step, n-i)
			d := unsafe.Add(p.dst, ((i0+i)*p.ldd+j)*p.elem)
			if p.fused == nil {
				f.slow(p.t, a, b, p.wk, i0+i, r, q, d, p.ldd, p.to)
				continue
			}
			tile := a.Before + i/step
			e.Next = unsafe.Pointer(&b.Data[min(q+1, b.Panels()-1)*size+min(tile, 1)*p.kg*p.segments*2*Width])
			if b.fixes != nil && len(b.fixes[q]) > 0 {
				for x := range r {
					copy(p.wk.sums[x*Width:(x+1)*Width], f.Bias[j:j+Width])
				}
				b.fix(a, i0+i, i0+i+r, q, 0, p.wk.sums[:], Width)
				e.Bias, e.Apart = unsafe.Pointer(&p.wk.sums), Width*4
			}
			if f.Zeros != nil {
				e.Sums, e.Zeros = unsafe.Pointer(&a.Sums[i0+i]), unsafe.Pointer(&f.Zeros[j])
			}
			p.fused(r, p.kg, unsafe.Pointer(&p.data[i*p.stride]), p.stride, unsafe.Pointer(&b.Data[q*size]), d, p.ldd, w, e)
		}
	}
}

// widen returns n rows of a from row i0 on as words.
func (wk *work) widen(t *Table, a *View, i0, n, kg int) []byte {
	segments, _ := a.segments()
	const slack = 64 // a step of Widen writes whole groups of eight: what comes later overwrites the rest
	size := n * segments * kg * 8
	if cap(wk.wide) < size+slack {
		wk.wide = make([]byte, size+slack)
	}
	wide := wk.wide[:size+slack]
	dst := wide
	if segments == 1 && a.Stride == 4*kg { // one run of bytes
		n, kg = 1, n*kg
	}
	for i := range n {
		for s := range segments {
			src := a.Data[(i0+i)*a.Stride+s*a.Step:]
			steps := (kg + 7) / 8
			if steps*32 > len(src) {
				steps = kg / 8
			}
			if steps > 0 {
				t.Widen(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), steps)
			}
			for g := steps * 8; g < kg; g++ {
				v := binary.LittleEndian.Uint32(src[4*g:])
				even, odd := v&0x00ff00ff, v>>8&0x00ff00ff
				binary.LittleEndian.PutUint64(dst[8*g:], uint64(even)|uint64(odd)<<32)
			}
			dst = dst[8*kg:]
		}
	}
	return wide
}

// work is what a call of run writes to.
type work struct {
	ends  Ends
	words [5]uint32
	sums  [maxMR * Width]int32
	bias  [Width]int32
	tail  [Width]byte
	float [Width]float32
	wide  []byte
}

var (
	works   = sync.Pool{New: func() any { return new(work) }}
	noShift [Width]float32
)

// pair returns v as a word, twice.
func pair(v int32) uint32 { return uint32(uint16(v)) | uint32(uint16(v))<<16 }

// Ends are the pointers of Finish for the columns of a tile, the segments of the
// rows, and the bytes between the end of one and the next. The bias of a row is
// Apart bytes behind that of the row before, 0 but for tiles of narrow panels.
type Ends struct {
	Apart                          int
	Bias, Sums, Zeros, Scale, More unsafe.Pointer
	Segments, Step                 int
	// Next is half a panel that may be fetched into the cache.
	Next unsafe.Pointer

	tail [5 * 16]int32 // what a tile may write to
}

// slow computes r rows of a panel by way of sums in memory.
func (f *Finish) slow(t *Table, a *View, b *Right, wk *work, i0, r, q int, dst unsafe.Pointer, ldd int, to kind) {
	j0, panel := q*Width, PanelSize(b.K)
	w := min(Width, b.N-j0)
	for i := range r {
		row := wk.sums[i*Width : (i+1)*Width]
		copy(row, f.Bias[j0:j0+Width])
		if f.Zeros != nil {
			s := a.Sums[i0+i]
			for j, z := range f.Zeros[j0 : j0+Width] {
				row[j] -= s * z
			}
		}
		if t.Less != 0 {
			for j, v := range b.Sums[j0 : j0+Width] {
				row[j] += t.Less * v
			}
		}
	}
	b.fix(a, i0, i0+r, q, t.Less, wk.sums[:], Width)
	segments, groups := a.segments()
	for s := range segments {
		for k := 0; k < groups*4; k += kBlock {
			kg := min(kBlock/4, groups-k/4)
			t.Tile(r, kg, unsafe.Pointer(&a.Data[i0*a.Stride+s*a.Step+k]), a.Stride, unsafe.Pointer(&b.Data[q*panel+(s*groups*4+k)*Width]), unsafe.Pointer(&wk.sums), Width, Width)
		}
	}
	if to == asInts {
		for i := range r {
			copy(unsafe.Slice((*int32)(unsafe.Add(dst, i*ldd*4)), w), wk.sums[i*Width:])
		}
		return
	}
	scale, shift := f.Scale[j0:j0+Width], noShift[:]
	if f.Shift != nil {
		shift = f.Shift[j0 : j0+Width]
	}
	for i := range r {
		row := wk.sums[i*Width : (i+1)*Width]
		if to == asFloats {
			quant.Scaled(wk.float[:], row, scale, shift)
			copy(unsafe.Slice((*float32)(unsafe.Add(dst, i*ldd*4)), w), wk.float[:])
		} else {
			quant.RequantizeEach(wk.tail[:], row, scale, f.Zero, f.Lo, f.Hi)
			copy(unsafe.Slice((*byte)(unsafe.Add(dst, i*ldd)), w), wk.tail[:])
		}
	}
}

// Product computes all of a times b with f, whose zero points have been set, to
// one of the slices, rows of b.N. a.Zero is not looked at.
func (f *Finish) Product(p par.P, a Left, b *Right, toBytes []byte, toFloats []float32, toInts []int32) {
	if a.M == 0 || b.N == 0 {
		return
	}
	r := productRun{Finish: f, left: a, right: b, bytes: toBytes, floats: toFloats, ints: toInts}
	r.view = View{M: a.M, K: a.K, Stride: a.K, Data: a.Data}
	if a.Signed || a.K%4 != 0 {
		r.view.Stride = (a.K + 3) &^ 3
		data := borrow[byte](&byteLists, a.M*r.view.Stride)
		defer byteLists.Put(data)
		r.view.Data = *data
		par.Each(p, a.M, max(1, (1<<16)/max(1, a.K)), r, (*productRun).align)
	}
	const (
		task  = 1 << 22   // products: some 20 µs of the fastest kernel
		cache = 512 << 10 // bytes of rows
	)
	// As many rows as stay in the cache beside a panel.
	r.high = min(max(cache/max(1, r.view.Stride), 56), 20*14)
	r.rowTasks = (a.M + r.high - 1) / r.high
	r.high = (a.M + r.rowTasks - 1) / r.rowTasks
	r.wide = max(1, min(b.Panels(), task/max(1, r.high*Width*b.K)))
	colTasks := (b.Panels() + r.wide - 1) / r.wide
	if f.Zeros != nil {
		sums := borrow[int32](&sumLists, a.M)
		defer sumLists.Put(sums)
		r.view.Sums = *sums
		par.Each(p, a.M, max(1, (1<<16)/max(1, a.K)), r, (*productRun).sum)
	}
	par.Each(p, r.rowTasks*colTasks, max(1, task/max(1, r.high*r.wide*Width*b.K)), r, (*productRun).run)
}

// productRun is one product, in tasks of high rows and wide panels.
type productRun struct {
	*Finish
	left                 Left
	right                *Right
	view                 View
	bytes                []byte
	floats               []float32
	ints                 []int32
	high, wide, rowTasks int
}

// align copies rows [lo, hi) to where groups of four end with a row.
func (r *productRun) align(lo, hi int) {
	for i := lo; i < hi; i++ {
		dst := r.view.Data[i*r.view.Stride:][:r.view.Stride]
		clear(dst[copy(dst, r.left.Data[i*r.left.K:][:r.left.K]):])
		if r.left.Signed {
			flip(dst[:r.left.K])
		}
	}
}

// sum sums rows [lo, hi).
func (r *productRun) sum(lo, hi int) {
	v := r.part(lo, hi-lo)
	v.RowSums(r.view.Sums[lo:hi])
	views.Put(v)
}

// part returns n rows from row i on.
func (r *productRun) part(i, n int) *View {
	v := views.Get().(*View)
	*v = View{M: n, K: r.view.K, Stride: r.view.Stride, Data: r.view.Data[i*r.view.Stride:]}
	if r.view.Sums != nil {
		v.Sums = r.view.Sums[i:]
	}
	return v
}

// run computes tasks [lo, hi).
func (r *productRun) run(lo, hi int) {
	t, b := Best(), r.right
	for k := lo; k < hi; k++ {
		i0, q0 := k%r.rowTasks*r.high, k/r.rowTasks*r.wide
		q1 := min(q0+r.wide, b.Panels())
		v := r.part(i0, min(r.high, r.view.M-i0))
		switch {
		case r.bytes != nil:
			r.Bytes(t, v, b, q0, q1, r.bytes[i0*b.N:], b.N)
		case r.floats != nil:
			r.Floats(t, v, b, q0, q1, r.floats[i0*b.N:], b.N)
		default:
			r.Ints(t, v, b, q0, q1, r.ints[i0*b.N:], b.N)
		}
		*v = View{}
		views.Put(v)
	}
}

var (
	views     = sync.Pool{New: func() any { return new(View) }}
	byteLists = sync.Pool{New: func() any { return new([]byte) }}
	sumLists  = sync.Pool{New: func() any { return new([]int32) }}
)

// borrow returns a list of n elements with any contents from a pool of lists.
func borrow[T any](pool *sync.Pool, n int) *[]T {
	l := pool.Get().(*[]T)
	*l = slices.Grow((*l)[:0], n)[:n]
	return l
}
