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
	// Axpy32 adds Σ x[k]·b[k][j] over the rows of a row-major b to n elements
	// y[j], several rows at a time. Nil: Tile32 does it.
	Axpy32 func(rows, n int, x, b unsafe.Pointer, ldb int, y unsafe.Pointer)
	// Dots32[r] computes the dot products of r rows of x with y. Nil: Dot32 does it.
	Dots32 [5]func(n int, x unsafe.Pointer, ldx int, y, out unsafe.Pointer)
	// Ahead32 is Tile32 that fetches into the cache what lies pf bytes from b on:
	// Ahead calls fetch as much as one reads of packed B. Lines come from memory
	// more slowly than they can be asked for, and waiting ones hold up the tile:
	// calls that ask for little are better. Nil: Tile32 does it.
	Ahead32 func(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w, pf int, acc bool)
	Ahead   int
	// Stream32 is Tile32 of packed B that one tile alone reads. Nil: Tile32 does it.
	Stream32 Tile
	// TilePairs is Tile32 of pairs of bfloat16, MR32 rows of them at most: elements of A and of B are two factors,
	// the first in the low half, whose products are added to a sum of float32. Subnormal numbers may count as
	// 0. Nil: the processor has no such instruction.
	TilePairs Tile
	// Few32[r] computes r rows times FewPanels[r] panels of packed B, ldp
	// elements apart, all columns of them, as Tile does. Nil: Tile32 does it.
	// One32[r] is that for one panel; it adds in the same order.
	Few32, One32 [8]func(kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldp int, c unsafe.Pointer, ldc int, acc bool)
	FewPanels    [8]int
	// Finish32 sets n elements to min(max(scale·c + term + col + z, lo), hi);
	// col and z may be nil. NaN stays NaN. Nil: a loop does it.
	Finish32 func(n int, c, col, z unsafe.Pointer, scale, term, lo, hi float32)
	// AddCol32 is Finish32 for rows of n elements, ldc bytes apart, where only col is
	// added. Nil: Finish32 does it.
	AddCol32 func(rows, n int, c unsafe.Pointer, ldc int, col unsafe.Pointer)
	// Trans32 writes the transpose of TransSide rows of TransSide·blocks
	// elements of 4 bytes; strides in elements. Nil: a loop does it.
	Trans32   func(blocks int, src unsafe.Pointer, lds int, dst unsafe.Pointer, ldd int)
	TransSide int
	// FMA32 does n times FMAs multiply-adds of single numbers that wait for
	// nothing, which is the peak of the processor. Nil: not written.
	FMA32 func(n int)
	FMAs  int
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
}

func kernelOf[T Number](t *Table) kernel {
	switch any(*new(T)).(type) {
	case float32:
		return kernel{t.MR32, t.Tile32}
	case float64:
		return kernel{t.MR64, t.Tile64}
	}
	return kernel{4, tileGo[T]}
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
	b := bSource[T]{packed: g.Packed}
	if b.packed == nil {
		if g.BCS == 1 && (g.M <= 2*kernelOf[T](g.Table).mr || g.K*g.N <= 4096) {
			b.data, b.ldb = g.B, g.BRS
		} else {
			buf := getBuf[T](PackedLen(g.K, g.N))
			defer putBuf(buf)
			b.packed = borrow[Packed[T]]()
			defer giveBack(b.packed)
			b.packed.K, b.packed.N, b.packed.Data = g.K, g.N, buf.s
			b.packed.fill(p, g.B, g.BRS, g.BCS, false)
		}
	}
	if g.ACS == 1 || g.K == 1 {
		drive(p, g, g.A, g.ARS, b)
		return
	}
	// A is transposed by parts that the cache holds.
	parts := g.transposedParts()
	ld := g.transposedStride()
	buf := getBuf[T]((g.M + parts - 1) / parts * ld)
	defer putBuf(buf)
	part := borrow[Args[T]]()
	defer giveBack(part)
	for i := range parts {
		*part = *g
		part.rows(i*g.M/parts, (i+1)*g.M/parts)
		transpose(p, buf.s, ld, part.A, part.M, g.K, g.ARS, g.ACS)
		drive(p, part, buf.s, ld, b)
	}
}

// transposedParts returns in how many parts A is transposed. None is of so few rows that another
// routine would compute them, which adds in another order.
func (g *Args[T]) transposedParts() int {
	const bytes, rows = 4 << 20, 64
	most := max(bytes/(g.transposedStride()*int(unsafe.Sizeof(*new(T)))), rows)
	return (g.M + most - 1) / most
}

// transposedStride returns how far rows of the transposed A are apart: they begin in different
// places of the cache.
func (g *Args[T]) transposedStride() int { return ((g.K+15)/16 | 1) * 16 }

// rows makes g the product of rows [i, j) of A.
func (g *Args[T]) rows(i, j int) {
	g.M, g.A, g.C = j-i, g.A[i*g.ARS:], g.C[i*g.LDC:]
	if g.Row != nil {
		g.Row = g.Row[i:]
	}
	if g.Add != nil {
		g.Add = g.Add[i*g.LDAdd:]
	}
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
