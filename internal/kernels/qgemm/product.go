package qgemm

import (
	"encoding/binary"
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
)

// mostFused is the most k that fused tiles take, whose sums are 32 bits.
const mostFused = 1 << 16

func (f *Finish) run(t *Table, a *View, b *Right, q0, q1 int, dst unsafe.Pointer, size, ldd int, to kind) {
	if a.M == 0 || q1 <= q0 {
		return
	}
	segments, kg := a.segments()
	panel, rows := PanelSize(b.K), a.Rows()
	last := min(q1*Width, b.N)
	if segments*kg != (b.K+3)/4 || (rows-1)*ldd+last > size || a.at(rows-1)+(segments-1)*a.Step+kg*4 > len(a.Data) || q1*panel > len(b.Data) || q1*Width > len(f.Bias) ||
		to != asInts && q1*Width > len(f.Scale) || f.Shift != nil && to == asFloats && q1*Width > len(f.Shift) || f.Zeros != nil && (len(a.Sums) < rows || q1*Width > len(f.Zeros)) {
		panic("qgemm: sizes do not fit")
	}
	p := product{f: f, t: t, a: a, b: b, to: to, elem: 4, dst: dst, ldd: ldd, kg: kg, data: a.Data, stride: a.Stride, segments: segments, mr: t.MR, strip: Width}
	p.fused = t.Floats
	switch to {
	case asBytes:
		p.elem, p.fused = 1, t.Bytes
	case asInts:
		p.fused = t.Ints
	}
	thin := b.narrow && t.Thin != nil
	if thin {
		p.mr, p.fused = t.Thin.MR, [...]fusedTile{t.Thin.Bytes, t.Thin.Floats, t.Thin.Ints}[to]
	}
	plain := kg == 0 || b.K > mostFused || to == asBytes && !f.Small || b.fixes != nil && !thin
	if plain {
		p.mr, p.fused = t.MR, nil
	}
	wk := works.Get().(*work)
	defer works.Put(wk)
	p.wk = wk
	wk.words = [5]uint32{pair(f.Zero), pair(f.Lo), pair(f.Hi)}
	if f.Lo < 0 { // as unsigned bytes, which are flipped
		wk.words = [5]uint32{pair(f.Zero + 128), pair(f.Lo + 128), pair(f.Hi + 128), 1, 0x80808080}
	} else if f.Lo > 0 || f.Hi < 255 {
		wk.words[3] = 1
	}
	switch {
	case t.tiles.takes(a, b, q1) && (to != asBytes || f.Small):
		p.byTiles(q0, q1)
	case p.fused != nil && thin && b.fixes != nil:
		p.fixed(q0, q1)
	case !plain && !thin && t.Many != nil && rows >= leastWidened:
		p.widened(q0, q1)
	default:
		p.rows(0, 0, max(a.Lines, 1), a.M, q0, q1)
	}
	wk.ends, wk.line = Ends{}, View{}
}

// fusedTile is Table.Bytes, Floats or Ints.
type fusedTile = func(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends)

// product is a call of run.
type product struct {
	f         *Finish
	t         *Table
	a         *View
	b         *Right
	wk        *work
	fused     fusedTile // nil: slow
	mr, strip int       // rows and columns of fused
	many      *Many     // nil: fused
	sums      []int32   // first sums, Width of each row, for panels with fixes
	to        kind
	elem, ldd int
	dst       unsafe.Pointer
	// Rows that fused reads.
	data                 []byte
	kg, stride, segments int
}

// byTiles computes lines by Table.tiles.
func (p *product) byTiles(q0, q1 int) {
	a, v := p.a, &p.wk.line
	for q := q0; q < q1; q++ { // while a panel is in the cache
		for l := range max(a.Lines, 1) {
			*v = *a
			v.Lines, v.Data = 0, a.Data[l*a.LineStep:]
			if a.Sums != nil {
				v.Sums = a.Sums[l*a.M:]
			}
			p.t.tiles.run(p.f, v, p.b, q, q+1, unsafe.Add(p.dst, l*a.M*p.ldd*p.elem), p.ldd, p.to, &p.wk.words, false)
		}
	}
}

// wideBytes is what more than wideRows widened rows take at most: with fewer, panels
// come by too often. leastWidened is how many rows it is worth to widen.
const (
	wideBytes    = 256 << 10
	wideRows     = 48
	leastWidened = 4
)

// widened computes rows that are widened, as many as stay in the cache while panels come by.
func (p *product) widened(q0, q1 int) {
	kg, rows := p.kg, p.a.Rows()
	p.kg *= p.segments
	p.stride, p.segments = p.kg*8, 1
	p.many, p.mr, p.strip = p.t.Many, p.t.Many.MR, halfWidth
	p.wk.panel = sized(p.wk.panel, p.kg*4*Width)
	for i, n := range shares(rows, max(wideRows, wideBytes/p.stride)) {
		p.data = p.wk.widen(p.many, p.a, i, n, kg)
		p.rows(0, i, 1, n, q0, q1)
	}
}

// fixed computes rows whose first sums have what fixes add.
func (p *product) fixed(q0, q1 int) {
	a := p.a
	if a.M <= fixRows {
		lines := max(a.Lines, 1)
		for l, n := range shares(lines, fixRows/a.M) {
			p.turn(l*a.M, n*a.M)
			p.rows(l*a.LineStep, l*a.M, n, a.M, q0, q1)
		}
		return
	}
	for l := range max(a.Lines, 1) {
		for i, n := range shares(a.M, fixRows) {
			p.turn(l*a.M+i, n)
			p.rows(l*a.LineStep+i*a.Stride, l*a.M+i, 1, n, q0, q1)
		}
	}
}

// shares cuts n into equal parts of at most so many; it yields where they begin and
// their length.
func shares(n, most int) func(yield func(at, n int) bool) {
	parts := (n + most - 1) / most
	return func(yield func(at, n int) bool) {
		for k := range parts {
			if at := k * n / parts; !yield(at, (k+1)*n/parts-at) {
				return
			}
		}
	}
}

// rows computes lines of n rows each, the first of which begins at data[at] and is row
// i0 of the result, with panels [q0, q1).
func (p *product) rows(at, i0, lines, n, q0, q1 int) {
	f, a, b := p.f, p.a, p.b
	tiles := (n + p.mr - 1) / p.mr
	step, size := (n+tiles-1)/tiles, PanelSize(b.K)
	e := &p.wk.ends
	for j := q0 * Width; j < min(q1*Width, b.N); j += p.strip {
		q, w := j/Width, min(p.strip, b.N-j)
		var panel unsafe.Pointer
		if p.fused != nil || p.many != nil {
			panel = unsafe.Pointer(&b.Data[q*size+j%Width*4])
		}
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
		if p.many != nil {
			p.manyRows(i0, n, j, w, panel)
			continue
		}
		fixed := p.fused != nil && b.fixes != nil && len(b.fixes[q].list) > 0
		if fixed {
			p.start(lines*n, q)
			e.Apart = Width * 4
		}
		tile := 0
		for l := range lines {
			for i := 0; i < n; i += step {
				r, row := min(step, n-i), l*n+i
				d := unsafe.Add(p.dst, ((i0+row)*p.ldd+j)*p.elem)
				if p.fused == nil {
					f.slow(p.t, a, b, p.wk, i0+row, r, q, d, p.ldd, p.to)
					continue
				}
				e.Next = unsafe.Pointer(&b.Data[min(q+1, b.Panels()-1)*size+min(tile, 1)*p.kg*p.segments*2*Width])
				tile++
				if fixed {
					e.Bias = unsafe.Pointer(&p.sums[row*Width])
				}
				if f.Zeros != nil {
					e.Sums, e.Zeros = unsafe.Pointer(&a.Sums[i0+row]), unsafe.Pointer(&f.Zeros[j])
				}
				p.fused(r, p.kg, unsafe.Pointer(&p.data[at+l*a.LineStep+i*p.stride]), p.stride, panel, d, p.ldd, w, e)
			}
		}
	}
}

// manyRows computes what rows does of w columns from column j on, half a panel at most.
func (p *product) manyRows(i0, n, j, w int, panel unsafe.Pointer) {
	m, e, words := p.many, &p.wk.ends, unsafe.Pointer(&p.wk.panel[0])
	m.Words(words, panel, p.kg)
	f := m.Ints
	switch p.to {
	case asBytes:
		f = m.Bytes
	case asFloats:
		f = m.Floats
	}
	for i := 0; i < n; {
		tiles, r := (n-i)/m.MR, m.MR
		if tiles == 0 {
			tiles, r = 1, n-i
		}
		if p.f.Zeros != nil {
			e.Sums, e.Zeros = unsafe.Pointer(&p.a.Sums[i0+i]), unsafe.Pointer(&p.f.Zeros[j])
		}
		f(tiles, r, p.kg, unsafe.Pointer(&p.data[i*p.stride]), p.stride, words, unsafe.Add(p.dst, ((i0+i)*p.ldd+j)*p.elem), p.ldd, w, e)
		i += tiles * r
	}
}

// widen returns n rows of a from row i0 on as words.
func (wk *work) widen(m *Many, a *View, i0, n, kg int) []byte {
	const slack = 64 // what Widen may write behind the last row
	segments, _ := a.segments()
	row := segments * kg * 8
	wk.wide = sized(wk.wide, n*row+slack)
	dst := wk.wide
	for i := i0; i < i0+n; {
		rows := min(a.M-i%a.M, i0+n-i) // of the line
		// Rows that are read beyond Data are widened one group at a time.
		at, safe := a.at(i), rows
		for safe > 0 && at+(safe-1)*a.Stride+(segments-1)*a.Step+(kg+7)/8*32 > len(a.Data) {
			safe--
		}
		if safe > 0 {
			m.Widen(unsafe.Pointer(&dst[0]), unsafe.Pointer(&a.Data[at]), safe, a.Stride, segments, a.Step, kg)
		}
		for r := safe; r < rows; r++ {
			to := dst[r*row:]
			for s := range segments {
				src := a.Data[at+r*a.Stride+s*a.Step:][:4*kg]
				for g := range kg {
					v := binary.LittleEndian.Uint32(src[4*g:])
					even, odd := v&0x00ff00ff, v>>8&0x00ff00ff
					binary.LittleEndian.PutUint64(to[8*(s*kg+g):], uint64(even)|uint64(odd)<<32)
				}
			}
		}
		dst, i = dst[rows*row:], i+rows
	}
	return wk.wide
}

// work is what a call of run writes to.
type work struct {
	ends   Ends
	line   View
	words  [5]uint32
	sums   [maxMR * Width]int32
	bias   [Width]int32
	tail   [Width]byte
	float  [Width]float32
	wide   []byte
	panel  []byte  // half a panel as words
	turned []byte  // rows as Thin.Turn leaves them
	start  []int32 // product.sums
	added  [turnRows * Width]int32
	rows   [turnRows]unsafe.Pointer
	copied [copiedRows * Width]byte // of a right matrix
}

var (
	works   = sync.Pool{New: func() any { return new(work) }}
	noShift [Width]float32
)

// sized returns a slice of n elements, with any contents, in the memory of s if it is
// large enough.
func sized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

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

	tail [24 * halfWidth]int32 // what tiles may write to
}

// slow computes r rows of a panel, of one line, by way of sums in memory.
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
			t.Tile(r, kg, unsafe.Pointer(&a.Data[a.at(i0)+s*a.Step+k]), a.Stride, unsafe.Pointer(&b.Data[q*panel+(s*groups*4+k)*Width]), unsafe.Pointer(&wk.sums), Width, Width)
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
