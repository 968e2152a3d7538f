// Package gemm multiplies matrices: C = A·B, with C row-major, A and B given by
// strides or B packed beforehand.
//
// Packed B has panels of 32 columns, each [k][32], padded with zeros. A tile of
// C is mr rows of one panel. Every element of C is summed over k in ascending
// order, in blocks whose size depends on k alone, so that a result depends
// neither on the number of threads nor on where in C a tile lies.
package gemm

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Number is an element type of matrices.
type Number interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

// Panel is the number of columns of a panel of packed B.
const Panel = 32

// Tile computes rows x w elements of C: c[i][j] = Σk a[i][k]·b[k][j], plus the
// old c if acc. Strides are in elements. 1 <= rows <= the MR beside it,
// 1 <= w <= Panel; b has Panel readable columns whatever w is. No alignment
// is asked for. A call must take less than 50 µs: the collector waits for it.
type Tile func(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool)

// Table is one implementation of every routine of this package.
type Table struct {
	Name           string // "generic" or the level of package cpu
	MR32, MR64     int
	Tile32, Tile64 Tile
	// Row32 computes y[j] = Σk x[k]·b[k][j] for RowWidth columns of a row-major
	// b, plus the old y if acc. Nil: Tile32 does it.
	Row32    func(kc int, x, b unsafe.Pointer, ldb int, y unsafe.Pointer, acc bool)
	RowWidth int
	// Fill32 sets w columns of row i of C to bias[i]. Nil: a loop does it.
	Fill32 func(rows int, bias, c unsafe.Pointer, ldc, w int)
	// Dot32 returns Σ x[k]·y[k], in an order that depends on n alone.
	Dot32 func(n int, x, y unsafe.Pointer) float32
}

// Tables lists what this machine can run, slowest first.
var Tables = tables()

// Best returns the fastest table that may be used (see package cpu).
func Best() *Table {
	for i := len(Tables) - 1; i > 0; i-- {
		if cpu.Has(Tables[i].Name) {
			return Tables[i]
		}
	}
	return Tables[0]
}

func tables() []*Table {
	l := []*Table{{
		Name: cpu.Generic, MR32: 4, MR64: 4, Tile32: tileGo[float32], Tile64: tileGo[float64], Dot32: dotGo[float32],
	}}
	for _, t := range archTables() {
		if t.Dot32 == nil {
			t.Dot32 = l[len(l)-1].Dot32
		}
		l = append(l, t)
	}
	return l
}

// kernel is what the driver needs of a table for one element type.
type kernel struct {
	mr   int
	tile Tile
	fill func(rows int, bias, c unsafe.Pointer, ldc, w int)
}

func kernelOf[T Number](t *Table) kernel {
	switch any(*new(T)).(type) {
	case float32:
		return kernel{t.MR32, t.Tile32, t.Fill32}
	case float64:
		return kernel{t.MR64, t.Tile64, nil}
	}
	return kernel{4, tileGo[T], nil}
}

// Args is one product. Element (i, k) of A is A[i*ARS+k*ACS], and so on.
type Args[T Number] struct {
	M, N, K  int
	A        []T
	ARS, ACS int
	B        []T
	BRS, BCS int
	Packed   *Packed[T] // takes the place of B
	C        []T
	LDC      int // row stride of C, at least N
	Epilogue[T]
	Table *Table // nil: Best
}

// Epilogue is what happens to a tile beside the product. The zero Epilogue is
// nothing.
type Epilogue[T Number] struct {
	Acc bool // C += A·B
	Row []T  // M values: C[i][j] starts with Row[i]
	Col []T  // N values: C[i][j] starts with Col[j]
	// Scale multiplies A·B before Row, Col and Add are added; 0 stands for 1.
	// Not together with Acc.
	Scale T
	// Add, if not nil, is an M x N matrix with rows LDAdd apart that is added
	// to the sums.
	Add   []T
	LDAdd int
	// Act is called for each piece of each row when its sums are complete. It
	// changes the piece in place.
	Act func(c []T)
}

// scaled reports whether the sums are multiplied by Scale.
func (e *Epilogue[T]) scaled() bool { return e.Scale != 0 && e.Scale != 1 }

// late reports whether there is something to do when the sums are complete.
func (e *Epilogue[T]) late() bool { return e.Add != nil || e.Act != nil || e.scaled() }

// finish does what comes after the sums of a piece of row i from column j on.
func (e *Epilogue[T]) finish(row []T, i, j int) {
	if e.scaled() {
		for x := range row {
			row[x] *= e.Scale
		}
		e.start(row, i, j)
	}
	if e.Add != nil {
		for x, v := range e.Add[i*e.LDAdd+j:][:len(row)] {
			row[x] += v
		}
	}
	if e.Act != nil {
		e.Act(row)
	}
}

// kBlock returns how many products a tile adds up before it adds them to C:
// what the first-level cache holds, and for float32 no more than 192. The
// rounding error of a sum grows with the number of terms that run through one
// accumulator; deep convolution networks magnify it ten thousand times.
func kBlock[T Number](k int) int {
	most := 3072 / int(unsafe.Sizeof(*new(T)))
	if unsafe.Sizeof(*new(T)) == 4 {
		most = 192
	}
	n := (k + most - 1) / most
	if n <= 1 {
		return k
	}
	return ((k+n-1)/n + 3) &^ 3
}

// Run computes g. It panics if a slice is too short for the sizes and strides.
func Run[T Number](p par.P, g *Args[T]) {
	if g.M <= 0 || g.N <= 0 {
		return
	}
	g.check()
	if g.Table == nil {
		g.Table = Best()
	}
	if g.K == 0 {
		empty(g)
		return
	}
	if g.Packed == nil && g.vector(p) {
		return
	}
	a, ars := g.A, g.ARS
	if g.ACS != 1 && g.K > 1 {
		buf := getBuf[T](g.M * g.K)
		defer putBuf(buf)
		transpose(p, buf.s, g.A, g.M, g.K, g.ARS, g.ACS)
		a, ars = buf.s, g.K
	}
	b := bSource[T]{packed: g.Packed}
	if b.packed == nil {
		if g.BCS == 1 && (g.M <= 2*kernelOf[T](g.Table).mr || g.K*g.N <= 4096) {
			b.data, b.ldb = g.B, g.BRS
		} else {
			buf := getBuf[T](PackedLen(g.K, g.N))
			defer putBuf(buf)
			b.packed = &Packed[T]{K: g.K, N: g.N, Data: buf.s}
			b.packed.fill(p, g.B, g.BRS, g.BCS)
		}
	}
	drive(p, g, a, ars, b)
}

func (g *Args[T]) check() {
	reach := func(n, m, rs, cs int) int { return (n-1)*rs + (m-1)*cs + 1 }
	switch {
	case g.K < 0 || g.LDC < g.N || g.ARS < 0 || g.ACS < 0 || g.BRS < 0 || g.BCS < 0:
		panic("gemm: bad strides")
	case len(g.C) < reach(g.M, g.N, g.LDC, 1):
		panic("gemm: C is too short")
	case g.K > 0 && len(g.A) < reach(g.M, g.K, g.ARS, g.ACS):
		panic("gemm: A is too short")
	case g.Packed == nil && g.K > 0 && len(g.B) < reach(g.K, g.N, g.BRS, g.BCS):
		panic("gemm: B is too short")
	case g.Packed != nil && (g.Packed.K != g.K || g.Packed.N != g.N):
		panic("gemm: packed B has other sizes")
	case g.Add != nil && (g.LDAdd < g.N || len(g.Add) < reach(g.M, g.N, g.LDAdd, 1)):
		panic("gemm: Add is too short")
	case g.Row != nil && len(g.Row) < g.M || g.Col != nil && len(g.Col) < g.N:
		panic("gemm: bias is too short")
	}
}

// empty is the product over no k.
func empty[T Number](g *Args[T]) {
	for i := range g.M {
		row := g.C[i*g.LDC : i*g.LDC+g.N]
		if !g.Acc {
			clear(row)
		}
		if !g.scaled() {
			g.start(row, i, 0)
		}
		g.finish(row, i, 0)
	}
}

// start adds the biases to a piece of row i that begins at column j.
func (e *Epilogue[T]) start(row []T, i, j int) {
	if e.Row != nil {
		v := e.Row[i]
		for x := range row {
			row[x] += v
		}
	}
	if e.Col != nil {
		for x, v := range e.Col[j : j+len(row)] {
			row[x] += v
		}
	}
}

// before puts into a piece of a row what its sums start with and reports
// whether it did: if not, the old contents do not count.
func (e *Epilogue[T]) before(row []T, i, j int) bool {
	switch {
	case e.scaled(): // finish adds them
		return false
	case e.Acc:
		e.start(row, i, j)
	case e.Col != nil:
		copy(row, e.Col[j:])
		if e.Row != nil {
			v := e.Row[i]
			for x := range row {
				row[x] += v
			}
		}
	case e.Row != nil:
		v := e.Row[i]
		for x := range row {
			row[x] = v
		}
	default:
		return false
	}
	return true
}

// bSource is B as tiles read it: packed, or row-major in place.
type bSource[T Number] struct {
	packed *Packed[T]
	data   []T
	ldb    int
}

// drive cuts C into tasks and runs them.
func drive[T Number](p par.P, g *Args[T], a []T, ars int, b bSource[T]) {
	kern := kernelOf[T](g.Table)
	panels := (g.N + Panel - 1) / Panel
	// A task is about 4 Mi multiply-adds: 50 to 100 µs of the fastest kernels.
	const task = 4 << 20
	rows := min(g.M, 16*kern.mr)
	for rows > 2*kern.mr && (g.M+rows-1)/rows*panels < 16 {
		rows = (rows/2 + kern.mr - 1) / kern.mr * kern.mr
	}
	width := min(max(task/(rows*Panel*g.K), 1), panels)
	mt, nt := (g.M+rows-1)/rows, (panels+width-1)/width
	grain := max(task/8/(rows*width*Panel*g.K), 1)
	p.For(mt*nt, grain, func(lo, hi int) {
		var strip *buffer[T]
		if b.packed == nil && g.N%Panel != 0 {
			strip = getBuf[T](kBlock[T](g.K) * Panel)
			defer putBuf(strip)
		}
		for t := lo; t < hi; t++ {
			i, j := t/nt*rows, t%nt*width
			block(g, kern, a, ars, b, strip, i, min(i+rows, g.M), j, min(j+width, panels))
		}
	})
}

// block computes rows [i0, i1) of panels [j0, j1).
func block[T Number](g *Args[T], kern kernel, a []T, ars int, b bSource[T], strip *buffer[T], i0, i1, j0, j1 int) {
	kb := kBlock[T](g.K)
	// Rows are shared out evenly: 16 are 8 and 8 rather than 14 and 2.
	tiles := (i1 - i0 + kern.mr - 1) / kern.mr
	step := (i1 - i0 + tiles - 1) / tiles
	for k := 0; k < g.K; k += kb {
		kc := min(kb, g.K-k)
		last := k+kc == g.K
		for j := j0; j < j1; j++ {
			w := min(Panel, g.N-j*Panel)
			var bp unsafe.Pointer
			ldb := Panel
			switch {
			case b.packed != nil:
				bp = unsafe.Pointer(&b.packed.Data[(j*g.K+k)*Panel])
			case w == Panel:
				bp, ldb = unsafe.Pointer(&b.data[k*b.ldb+j*Panel]), b.ldb
			default: // tiles read whole panels
				copyStrip(strip.s, b.data[k*b.ldb+j*Panel:], kc, w, b.ldb)
				bp = unsafe.Pointer(&strip.s[0])
			}
			for i := i0; i < i1; i += step {
				r := min(step, i1-i)
				acc := k > 0
				if !acc && kern.fill != nil && g.Row != nil && g.Col == nil && !g.Acc && !g.scaled() {
					kern.fill(r, unsafe.Pointer(&g.Row[i]), unsafe.Pointer(&g.C[i*g.LDC+j*Panel]), g.LDC, w)
					acc = true
				} else if !acc {
					for x := i; x < i+r; x++ {
						acc = g.before(g.C[x*g.LDC+j*Panel:][:w], x, j*Panel)
						if !acc {
							break
						}
					}
				}
				kern.tile(r, kc, unsafe.Pointer(&a[i*ars+k]), ars, bp, ldb, unsafe.Pointer(&g.C[i*g.LDC+j*Panel]), g.LDC, w, acc)
				if last && g.late() {
					for x := i; x < i+r; x++ {
						g.finish(g.C[x*g.LDC+j*Panel:][:w], x, j*Panel)
					}
				}
			}
		}
	}
}

// copyStrip copies w columns of kc rows of b to a panel.
func copyStrip[T Number](dst, b []T, kc, w, ldb int) {
	for k := range kc {
		d := dst[k*Panel : k*Panel+Panel]
		n := copy(d, b[k*ldb:k*ldb+w])
		clear(d[n:])
	}
}
