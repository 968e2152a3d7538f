// Package half converts float16 and bfloat16 from and to float32, and multiplies
// matrices of float32 with weights that stay in 16 bits.
package half

import (
	"context"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Kind is a type of 16 bits.
type Kind int

const (
	Float16 Kind = iota
	BFloat16
)

const panel = gemm.Panel

// pieces calls f for pieces of n elements, each a short call.
func pieces(n int, f func(at, n int)) {
	const most = 1 << 15
	for at := 0; at < n; at += most {
		f(at, min(most, n-at))
	}
}

// Widen sets dst[i] to src[i].
func Widen(k Kind, dst []float32, src []uint16) {
	src = src[:len(dst)]
	f := best().widen[k]
	pieces(len(dst), func(i, n int) { f(unsafe.Pointer(&dst[i]), unsafe.Pointer(&src[i]), n) })
}

// Narrow sets dst[i] to src[i] rounded to the nearest, halves to even. NaN stays
// NaN, what is too large becomes infinite.
func Narrow(k Kind, dst []uint16, src []float32) {
	src = src[:len(dst)]
	f := best().narrow[k]
	pieces(len(dst), func(i, n int) { f(unsafe.Pointer(&dst[i]), unsafe.Pointer(&src[i]), n) })
}

// Weights is a matrix [K, N] of halves in the panels of gemm.Packed. It is not
// changed by products.
type Weights struct {
	Kind Kind
	K, N int
	Data []uint16
}

// Pack packs the k x n matrix with element (i, j) at b[i*rs+j*cs].
func Pack(p par.P, kind Kind, b []uint16, k, n, rs, cs int) *Weights {
	q := gemm.Pack(p, b, k, n, rs, cs)
	return &Weights{Kind: kind, K: k, N: n, Data: q.Data}
}

// few is the number of rows up to which each reads the weights for itself.
const few = 3

// Run computes g with w in the place of B.
func (w *Weights) Run(p par.P, g *gemm.Args[float32]) {
	if g.M <= 0 || g.N <= 0 || g.K <= 0 {
		gemm.Run(p, g)
		return
	}
	if g.M <= few && g.ACS == 1 && !g.Acc {
		rows(p, g, w)
		return
	}
	panels := (w.N + panel - 1) / panel
	some := max(1, (1<<17)/(w.K*panel)) // half a megabyte of floats at a time
	if g.M >= 64 {
		some = max(1, some/2)
	}
	par.Each(p, (panels+some-1)/some, 1, wideRun{g, w, p.Ctx, panels, some}, (*wideRun).run)
}

// wideRun is one product of more rows: tasks of some panels, which are widened first.
type wideRun struct {
	g            *gemm.Args[float32]
	w            *Weights
	ctx          context.Context
	panels, some int
}

// part is the product of a task.
type part struct {
	args   gemm.Args[float32]
	packed gemm.Packed[float32]
}

var parts = sync.Pool{New: func() any { return new(part) }}

// run runs tasks [lo, hi).
func (r *wideRun) run(lo, hi int) {
	g, w := r.g, r.w
	buf := gemm.Borrow[float32](r.some * w.K * panel)
	defer buf.Return()
	x := parts.Get().(*part)
	for t := lo; t < hi; t++ {
		q := t * r.some
		n := min(r.some, r.panels-q)
		data := buf.S[:n*w.K*panel]
		Widen(w.Kind, data, w.Data[q*w.K*panel:])
		j := q * panel
		x.args = *g
		x.args.N = min(n*panel, w.N-j)
		x.packed = gemm.Packed[float32]{K: w.K, N: x.args.N, Data: data}
		x.args.C, x.args.Packed = g.C[j:], &x.packed
		if g.Col != nil {
			x.args.Col = g.Col[j:]
		}
		if g.Add != nil {
			x.args.Add = g.Add[j:]
		}
		gemm.Run(par.P{Ctx: r.ctx}, &x.args)
	}
	*x = part{}
	parts.Put(x)
}

// rows computes few rows. Their sums take at most 768 products each before they
// are added up.
func rows(p par.P, g *gemm.Args[float32], w *Weights) {
	panels := (w.N + panel - 1) / panel
	_ = g.A[(g.M-1)*g.ARS+g.K-1]
	t := g.Table
	if t == nil {
		t = gemm.Best()
	}
	par.Each(p, panels, max(1, (1<<17)/(w.K*panel*g.M)), rowRun{g, w, t}, (*rowRun).run)
}

// rowRun is one product of few rows.
type rowRun struct {
	g *gemm.Args[float32]
	w *Weights
	t *gemm.Table
}

// run computes panels [lo, hi).
func (r *rowRun) run(lo, hi int) {
	const kc = 768
	g, w := r.g, r.w
	row := best().row[w.Kind]
	var sum [panel]float32
	part := gemm.Borrow[float32](panel)
	defer part.Return()
	for q := lo; q < hi; q++ {
		b, j := w.Data[q*w.K*panel:][:w.K*panel], q*panel
		n := min(panel, w.N-j)
		for i := range g.M {
			clear(sum[:])
			for k := 0; k < w.K; k += kc {
				clear(part.S)
				row(min(kc, w.K-k), unsafe.Pointer(&g.A[i*g.ARS+k]), unsafe.Pointer(&b[k*panel]), unsafe.Pointer(&part.S[0]))
				for x, v := range part.S {
					sum[x] += v
				}
			}
			copy(g.C[i*g.LDC+j:][:n], sum[:])
		}
		g.Finish(r.t, g.C[j:], g.LDC, 0, g.M, j, j+n)
	}
}
