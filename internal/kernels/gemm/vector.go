package gemm

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// vector computes products with a single row or column, or a few rows against
// a transposed B, without packing: packing would cost more than the product.
// It reports whether it did.
func (g *Args[T]) vector(p par.P) bool {
	if g.N == 1 && g.M > 1 && g.LDC == 1 && (g.Add == nil || g.LDAdd == 1) { // Cᵀ = Bᵀ·Aᵀ
		t := borrow[Args[T]]()
		*t = Args[T]{M: 1, N: g.M, K: g.K, A: g.B, ARS: g.BCS, ACS: g.BRS, B: g.A, BRS: g.ACS, BCS: g.ARS, C: g.C, LDC: g.M, Table: g.Table}
		t.Epilogue = Epilogue[T]{Acc: g.Acc, Row: g.Col, Col: g.Row, Scale: g.Scale, Add: g.Add, LDAdd: g.M, Clip: g.Clip, Lo: g.Lo, Hi: g.Hi, Act: g.Act}
		Run(p, t)
		giveBack(t)
		return true
	}
	if g.M > 4 {
		return false
	}
	switch {
	case g.BRS == 1 && (g.BCS != 1 || g.N == 1) && (g.ACS == 1 || g.K == 1):
		g.dots(p)
		return true
	case g.M == 1 && g.BCS == 1 && g.ACS == 1 && g.Table.Axpy32 != nil && g.N >= Panel:
		if f, ok := any(g).(*Args[float32]); ok {
			row(p, f)
			return true
		}
	}
	return false
}

// dots: every element of C is a dot product of a row of A and a column of B
// that is contiguous.
func (g *Args[T]) dots(p par.P) {
	par.Run(p, g.N, (max(1, (1<<17)/(g.K*g.M))+3)&^3, par.With(dotTasks[T]{g}))
}

type dotTasks[T Number] struct{ g *Args[T] }

// Chunk computes columns [lo, hi).
func (x *dotTasks[T]) Chunk(lo, hi int) {
	g := x.g
	if f, ok := any(g).(*Args[float32]); ok {
		f.dots32(lo, hi)
	} else {
		g.dotsAny(lo, hi)
	}
	if g.late() {
		g.Finish(g.Table, g.C[lo:], g.LDC, 0, g.M, lo, hi)
	}
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
	out := borrow[[4]float32]() // what a function of a table writes to would be allocated with each call
	defer giveBack(out)
	if g.M == 1 && t.Dots32[4] != nil && g.K <= dotPiece { // four columns side by side
		for ; lo+4 <= hi; lo += 4 {
			t.Dots32[4](g.K, unsafe.Pointer(&f.B[lo*g.BCS]), g.BCS, unsafe.Pointer(&f.A[0]), unsafe.Pointer(out))
			c := (*[4]float32)(f.C[lo : lo+4])
			if g.Acc {
				for i := range c {
					c[i] += out[i]
				}
				continue
			}
			*c = *out
		}
	}
	for j := lo; j < hi; j++ {
		for i := 0; i < g.M; {
			r := min(4, g.M-i)
			if t.Dots32[r] == nil {
				r = 1
			}
			var sum [4]float32
			for k := 0; k < g.K; k += dotPiece {
				n := min(dotPiece, g.K-k)
				x, y := unsafe.Pointer(&f.A[i*g.ARS+k]), unsafe.Pointer(&f.B[j*g.BCS+k])
				if r == 1 {
					sum[0] += t.Dot32(n, x, y)
					continue
				}
				t.Dots32[r](n, x, g.ARS, y, unsafe.Pointer(out))
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
func row(p par.P, g *Args[float32]) {
	parts := min(max(g.N/768, min(g.N/256, 2), 1), 8)
	width := min((g.N/parts+63)&^63, 4096)
	par.Each(p, (g.N+width-1)/width, max(1, (1<<17)/(g.K*width)), rowTasks{g, width}, (*rowTasks).run)
}

type rowTasks struct {
	g     *Args[float32]
	width int
}

func (x *rowTasks) run(lo, hi int) {
	g, t, width := x.g, x.g.Table, x.width
	rows := max((1<<14)/width&^7, 8) // a call takes some microseconds
	for s := lo; s < hi; s++ {
		j := s * width
		y := g.C[j:min(j+width, g.N)]
		if !g.Acc {
			clear(y)
		}
		for k := 0; k < g.K; k += rows {
			t.Axpy32(min(rows, g.K-k), len(y), unsafe.Pointer(&g.A[k]), unsafe.Pointer(&g.B[k*g.BRS+j]), g.BRS, unsafe.Pointer(&y[0]))
		}
		if g.late() {
			g.Finish(t, y, len(y), 0, 1, j, j+len(y))
		}
	}
}

// Batch is a stack of products of the same sizes, which differ in where their
// matrices begin: product i has A from AO[i] of Args.A on, and so on.
type Batch[T Number] struct {
	Args[T]
	AO, BO []int // BO is not read if Packed is set
	CO     int   // product i begins at i·CO of C and Add
}

// of sets g to product i.
func (b *Batch[T]) of(g *Args[T], i int) {
	*g = b.Args
	g.A, g.C = g.A[b.AO[i]:], g.C[i*b.CO:]
	if g.Packed == nil && g.K > 0 {
		g.B = g.B[b.BO[i]:]
	}
	if g.Add != nil {
		g.Add = g.Add[i*b.CO:]
	}
}

// Run computes the n products of b: small ones side by side, large ones one
// after the other on all threads.
func (b *Batch[T]) Run(p par.P, n int) {
	work := b.M * b.N * max(b.K, 1)
	if n == 1 || work > 16<<20 && n < 16 {
		g := borrow[Args[T]]()
		for i := range n {
			if p.Ctx != nil && p.Ctx.Err() != nil {
				return
			}
			b.of(g, i)
			Run(p, g)
		}
		giveBack(g)
		return
	}
	par.Run(p, n, max(1, (1<<17)/max(work, 1)), par.With(batchTasks[T]{b, par.P{Ctx: p.Ctx}}))
}

type batchTasks[T Number] struct {
	b     *Batch[T]
	alone par.P
}

// Chunk computes products [lo, hi).
func (x *batchTasks[T]) Chunk(lo, hi int) {
	g := borrow[Args[T]]()
	for i := lo; i < hi; i++ {
		x.b.of(g, i)
		Run(x.alone, g)
	}
	giveBack(g)
}

// pools hold what calls share out among themselves.
var pools sync.Map // type X: *sync.Pool of *X

func poolOf[X any]() *sync.Pool {
	t := reflect.TypeFor[X]()
	p, ok := pools.Load(t)
	if !ok {
		p, _ = pools.LoadOrStore(t, &sync.Pool{})
	}
	return p.(*sync.Pool)
}

func borrow[X any]() *X {
	if x, ok := poolOf[X]().Get().(*X); ok {
		return x
	}
	return new(X)
}

// giveBack clears x, which nobody refers to any more.
func giveBack[X any](x *X) {
	var zero X
	*x = zero
	poolOf[X]().Put(x)
}
