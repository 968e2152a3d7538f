// Package move holds routines that bring elements to other places: matrices of
// 32-bit words, of 16 bits and of bytes to their transposes, and weighted sums of rows, by which images
// are resized.
package move

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// table is one implementation. The functions check nothing.
type table struct {
	name string
	// weave turns four streams, at src and s1, s2, s3 bytes behind it, into rows of
	// four words, ds bytes apart, in ascending order: blocks of eight rows. Nil: plain Go.
	weave func(dst, src unsafe.Pointer, blocks, ds, s1, s2, s3 int)
	// unweave turns rows of four words, ss bytes apart, into four streams of words,
	// at dst and d1, d2, d3 bytes behind it, the fourth first: blocks of eight rows.
	unweave func(dst, src unsafe.Pointer, blocks, ss, d1, d2, d3 int)
	// weigh sets dst[q·n+e] = Σ w[q·k+j] · src[at[q·k+j]·n+e], j < k, q < count.
	weigh func(dst, src, at, w unsafe.Pointer, n, k, count int)
}

var tables = append([]*table{{name: cpu.Generic, weigh: weighGo}}, archTables()...)

// best returns the fastest table that may be used (see package cpu).
func best() *table {
	for i := len(tables) - 1; i > 0; i-- {
		if cpu.Has(tables[i].name) {
			return tables[i]
		}
	}
	return tables[0]
}

func weighGo(dst, src, at, w unsafe.Pointer, n, k, count int) {
	d, i, f := unsafe.Slice((*float32)(dst), n*count), unsafe.Slice((*int32)(at), k*count), unsafe.Slice((*float32)(w), k*count)
	for q := range count {
		row := d[q*n:][:n]
		clear(row)
		for j, v := range f[q*k:][:k] {
			x := unsafe.Slice((*float32)(unsafe.Add(src, int(i[q*k+j])*n*4)), n)
			for e, u := range x {
				row[e] += v * u
			}
		}
	}
}

// perCall is about how many elements a call of assembly handles.
const perCall = 1 << 14

// Weigh sets
//
//	dst[q·n+e] = Σ w[q·k+j] · src[at[q·k+j]·n+e], j < k, e < n
//
// for every q with a row of n elements in dst. All at are rows of src. Sums are
// made in float32, in the order of j, with or without rounding of the products.
func Weigh(dst, src []float32, at []int32, w []float32, n, k int) {
	if n == 0 || k == 0 {
		clear(dst)
		return
	}
	count, rows := len(dst)/n, int32(len(src)/n)
	at, w = at[:count*k], w[:count*k]
	for _, i := range at {
		if i < 0 || i >= rows {
			panic("move: row out of range")
		}
	}
	f, some := best().weigh, max(1, perCall/(n*k))
	for q := 0; q < count; q += some {
		f(unsafe.Pointer(&dst[q*n]), unsafe.Pointer(&src[0]), unsafe.Pointer(&at[q*k]), unsafe.Pointer(&w[q*k]), n, k, min(some, count-q))
	}
}

// Transpose sets dst[i·ds+j] = src[j·ss+i] for i < rows and j < cols. Nothing
// else of dst is written. ds and ss must be positive.
func Transpose(dst, src []uint32, rows, cols, ds, ss int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	dst, src = dst[:(rows-1)*ds+cols], src[:(cols-1)*ss+rows]
	t := best()
	// A vector goes over its row where the next row is written later, and over its
	// column of src where there is another column.
	switch {
	case t.weave == nil || ds < cols || ss < rows:
	case rows >= 4 && rows <= 32 && cols >= 8*rows:
		for i := 0; i < rows; i += 4 {
			i = min(i, rows-4)
			t.rows(dst[i*ds:], src[i:], 4, cols, ds, ss)
		}
		return
	case rows >= 8 && cols >= 4:
		for j := 0; j < cols; j += 4 {
			j = min(j, cols-4)
			t.columns(dst[j:], src[j*ss:], rows, 4, ds, ss)
		}
		return
	case rows > 8 && cols > 1 && ds == cols:
		done := (rows - 1) &^ 7
		t.columns(dst, src, done, cols, ds, ss)
		plain(dst[done*ds:], src[done:], rows-done, cols, ds, ss)
		return
	case rows >= 4 && cols >= 8:
		for i := 0; i < rows; i += 4 {
			i = min(i, rows-4)
			t.rows(dst[i*ds:], src[i:], 4, cols, ds, ss)
		}
		return
	case rows > 1 && cols > 8:
		done := (cols - 1) &^ 7
		t.rows(dst, src, rows, done, ds, ss)
		plain(dst[done:], src[done*ss:], rows, cols-done, ds, ss)
		return
	}
	plain(dst, src, rows, cols, ds, ss)
}

// columns writes rows of up to four columns: of four words, whatever cols is.
func (t *table) columns(dst, src []uint32, rows, cols, ds, ss int) {
	const some = perCall / 4
	for i := 0; i < rows; {
		n := min(some, rows-i)
		if n >= 8 {
			n &^= 7
		} else {
			n, i = 8, rows-8
		}
		last := cols - 1
		t.weave(unsafe.Pointer(&dst[i*ds]), unsafe.Pointer(&src[i]), n/8, 4*ds, 4*ss, 4*ss*min(2, last), 4*ss*min(3, last))
		i += n
	}
}

// rows writes up to four rows, reading four words of each column.
func (t *table) rows(dst, src []uint32, rows, cols, ds, ss int) {
	const some = perCall / 4
	d := func(i int) int {
		if i < rows {
			return 4 * ds * i
		}
		return 0 // the first row is written last
	}
	for j := 0; j < cols; {
		n := min(some, cols-j)
		if n >= 8 {
			n &^= 7
		} else {
			n, j = 8, cols-8
		}
		t.unweave(unsafe.Pointer(&dst[j]), unsafe.Pointer(&src[j*ss]), n/8, 4*ss, d(1), d(2), d(3))
		j += n
	}
}

func plain(dst, src []uint32, rows, cols, ds, ss int) {
	if rows < cols {
		for i := range rows {
			d := dst[i*ds:][:cols]
			for j := range d {
				d[j] = src[j*ss+i]
			}
		}
		return
	}
	for j := range cols {
		for i, v := range src[j*ss:][:rows] {
			dst[i*ds+j] = v
		}
	}
}
