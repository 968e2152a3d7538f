// Package qgemm multiplies matrices of 8-bit integers, exactly, in 32 bits.
//
// All four mixes of signed and unsigned bytes are one kernel, which takes the
// left matrix unsigned and the right one signed: a flip of its top bit turns a
// byte of the other kind into one that differs by 128, and zero points move by
// as much.
//
// Sums wrap around at 32 bits as ONNX's operators do.
package qgemm

import (
	"encoding/binary"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Width is the number of columns of a panel.
const Width = 32

// kBlock is the number of k that one call of a tile takes at most.
const kBlock = 4096

// maxMR is the greatest MR of any table.
const maxMR = 16

// Table is one implementation of every routine of this package.
type Table struct {
	Name string // "generic" or the level of package cpu
	MR   int
	// Tile adds to rows x w elements of C the products of A, unsigned, with a
	// panel, signed: c[i*ldc+j] += Σ a[i*lda+4g+e]·b[g*4*Width+4j+e] for the kg
	// groups g of four. 1 <= rows <= MR, 1 <= w <= Width, kg <= kBlock/4.
	Tile func(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int)
	// Less is what Tile takes from each byte of A (processors that multiply bytes
	// of one kind): its callers add as often the sums of the columns.
	Less int32

	// Bytes, Floats and Ints do what Finish does for kg groups and one tile; e has
	// pointers to its slices from the tile's first column and row on, and More
	// is Finish.Shift or work.words. kg is of one
	// segment of View. ldc counts elements. Nil: Tile and loops do it.
	Bytes, Floats, Ints func(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends)
	// Pack writes panel data of groups of four rows of Width bytes, stride
	// apart, combined with four bytes by exclusive or, and adds to sums. Nil: a
	// loop does it.
	Pack func(groups int, src unsafe.Pointer, stride int, dst, sums unsafe.Pointer, flip uint64)
	// RowSums sets rows of dst to the sums of the bytes of rows of segments of k bytes each,
	// of which it reads up to the next multiple of 4. Nil: a loop does it.
	RowSums func(dst, src unsafe.Pointer, rows, stride, segments, step, k int)
	// Many, if there is one, computes tiles where there are several rows.
	Many *Many
	// Thin, if there is one, computes tiles of narrow panels (Right.Narrow).
	Thin *Thin
	// tiles do instead what they take. Nil: none do.
	tiles *tilesOf
}

// Many is for products of several rows: these, and half a panel once for all of them,
// are widened to words. Bytes, Floats and Ints are Table's, for tiles of up to MR rows,
// which follow one another, and halfWidth columns.
type Many struct {
	MR                  int
	Bytes, Floats, Ints func(tiles, rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends)
	// Widen writes rows of segments of kg groups each, step apart, as words, those of each
	// group in the order 0, 2, 1, 3. Each segment is read, and the last is written, to the
	// next multiple of eight groups.
	Widen func(dst, src unsafe.Pointer, rows, stride, segments, step, kg int)
	// Words writes kg groups of half a panel as words, for each group those of bytes 0 and
	// 2 of all columns before those of bytes 1 and 3.
	Words func(dst, src unsafe.Pointer, kg int)
}

// halfWidth is the number of columns of half a panel.
const halfWidth = Width / 2

// Tables lists what this machine can run, slowest first.
var Tables = tables()

// Best returns the fastest table that may be used (see package cpu).
func Best() *Table {
	for i := len(Tables) - 1; i > 0; i-- {
		if cpu.Has(Tables[i].Name) && (Tables[i].tiles == nil || tilesWork()) {
			return Tables[i]
		}
	}
	return Tables[0]
}

func tables() []*Table {
	return append([]*Table{{Name: cpu.Generic, MR: 4, Tile: tileGo}}, archTables()...)
}

// Left is the left matrix: M rows of K bytes, one after the other.
type Left struct {
	M, K   int
	Data   []byte
	Signed bool
	// Zero is the zero point, one or one for each row; nil: 0.
	Zero []int32

	spread bool // View moves rows further apart
}

// Rows is a left matrix as tiles read it. It is not changed by Block, so that
// one may serve many calls.
type Rows struct {
	Left
	data   []byte // unsigned
	stride int    // a multiple of 4
	sums   []int32
}

// Prepare makes Rows of a. It copies the bytes only if they are signed or K is
// no multiple of 4.
func (a Left) Prepare(p par.P) *Rows {
	r := &Rows{Left: a, data: a.Data, stride: (a.K + 3) &^ 3, sums: make([]int32, a.M)}
	if a.K == 0 || a.M == 0 {
		return r
	}
	move := a.Signed || a.K%4 != 0
	if move {
		r.data = make([]byte, a.M*r.stride)
	}
	p.For(a.M, max(1, (1<<16)/a.K), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			src := a.Data[i*a.K : (i+1)*a.K]
			if move {
				dst := r.data[i*r.stride:]
				dst = dst[:copy(dst, src)]
				if a.Signed {
					flip(dst)
				}
				src = dst
			}
			r.sums[i] = byteSum(src)
		}
	})
	return r
}

// flip turns signed bytes into unsigned ones and back.
func flip(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^0x8080808080808080)
	}
	for i := range b {
		b[i] ^= 0x80
	}
}

// Right is the right matrix in panels. It is not changed by Mul, so that one
// may serve many calls.
type Right struct {
	K, N int
	// Signed says of what kind the bytes were, to which zero points belong.
	Signed bool
	// Data is [panel][k/4][Width][4], as signed bytes; columns from N and k
	// from K on are 0. Flip gives what a byte differs by from what it was.
	Data []byte
	// Sums has the sum of each column of Data, Panels()*Width of them.
	Sums []int32

	// narrow says that Data makes no pair of products leave 16 bits; fixes has what
	// its columns then lack, by panel, nil if none lacks anything.
	narrow bool
	fixes  []fixes
}

// PanelBytes returns the length of Right.Data for a k by n matrix. Tiles may look
// at some bytes, of any value, behind the last panel.
func PanelBytes(k, n int) int {
	if k == 0 || n == 0 {
		return 0
	}
	return (n+Width-1)/Width*PanelSize(k) + slack
}

// PanelSize returns the length of one panel.
func PanelSize(k int) int { return (k + 3) / 4 * 4 * Width }

// Panels returns the number of panels.
func (r *Right) Panels() int { return (r.N + Width - 1) / Width }

// Flip is what bytes are combined with by exclusive or on their way to Data.
func (r *Right) Flip() byte {
	if r.Signed {
		return 0
	}
	return 0x80
}

// Pack makes panels of the k by n matrix whose element (p, j) is
// b[p*rowStride+j*colStride].
func Pack(p par.P, b []byte, k, n, rowStride, colStride int, signed bool) *Right {
	r := &Right{K: k, N: n, Signed: signed, Data: make([]byte, PanelBytes(k, n))}
	r.Sums = make([]int32, r.Panels()*Width)
	r.Fill(p, b, rowStride, colStride)
	return r
}

// Fill writes the panels of r, whose K, N, Signed, Data and Sums are set.
func (r *Right) Fill(p par.P, b []byte, rowStride, colStride int) {
	size, flip := PanelSize(r.K), r.Flip()
	if size == 0 {
		clear(r.Sums)
		return
	}
	par.Each(p, r.Panels(), max(1, (1<<15)/size), filling{r, b, rowStride, colStride, size, flip}, (*filling).run)
}

type filling struct {
	*Right
	b                          []byte
	rowStride, colStride, size int
	flip                       byte
}

// run fills panels [lo, hi).
func (r *filling) run(lo, hi int) {
	rowStride, colStride, flip, pack := r.rowStride, r.colStride, r.flip, Best().Pack
	for q := lo; q < hi; q++ {
		dst := r.Data[q*r.size : (q+1)*r.size]
		w := min(Width, r.N-q*Width)
		src := r.b[q*Width*colStride:]
		done := 0
		switch {
		case rowStride == 1 && w == Width && colStride%4 == 0:
			done = fillWords(dst, src, r.K&^3, colStride, flip)
		case colStride == 1 && pack != nil:
			r.pack(pack, dst, src, w, r.Sums[q*Width:(q+1)*Width])
			continue
		}
		for k := done; k < r.K; k += 4 {
			group := dst[k*Width : (k+4)*Width]
			if w < Width {
				clear(group)
			}
			if k+4 > r.K {
				clear(group)
				for e := range r.K - k {
					for j := range w {
						group[j*4+e] = src[(k+e)*rowStride+j*colStride] ^ flip
					}
				}
				continue
			}
			fillGroup(group, src[k*rowStride:], w, rowStride, colStride, flip)
		}
		r.SumPanels(q, q+1)
	}
}

// pack fills the panel dst with w columns of bytes that follow one another, by
// Table.Pack. What has fewer than four rows or Width columns is copied first.
func (r *filling) pack(pack func(groups int, src unsafe.Pointer, stride int, dst, sums unsafe.Pointer, flip uint64), dst, src []byte, w int, sums []int32) {
	flip := uint64(r.flip) * 0x0101010101010101
	clear(sums)
	whole := 0
	if w == Width && r.K >= 4 {
		whole = r.K &^ 3
		_ = src[(whole-1)*r.rowStride+Width-1]
		for k := 0; k < whole; k += kBlock {
			pack(min(kBlock, whole-k)/4, unsafe.Pointer(&src[k*r.rowStride]), r.rowStride, unsafe.Pointer(&dst[k*Width]), unsafe.Pointer(&sums[0]), flip&0xffffffff)
		}
	}
	if whole == r.K {
		return
	}
	wk := works.Get().(*work)
	defer works.Put(wk)
	rows := min(r.K-whole, copiedRows)
	for i := 0; i < (rows+3)/4*4*Width; i += 8 { // flipped, these are zeros
		binary.LittleEndian.PutUint64(wk.copied[i:], flip)
	}
	for k := whole; k < r.K; k += copiedRows {
		n := min(r.K-k, copiedRows)
		for i := range n {
			copy(wk.copied[i*Width:(i+1)*Width], src[(k+i)*r.rowStride:][:w])
		}
		for i := n * Width; i < (n+3)/4*4*Width; i += 8 {
			binary.LittleEndian.PutUint64(wk.copied[i:], flip)
		}
		pack((n+3)/4, unsafe.Pointer(&wk.copied), Width, unsafe.Pointer(&dst[k*Width]), unsafe.Pointer(&sums[0]), flip&0xffffffff)
	}
}

// copiedRows is how many rows pack copies at a time.
const copiedRows = 32

// fillWords writes k rows, or fewer, a multiple of 4, of Width columns whose bytes lie
// one after the other: groups of four are the words of a transpose. It returns how many.
func fillWords(dst, src []byte, k, colStride int, flip byte) (done int) {
	if k == 0 {
		return 0
	}
	_ = src[(Width-1)*colStride+k-1]
	from := unsafe.Slice((*uint32)(unsafe.Pointer(&src[0])), ((Width-1)*colStride+k)/4)
	to := unsafe.Slice((*uint32)(unsafe.Pointer(&dst[0])), k/4*Width)
	rows, groups := gemm.Transposed(to, Width, from, Width, k/4, colStride/4)
	if rows < Width {
		return 0
	}
	if flip != 0 {
		all := uint32(flip) * 0x01010101
		for i := range to[:groups*Width] {
			to[i] ^= all
		}
	}
	return groups * 4
}

// fillGroup writes four k of w columns.
func fillGroup(group, src []byte, w, rowStride, colStride int, flip byte) {
	all := uint32(flip) * 0x01010101
	switch {
	case rowStride == 1:
		for j := range w {
			v := binary.LittleEndian.Uint32(src[j*colStride:])
			binary.LittleEndian.PutUint32(group[j*4:], v^all)
		}
	case colStride == 1:
		s0, s1, s2, s3 := src[:w], src[rowStride:][:w], src[2*rowStride:][:w], src[3*rowStride:][:w]
		for j := range s0 {
			v := uint32(s0[j]) | uint32(s1[j])<<8 | uint32(s2[j])<<16 | uint32(s3[j])<<24
			binary.LittleEndian.PutUint32(group[j*4:j*4+4], v^all)
		}
	default:
		for j := range w {
			for e := range 4 {
				group[j*4+e] = src[e*rowStride+j*colStride] ^ flip
			}
		}
	}
}

// SumPanels sets Sums for panels [lo, hi) from Data: products with a row of ones.
func (r *Right) SumPanels(lo, hi int) { r.sumPanels(Best(), lo, hi) }

func (r *Right) sumPanels(t *Table, lo, hi int) {
	size, row := PanelSize(r.K), &ones[0]
	if t.Less != 0 {
		row = &ones[1]
	}
	for q := lo; q < hi; q++ {
		sums := r.Sums[q*Width : q*Width+Width]
		clear(sums)
		for data := r.Data[q*size : (q+1)*size]; len(data) > 0; {
			n := min(len(data)/Width, kBlock)
			t.Tile(1, n/4, unsafe.Pointer(row), 0, unsafe.Pointer(&data[0]), unsafe.Pointer(&sums[0]), Width, Width)
			data = data[n*Width:]
		}
	}
}

// ones are rows of what Tile takes for ones: as they are, and with a Less of 128.
var ones = func() (rows [2][kBlock]byte) {
	for i := range kBlock {
		rows[0][i], rows[1][i] = 1, 129
	}
	return rows
}()

// Mul computes c[i*ldc+j] = Σ_p (a[i,p] - a.Zero)·(b[p,j] - zero), with zero
// one or one for each column (nil: 0). After each block of rows [i0, i1) and
// columns [j0, j1) it calls done, if that is not nil; calls may be concurrent.
func Mul(p par.P, a Left, b *Right, zero []int32, c []int32, ldc int, done func(i0, i1, j0, j1 int)) {
	if a.M == 0 || b.N == 0 {
		return
	}
	rows := a.Prepare(p)
	// A task is about a million products, some 10 µs of the fastest kernel.
	const task = 1 << 20
	high := min(a.M, 8*14)
	wide := max(1, min(b.Panels(), task/max(1, high*Width*b.K)))
	rowTasks, colTasks := (a.M+high-1)/high, (b.Panels()+wide-1)/wide
	p.For(rowTasks*colTasks, max(1, task/max(1, high*wide*Width*b.K)), func(lo, hi int) {
		for t := lo; t < hi; t++ {
			i0, q0 := t%rowTasks*high, t/rowTasks*wide
			i1, q1 := min(i0+high, a.M), min(q0+wide, b.Panels())
			Block(rows, i0, i1, b, zero, q0, q1, c, ldc)
			if done != nil {
				done(i0, i1, q0*Width, min(q1*Width, b.N))
			}
		}
	})
}

// Block computes rows [i0, i1) of panels [q0, q1).
func Block(a *Rows, i0, i1 int, b *Right, zero []int32, q0, q1 int, c []int32, ldc int) {
	block(Best(), a, i0, i1, b, zero, q0, q1, c, ldc)
}

func block(t *Table, a *Rows, i0, i1 int, b *Right, zero []int32, q0, q1 int, c []int32, ldc int) {
	size := PanelSize(b.K)
	v := View{M: i1 - i0, K: a.K, Stride: a.stride, Data: a.data[min(i0*a.stride, len(a.data)):]}
	if t.tiles.takes(&v, b, q1) {
		for q := q0; q < q1; q++ {
			a.start(i0, i1, b, zero, q*Width, min(Width, b.N-q*Width), 0, c, ldc)
		}
		_ = c[(i1-1)*ldc+min(q1*Width, b.N)-1]
		t.tiles.run(nil, &v, b, q0, q1, unsafe.Pointer(&c[i0*ldc]), ldc, asInts, nil, true)
		return
	}
	// Rows are shared out evenly: 16 are 8 and 8 rather than 14 and 2.
	tiles := (i1 - i0 + t.MR - 1) / t.MR
	if tiles == 0 {
		return
	}
	step := (i1 - i0 + tiles - 1) / tiles
	for q := q0; q < q1; q++ {
		j0 := q * Width
		w := min(Width, b.N-j0)
		a.start(i0, i1, b, zero, j0, w, t.Less, c, ldc)
		b.fix(&v, 0, v.M, q, t.Less, c[i0*ldc+j0:], ldc)
		for k := 0; k < a.K; k += kBlock {
			kg := (min(kBlock, a.K-k) + 3) / 4
			panel := unsafe.Pointer(&b.Data[q*size+k*Width])
			for i := i0; i < i1; i += step {
				r := min(step, i1-i)
				_ = c[(i+r-1)*ldc+j0+w-1]
				_ = a.data[(i+r-1)*a.stride+k+kg*4-1]
				t.Tile(r, kg, unsafe.Pointer(&a.data[i*a.stride+k]), a.stride, panel, unsafe.Pointer(&c[i*ldc+j0]), ldc, w)
			}
		}
	}
}

// start sets columns [j0, j0+w) of rows [i0, i1) of c to what zero points add
// to the products, and tiles that take less from A: K·za·zb - (za - less)·Σb - zb·Σa.
func (a *Rows) start(i0, i1 int, b *Right, zero []int32, j0, w int, less int32, c []int32, ldc int) {
	var zb, f [Width]int32 // f: what za is multiplied with
	any := false
	for j := range w {
		// Zero points are of the bytes as they were; in Data all are signed.
		zb[j] = zeroAt(zero, j0+j)
		if !b.Signed {
			zb[j] -= 128
		}
		any = any || zb[j] != 0
		f[j] = int32(a.K)*zb[j] - b.Sums[j0+j]
	}
	for i := i0; i < i1; i++ {
		za, s := zeroAt(a.Zero, i), a.sums[i]
		if a.Signed {
			za += 128
		}
		out := c[i*ldc+j0 : i*ldc+j0+w]
		switch {
		case any:
			for j := range out {
				out[j] = za*f[j] - s*zb[j]
			}
		case za != 0:
			for j := range out {
				out[j] = za * f[j]
			}
		default:
			clear(out)
		}
		if less != 0 {
			for j, v := range b.Sums[j0 : j0+w] {
				out[j] += less * v
			}
		}
	}
}

// zeroAt returns the zero point i.
func zeroAt(zero []int32, i int) int32 {
	switch {
	case len(zero) == 1:
		return zero[0]
	case len(zero) > 1:
		return zero[i]
	}
	return 0
}
