package gemm

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/idle"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Packed is B in panels of 32 columns: element (k, j) of B is
// Data[(j/32*K+k)*32+j%32]. It is not changed once it is made.
type Packed[T Number] struct {
	K, N int
	Data []T
}

// Panels returns the number of panels of n columns.
func Panels(n int) int { return (n + Panel - 1) / Panel }

// PackedLen returns the number of elements of a packed k x n matrix.
func PackedLen(k, n int) int { return Panels(n) * Panel * k }

// Pack packs the k x n matrix with element (i, j) at b[i*rs+j*cs].
func Pack[T Number](p par.P, b []T, k, n, rs, cs int) *Packed[T] {
	return PackTo(p, nil, b, k, n, rs, cs)
}

// PackTo is Pack with the PackedLen(k, n) elements of data for the result; nil: new memory.
func PackTo[T Number](p par.P, data, b []T, k, n, rs, cs int) *Packed[T] {
	if data == nil {
		data = aligned[T](PackedLen(k, n))
	}
	out := &Packed[T]{}
	out.Set(p, data, b, k, n, rs, cs)
	return out
}

// Set makes q what PackTo returns for data that is not nil.
func (q *Packed[T]) Set(p par.P, data, b []T, k, n, rs, cs int) {
	q.K, q.N, q.Data = k, n, data[:PackedLen(k, n)]
	if k > 0 && n > 0 {
		if len(b) < (k-1)*rs+(n-1)*cs+1 {
			panic("gemm: B is too short")
		}
		q.fill(p, b, rs, cs, true)
	}
}

// fill copies b. Only with pad are the columns beyond the last one set to 0:
// products do not need it.
func (q *Packed[T]) fill(p par.P, b []T, rs, cs int, pad bool) {
	panels := (q.N + Panel - 1) / Panel
	par.Run(p, panels, max(1, (1<<16)/(q.K*Panel)), par.With(fillLoop[T]{q, b, rs, cs, pad}))
}

// fillLoop is the loop of fill.
type fillLoop[T Number] struct {
	q      *Packed[T]
	b      []T
	rs, cs int
	pad    bool
}

// Chunk fills panels [lo, hi).
func (f *fillLoop[T]) Chunk(lo, hi int) {
	q, rs, cs := f.q, f.rs, f.cs
	for j := lo; j < hi; j++ {
		w := min(Panel, q.N-j*Panel)
		dst := q.Data[j*q.K*Panel : (j+1)*q.K*Panel]
		src := f.b[j*Panel*cs:]
		if cs == 1 {
			copyStrip(dst, src, q.K, w, rs)
			continue
		}
		all := Panel
		if !f.pad {
			all = w
		}
		done := 0 // columns that vectors have transposed, up to row kd
		kd := 0
		if rs == 1 {
			done, kd = Transposed(dst, Panel, src, w, q.K, cs)
		}
		if done < all {
			packColumns(dst[done:], src[min(done, w-1)*cs:], kd, w-done, all-done, rs, cs)
		}
		if kd < q.K {
			packColumns(dst[kd*Panel:], src[kd*rs:], q.K-kd, w, all, rs, cs)
		}
	}
}

// packColumns fills a panel from columns that lie cs apart, a few k at a time,
// so that what is read and what is written both stay in the cache.
// Columns from w on, of all, become 0.
func packColumns[T Number](dst, src []T, k, w, all, rs, cs int) {
	const few = 64
	for k0 := 0; k0 < k; k0 += few {
		k1 := min(k0+few, k)
		for j := range all {
			d := dst[k0*Panel+j : (k1-1)*Panel+j+1]
			if j >= w {
				for i := 0; i < len(d); i += Panel {
					d[i] = 0
				}
				continue
			}
			s := src[j*cs+k0*rs:]
			if rs == 1 {
				for i, v := range s[:k1-k0] {
					d[i*Panel] = v
				}
				continue
			}
			for i := range k1 - k0 {
				d[i*Panel] = s[i*rs]
			}
		}
	}
}

// Transposed writes the transpose of whole blocks of m rows of k elements, which
// lie lds apart, to rows that lie ldd apart. It returns how many rows and how
// many of their elements it has done.
func Transposed[T Number](dst []T, ldd int, src []T, m, k, lds int) (rows, elements int) {
	t := Best()
	side := t.TransSide
	if t.Trans32 == nil || unsafe.Sizeof(*new(T)) != 4 || m < side || k < side {
		return 0, 0
	}
	for j := 0; j+side <= k; j += 16 * side {
		n := min(16, (k-j)/side)
		for i := 0; i+side <= m; i += side {
			t.Trans32(n, unsafe.Pointer(&src[i*lds+j]), lds, unsafe.Pointer(&dst[j*ldd+i]), ldd)
		}
	}
	return m / side * side, k / side * side
}

const transposeSide = 64 // of the squares that transpose works on

// transpose copies the m x k matrix with strides rs, cs to dst, whose rows are ldd apart.
func transpose[T Number](p par.P, dst []T, ldd int, a []T, m, k, rs, cs int) {
	par.Run(p, m, max(transposeSide, (1<<16)/k), par.With(transposeLoop[T]{dst, a, ldd, k, rs, cs}))
}

// transposeLoop is the loop of transpose.
type transposeLoop[T Number] struct {
	dst, a         []T
	ldd, k, rs, cs int
}

// Chunk writes rows [lo, hi).
func (t *transposeLoop[T]) Chunk(lo, hi int) {
	const side = transposeSide
	dst, ldd, a, k, rs, cs := t.dst, t.ldd, t.a, t.k, t.rs, t.cs
	for i0 := lo; i0 < hi; i0 += side {
		i1 := min(i0+side, hi)
		if rs == 1 && i1-i0 == side {
			// The columns are contiguous.
			if ks, is := Transposed(dst[i0*ldd:], ldd, a[i0:], k, side, cs); is == side {
				for i := i0; i < i1; i++ {
					for x := ks; x < k; x++ {
						dst[i*ldd+x] = a[i+x*cs]
					}
				}
				continue
			}
		}
		for k0 := 0; k0 < k; k0 += side {
			k1 := min(k0+side, k)
			for i := i0; i < i1; i++ {
				d, s := dst[i*ldd+k0:i*ldd+k1], a[i*rs+k0*cs:]
				for x := range d {
					d[x] = s[x*cs]
				}
			}
		}
	}
}

// aligned returns n zeroed elements at an address that is a multiple of 64.
func aligned[T Number](n int) []T {
	size := int(unsafe.Sizeof(*new(T)))
	s := make([]T, n+64/size)
	off := int(-uintptr(unsafe.Pointer(&s[0]))&63) / size
	return s[off : off+n : off+n]
}

// buffer is working memory that calls share out among themselves.
type buffer[T Number] struct {
	s []T
	r *raw
}

// bufs holds buffers by power of two of their size, below large. Larger ones are
// shared by all sizes: those of a power of two for each processor would add up.
var (
	bufs  [64]sync.Pool
	wides idle.List[*raw]
)

const large = 1 << 18

// raw is storage without an element type.
type raw struct {
	words []uint64
	class int
}

func getBuf[T Number](n int) buffer[T] {
	size := int(unsafe.Sizeof(*new(T)))
	var r *raw
	if n*size >= large {
		var ok bool
		if r, ok = wides.GetFit((n*size+7)/8, func(r *raw) int { return len(r.words) }); !ok {
			r = &raw{aligned[uint64]((n*size + 7) / 8), -1}
		}
	} else {
		class := max(bits.Len(uint(max(n*size, 1)-1)), 6)
		if r, _ = bufs[class].Get().(*raw); r == nil {
			r = &raw{aligned[uint64]((1 << class) / 8), class}
		}
	}
	return buffer[T]{unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(r.words))), n), r}
}

func putBuf[T Number](b buffer[T]) {
	if b.r.class < 0 {
		wides.Put(b.r)
	} else {
		bufs[b.r.class].Put(b.r)
	}
}

// Buffer is working memory that Borrow gives.
type Buffer[T Number] struct {
	S []T
	b buffer[T]
}

// Borrow returns n elements of undefined contents, 64-byte aligned, until Return.
func Borrow[T Number](n int) Buffer[T] {
	b := getBuf[T](n)
	return Buffer[T]{b.s, b}
}

// Return gives the memory back.
func (b Buffer[T]) Return() { putBuf(b.b) }

// Scratch calls f with n elements of undefined contents, 64-byte aligned, which
// are f's until it returns.
func Scratch[T Number](n int, f func(s []T)) {
	b := getBuf[T](n)
	defer putBuf(b)
	f(b.s)
}
