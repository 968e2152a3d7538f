package half

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Matrix is the right-hand side of products of float32.
type Matrix interface {
	// Run computes g with the matrix in the place of B.
	Run(p par.P, g *gemm.Args[float32])
}

// Pairs is a matrix [K, N] of bfloat16, in panels [⌈K/2⌉][gemm.Panel] of two rows at a time, the
// first in the low half of an element. It is not changed by products, which round the left-hand
// side to bfloat16 too: of two factors each is off by 2^-9 of itself at most, and sums
// are float32.
type Pairs struct {
	K, N int
	Data []uint32
}

// HasPairs reports whether the processor multiplies bfloat16.
func HasPairs() bool { return gemm.Best().TilePairs != nil }

// PackPairs packs the k x n matrix with element (i, j) at b[i*rs+j*cs].
func PackPairs(p par.P, b []float32, k, n, rs, cs int) *Pairs {
	w := &Pairs{K: k, N: n, Data: make([]uint32, pairs(k)*gemm.Panels(n)*panel)}
	if len(w.Data) == 0 {
		return w
	}
	narrow := best().narrow[BFloat16]
	p.For(gemm.Panels(n), max(1, (1<<15)/(k*panel)), func(lo, hi int) {
		gemm.Scratch(k*panel, func(buf []float32) {
			var rows [2 * panel]uint16
			for j := lo; j < hi; j++ {
				gemm.PackTo(par.P{}, buf, b[j*panel*cs:], k, min(panel, n-j*panel), rs, cs)
				for i := 0; i < k; i += 2 {
					count := min(2, k-i) * panel
					clear(rows[count:])
					narrow(unsafe.Pointer(&rows), unsafe.Pointer(&buf[i*panel]), count)
					out := w.Data[(j*pairs(k)+i/2)*panel:][:panel]
					for x := range out {
						out[x] = uint32(rows[x]) | uint32(rows[panel+x])<<16
					}
				}
			}
		})
	})
	return w
}

// pairs is the number of pairs of k elements.
func pairs(k int) int { return (k + 1) / 2 }

// Run computes g with w in the place of B.
func (w *Pairs) Run(p par.P, g *gemm.Args[float32]) {
	if g.M <= 0 || g.N <= 0 || g.K <= 0 {
		gemm.Run(p, g)
		return
	}
	if g.K != w.K || g.N != w.N || len(g.A) < (g.M-1)*g.ARS+(g.K-1)*g.ACS+1 || len(g.C) < (g.M-1)*g.LDC+g.N {
		panic("half: sizes do not fit")
	}
	t := g.Table
	if t == nil {
		t = gemm.Best()
	}
	r := pairRun{Args: g, table: t, w: w, k: pairs(g.K), panels: gemm.Panels(g.N), tile: t.TilePairs, mr: t.MR32}
	if r.tile == nil {
		r.tile, r.mr = tilePairs, 4
	}
	r.lda = r.k + 16 // rows do not fall into the same places of the cache
	a := gemm.Borrow[uint32](g.M * r.lda)
	defer a.Return()
	r.a = a.S
	par.Each(p, g.M, max(1, (1<<15)/g.K), r, (*pairRun).narrow)
	const task = 1 << 20 // products of pairs
	r.rows = min(g.M, 8*r.mr)
	r.wide = max(1, min(r.panels/8, task/(r.rows*panel*r.k)))
	r.across = (r.panels + r.wide - 1) / r.wide
	par.Each(p, (g.M+r.rows-1)/r.rows*r.across, max(1, (1<<17)/(r.rows*panel*r.wide*r.k)), r, (*pairRun).tasks)
}

// pairRun is one product: tasks of rows times wide panels, across of which make a row of tasks.
type pairRun struct {
	*gemm.Args[float32]
	table                   *gemm.Table
	w                       *Pairs
	k, panels, mr           int
	a                       []uint32
	lda, rows, wide, across int
	tile                    gemm.Tile
}

// narrow rounds rows [lo, hi) of A.
func (r *pairRun) narrow(lo, hi int) {
	var row gemm.Buffer[float32]
	if r.ACS != 1 {
		row = gemm.Borrow[float32](r.K)
		defer row.Return()
	}
	for i := lo; i < hi; i++ {
		src := r.A[i*r.ARS:]
		if r.ACS != 1 {
			for k := range row.S {
				row.S[k] = src[k*r.ACS]
			}
			src = row.S
		}
		dst := r.a[i*r.lda:][:r.k]
		dst[r.k-1] = 0
		Narrow(BFloat16, unsafe.Slice((*uint16)(unsafe.Pointer(&dst[0])), 2*r.k)[:r.K], src[:r.K])
	}
}

// tasks runs tasks [lo, hi).
func (r *pairRun) tasks(lo, hi int) {
	const kb = 192 // pairs, of which a panel stays in the nearest cache
	for t := lo; t < hi; t++ {
		i0, j0 := t/r.across*r.rows, t%r.across*r.wide
		i1, j1 := min(i0+r.rows, r.M), min(j0+r.wide, r.panels)
		tiles := (i1 - i0 + r.mr - 1) / r.mr
		for j := j0; j < j1; j++ {
			for k := 0; k < r.k; k += kb {
				b := unsafe.Pointer(&r.w.Data[(j*r.k+k)*panel])
				for x, i := 0, i0; x < tiles; x++ {
					n := (i1 - i) / (tiles - x)
					r.tile(n, min(kb, r.k-k), unsafe.Pointer(&r.a[i*r.lda+k]), r.lda, b, panel,
						unsafe.Pointer(&r.C[i*r.LDC+j*panel]), r.LDC, min(panel, r.N-j*panel), r.Acc || k > 0)
					i += n
				}
			}
		}
		c0 := j0 * panel
		r.Finish(r.table, r.C[i0*r.LDC+c0:], r.LDC, i0, i1, c0, min(j1*panel, r.N))
	}
}

// tilePairs is gemm.Table's TilePairs.
func tilePairs(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	for i := range rows {
		row := unsafe.Slice((*uint32)(unsafe.Add(a, 4*i*lda)), kc)
		for j := range w {
			var sum float32
			for k, x := range row {
				y := *(*uint32)(unsafe.Add(b, 4*(k*ldb+j)))
				sum += fromB(uint16(x))*fromB(uint16(y)) + fromB(uint16(x>>16))*fromB(uint16(y>>16))
			}
			at := (*float32)(unsafe.Add(c, 4*(i*ldc+j)))
			if acc {
				sum += *at
			}
			*at = sum
		}
	}
}
