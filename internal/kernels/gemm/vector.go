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
	case g.M == 1 && g.BCS == 1 && g.ACS == 1 && g.Table.Row32 != nil && g.N >= g.Table.RowWidth:
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
	dot := func(n int, x, y unsafe.Pointer) T { return dotGo[T](n, x, y) }
	if d, ok := any(g.Table.Dot32).(func(int, unsafe.Pointer, unsafe.Pointer) T); ok {
		dot = d
	}
	const piece = 4096 // a bound on the length of one call
	p.For(g.N, max(1, (1<<17)/(g.K*g.M)), func(lo, hi int) {
		for i := range g.M {
			row := g.C[i*g.LDC+lo : i*g.LDC+hi]
			if !g.Acc {
				clear(row)
			}
			for j := lo; j < hi; j++ {
				var sum T
				for k := 0; k < g.K; k += piece {
					n := min(piece, g.K-k)
					sum += dot(n, unsafe.Pointer(&g.A[i*g.ARS+k]), unsafe.Pointer(&g.B[j*g.BCS+k]))
				}
				row[j-lo] += sum
			}
			if g.late() {
				g.finish(g.Table, row, i, lo)
			}
		}
	})
}

// row computes a row vector times a row-major matrix.
func (g *Args[T]) row(p par.P) {
	t := g.Table
	const kc = 512
	wide := g.N / t.RowWidth
	p.For(wide, max(1, (1<<18)/(g.K*t.RowWidth)), func(lo, hi int) {
		for j := lo * t.RowWidth; j < hi*t.RowWidth; j += t.RowWidth {
			y := g.C[j : j+t.RowWidth]
			for k := 0; k < g.K; k += kc {
				t.Row32(min(kc, g.K-k), unsafe.Pointer(&g.A[k]), unsafe.Pointer(&g.B[k*g.BRS+j]), g.BRS, unsafe.Pointer(&y[0]), g.Acc || k > 0)
			}
			if g.late() {
				f := any(g).(*Args[float32])
				f.finish(t, f.C[j:j+t.RowWidth], 0, j)
			}
		}
	})
	if done := wide * t.RowWidth; done < g.N {
		rest := *g
		rest.N -= done
		rest.B, rest.C = g.B[done:], g.C[done:]
		rest.LDC = rest.N
		if g.Col != nil {
			rest.Col = g.Col[done:]
		}
		if g.Add != nil {
			rest.Add = g.Add[done:]
		}
		drive(p, &rest, rest.A, rest.ARS, bSource[T]{data: rest.B, ldb: rest.BRS})
	}
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
	p.For(n, max(1, (1<<18)/max(work, 1)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			g := arg(i)
			Run(alone, &g)
		}
	})
}
