package qgemm

import (
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// View is a left matrix that tiles read where it is: Lines of M rows of unsigned
// bytes, Stride apart, and the lines LineStep. A row is one run of K bytes, or
// Segments of them, Step apart. A run is read to the next multiple of 4 beyond K;
// the right matrix, whose K counts these bytes too, must have zeros there.
type View struct {
	M, K, Stride    int
	Lines, LineStep int // 0: one
	Segments, Step  int // 0: one
	Data            []byte
	// Sums has the sum of each row. It may be nil if Finish.Zeros is.
	Sums []int32
}

// Rows returns the number of rows of all lines.
func (a *View) Rows() int { return a.M * max(a.Lines, 1) }

// at returns where row i begins.
func (a *View) at(i int) int { return i/a.M*a.LineStep + i%a.M*a.Stride }

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
func (a *View) RowSums(dst []int32) { a.rowSums(Best(), dst) }

func (a *View) rowSums(t *Table, dst []int32) {
	n, kg := a.segments()
	dst = dst[:a.Rows()]
	for i := 0; i < len(dst); {
		at, rows := a.at(i), min(a.M-i%a.M, len(dst)-i) // of the line
		if last := at + (n-1)*a.Step + 4*kg; t.RowSums != nil && kg > 0 && last <= len(a.Data) {
			if a.Stride > 0 {
				rows = min(rows, (len(a.Data)-last)/a.Stride+1)
			}
			t.RowSums(unsafe.Pointer(&dst[i]), unsafe.Pointer(&a.Data[at]), rows, a.Stride, n, a.Step, a.K)
			i += rows
			continue
		}
		dst[i] = 0
		for range n {
			dst[i] += byteSum(a.Data[at : at+a.K])
			at += a.Step
		}
		i++
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

// Product computes all of a times b with f, whose zero points have been set, to
// one of the slices, rows of b.N. a.Zero is not looked at.
func (f *Finish) Product(p par.P, a Left, b *Right, toBytes []byte, toFloats []float32, toInts []int32) {
	if a.M == 0 || b.N == 0 {
		return
	}
	if n := joined(a.M, a.K, b.N); n > 1 {
		done := f.folded(p, a, b, n, toBytes, toFloats, toInts)
		if a.M, a.Data = a.M-done, a.Data[done*a.K:]; a.M == 0 {
			return
		}
		switch at := done * b.N; {
		case toBytes != nil:
			toBytes = toBytes[at:]
		case toFloats != nil:
			toFloats = toFloats[at:]
		default:
			toInts = toInts[at:]
		}
	}
	a.spread = a.K > 0 && a.K%aliased == 0 && a.M >= spreadRows && b.N >= spreadColumns
	var data []byte
	var sums []int32
	if n := a.Moved(); n > 0 {
		l := borrow[byte](&byteLists, n)
		defer byteLists.Put(l)
		data = *l
	}
	if f.Zeros != nil {
		l := borrow[int32](&sumLists, a.M)
		defer sumLists.Put(l)
		sums = *l
	}
	f.ProductOf(p, a.View(p, data, sums), b, toBytes, toFloats, toInts)
}

// Moved returns how many bytes View copies rows to, which it does where they are
// signed or do not end with a group of four.
func (a Left) Moved() int {
	if a.Signed || a.stride() != a.K {
		return a.M * a.stride()
	}
	return 0
}

// stride returns how far apart rows of View are.
func (a Left) stride() int {
	n := (a.K + 3) &^ 3
	if a.spread {
		n += spreadBy
	}
	return n
}

// Rows that are a multiple of aliased bytes apart share few places of the first-level
// cache, which halves the speed of tiles of several rows. Where there are spreadColumns
// or more, it is worth to copy the rows to places that are spreadBy bytes further apart.
const (
	aliased       = 2048
	spreadBy      = 64
	spreadRows    = 4
	spreadColumns = 256
)

// View returns a as tiles read it, with data as memory, Moved bytes, and sums for
// the sums of rows, nil for none.
func (a Left) View(p par.P, data []byte, sums []int32) View {
	r := aligning{left: a, view: View{M: a.M, K: a.K, Stride: a.K, Data: a.Data, Sums: sums}}
	r.move = a.Moved() > 0
	if r.move {
		r.view.Stride, r.view.Data = a.stride(), data
	}
	if r.move || sums != nil {
		par.Each(p, a.M, max(1, (1<<16)/max(1, a.K)), r, (*aligning).run)
	}
	return r.view
}

// aligning is a call of Left.View.
type aligning struct {
	left Left
	view View
	move bool
}

// run copies and sums rows [lo, hi).
func (r *aligning) run(lo, hi int) {
	k, stride := r.left.K, r.view.Stride
	for i := lo; i < hi && r.move; i++ {
		dst := r.view.Data[i*stride : (i+1)*stride]
		clear(dst[copy(dst, r.left.Data[i*k:(i+1)*k]):])
		if r.left.Signed {
			flip(dst[:k])
		}
	}
	if r.view.Sums != nil {
		rows := r.view.Part(lo, hi-lo)
		rows.RowSums(rows.Sums)
	}
}

// ProductOf is Product for rows that View has returned, or some of them.
func (f *Finish) ProductOf(p par.P, a View, b *Right, toBytes []byte, toFloats []float32, toInts []int32) {
	if a.M == 0 || b.N == 0 {
		return
	}
	r := productRun{Finish: f, view: a, right: b, bytes: toBytes, floats: toFloats, ints: toInts}
	const (
		task  = 1 << 22   // products: some 20 µs of the fastest kernel
		cache = 512 << 10 // bytes of rows
	)
	// As many rows as stay in the cache beside a panel.
	r.high = min(max(cache/max(1, a.Stride), 56), 20*14)
	r.rowTasks = (a.M + r.high - 1) / r.high
	r.high = (a.M + r.rowTasks - 1) / r.rowTasks
	r.wide = max(1, min(b.Panels(), task/max(1, r.high*Width*b.K)))
	colTasks := (b.Panels() + r.wide - 1) / r.wide
	par.Each(p, r.rowTasks*colTasks, max(1, task/max(1, r.high*r.wide*Width*b.K)), r, (*productRun).run)
}

// productRun is one product, in tasks of high rows and wide panels.
type productRun struct {
	*Finish
	right                *Right
	view                 View
	bytes                []byte
	floats               []float32
	ints                 []int32
	high, wide, rowTasks int
}

// part returns n rows from row i on.
func (r *productRun) part(i, n int) *View {
	v := views.Get().(*View)
	*v = r.view.Part(i, n)
	return v
}

// Part returns n rows of a, of one line, from row i on.
func (a *View) Part(i, n int) View {
	v := View{M: n, K: a.K, Stride: a.Stride, Segments: a.Segments, Step: a.Step, Data: a.Data[i*a.Stride:]}
	if a.Sums != nil {
		v.Sums = a.Sums[i:]
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
