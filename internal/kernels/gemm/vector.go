package gemm

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// vector computes products with a single row or column, or a few rows against
// a transposed B, without packing: packing would cost more than the product.
// It reports whether it did.
func (g *Args[T]) vector(p par.P) bool {
	if g.N == 1 && g.M > 1 && g.LDC == 1 && (g.Add == nil || g.LDAdd == 1) { // Cᵀ = Bᵀ·Aᵀ
		t := Args[T]{M: 1, N: g.M, K: g.K, A: g.B, ARS: g.BCS, ACS: g.BRS, B: g.A, BRS: g.ACS, BCS: g.ARS, C: g.C, LDC: g.M, Table: g.Table}
		t.Epilogue = Epilogue[T]{Acc: g.Acc, Row: g.Col, Col: g.Row, Scale: g.Scale, Add: g.Add, LDAdd: g.M, Clip: g.Clip, Lo: g.Lo, Hi: g.Hi, Act: g.Act}
		Run(p, &t)
		return true
	}
	if g.M > 4 {
		return false
	}
	switch {
	case g.BRS == 1 && g.BCS != 1 && (g.ACS == 1 || g.K == 1):
		g.dots(p)
		return true
	case g.M == 1 && g.BCS == 1 && g.ACS == 1 && g.Table.Axpy32 != nil && g.N >= Panel:
		if f, ok := any(g).(*Args[float32]); ok {
			f.row(p)
			return true
		}
	}
	return false
}

// dots: every element of C is a dot product of a row of A and a column of B
// that is contiguous.
func (g *Args[T]) dots(p par.P) {
	f, ok := any(g).(*Args[float32])
	p.For(g.N, (max(1, (1<<17)/(g.K*g.M))+3)&^3, func(lo, hi int) {
		if ok {
			f.dots32(lo, hi)
		} else {
			g.dotsAny(lo, hi)
		}
		if g.late() {
			for i := range g.M {
				g.finish(g.Table, g.C[i*g.LDC+lo:i*g.LDC+hi], i, lo)
			}
		}
	})
}

// dotPiece bounds the length of a call of assembly.
const dotPiece = 4096

func (g *Args[T]) dotsAny(lo, hi int) {
	for i := range g.M {
		row := g.C[i*g.LDC+lo : i*g.LDC+hi]
		for j := range row {
			sum := dotGo[T](g.K, unsafe.Pointer(&g.A[i*g.ARS]), unsafe.Pointer(&g.B[(lo+j)*g.BCS]))
			if g.Acc {
				sum += row[j]
			}
			row[j] = sum
		}
	}
}

func (g *Args[T]) dots32(lo, hi int) {
	f := any(g).(*Args[float32])
	t := g.Table
	if g.M == 1 && t.Dots32[4] != nil && g.K <= dotPiece { // four columns side by side
		for ; lo+4 <= hi; lo += 4 {
			var out [4]float32
			t.Dots32[4](g.K, unsafe.Pointer(&f.B[lo*g.BCS]), g.BCS, unsafe.Pointer(&f.A[0]), unsafe.Pointer(&out))
			c := (*[4]float32)(f.C[lo : lo+4])
			if g.Acc {
				for i := range c {
					c[i] += out[i]
				}
				continue
			}
			*c = out
		}
	}
	for j := lo; j < hi; j++ {
		for i := 0; i < g.M; {
			r := min(4, g.M-i)
			if t.Dots32[r] == nil {
				r = 1
			}
			var out, sum [4]float32
			for k := 0; k < g.K; k += dotPiece {
				n := min(dotPiece, g.K-k)
				x, y := unsafe.Pointer(&f.A[i*g.ARS+k]), unsafe.Pointer(&f.B[j*g.BCS+k])
				if r == 1 {
					sum[0] += t.Dot32(n, x, y)
					continue
				}
				t.Dots32[r](n, x, g.ARS, y, unsafe.Pointer(&out))
				for s := range r {
					sum[s] += out[s]
				}
			}
			for s := range r {
				c := &f.C[(i+s)*g.LDC+j]
				if g.Acc {
					sum[s] += *c
				}
				*c = sum[s]
			}
			i += r
		}
	}
}

// row computes a row vector times a row-major matrix: a few rows at a time are
// added to a stretch of the result that stays in the first-level cache.
func (g *Args[T]) row(p par.P) {
	f := any(g).(*Args[float32])
	t := g.Table
	parts := min(max(g.N/768, min(g.N/256, 2), 1), 8)
	width := min((g.N/parts+63)&^63, 4096)
	rows := max((1<<14)/width&^7, 8) // a call takes some microseconds
	p.For((g.N+width-1)/width, max(1, (1<<17)/(g.K*width)), func(lo, hi int) {
		for s := lo; s < hi; s++ {
			j := s * width
			y := f.C[j:min(j+width, g.N)]
			if !g.Acc {
				clear(y)
			}
			for k := 0; k < g.K; k += rows {
				t.Axpy32(min(rows, g.K-k), len(y), unsafe.Pointer(&f.A[k]), unsafe.Pointer(&f.B[k*g.BRS+j]), g.BRS, unsafe.Pointer(&y[0]))
			}
			if g.late() {
				f.finish(t, y, 0, j)
			}
		}
	})
}

// RunBatch computes n products; arg(i) returns the i-th. arg is called from
// several goroutines. Small products run side by side, large ones one after
// the other on all threads.
func RunBatch[T Number](p par.P, n int, arg func(i int) Args[T]) {
	if n <= 0 {
		return
	}
	if n == 1 {
		g := arg(0)
		Run(p, &g)
		return
	}
	g := arg(0)
	work := g.M * g.N * max(g.K, 1)
	if work > 16<<20 && n < 16 {
		for i := range n {
			if p.Ctx != nil && p.Ctx.Err() != nil {
				return
			}
			g := arg(i)
			Run(p, &g)
		}
		return
	}
	alone := par.P{Ctx: p.Ctx}
	p.For(n, max(1, (1<<17)/max(work, 1)), func(lo, hi int) {
		var g Args[T]
		for i := lo; i < hi; i++ {
			g = arg(i)
			Run(alone, &g)
		}
	})
}
