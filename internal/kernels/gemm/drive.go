package gemm

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// empty is the product over no k.
func empty[T Number](g *Args[T]) {
	for i := range g.M {
		row := g.C[i*g.LDC : i*g.LDC+g.N]
		if !g.Acc {
			clear(row)
		}
	}
	if g.late() {
		g.Finish(g.Table, g.C, g.LDC, 0, g.M, 0, g.N)
	}
}

// bSource is B as tiles read it: packed, or row-major in place.
type bSource[T Number] struct {
	packed *Packed[T]
	data   []T
	ldb    int
}

// at returns where the tile of panel j from row k on begins, and its row stride.
// strip is working memory, for the last panel of a row-major B: tiles read whole panels.
func (b *bSource[T]) at(g *Args[T], strip []T, j, k, kc int) (unsafe.Pointer, int) {
	switch w := g.N - j*Panel; {
	case b.packed != nil:
		return unsafe.Pointer(&b.packed.Data[(j*g.K+k)*Panel]), Panel
	case w >= Panel:
		return unsafe.Pointer(&b.data[k*b.ldb+j*Panel]), b.ldb
	default:
		copyStrip(strip, b.data[k*b.ldb+j*Panel:], kc, w, b.ldb)
		return unsafe.Pointer(&strip[0]), Panel
	}
}

// tileRows returns how many rows of A a tile takes: fewer than the registers
// would allow if all rows fall into the same places of the first-level cache
// (64 sets, 8 or 12 ways).
func tileRows[T Number](mr, ars int) int {
	if ars*int(unsafe.Sizeof(*new(T)))%4096 == 0 {
		return min(mr, 8)
	}
	return mr
}

// plan says how C is cut into tasks: rows x panels each, in the order in which
// neighbours share more of what they read.
type plan struct {
	rows, panels int // of a task
	mt, nt       int // tasks down and across
	across       bool
}

// planFor cuts C so that each thread has several tasks, between a quarter and
// sixteen million multiply-adds each: up to 200 µs of the fastest kernels. A sum
// does not depend on the task it is made in, so the number of threads may
// decide. A block of a panel stays in the first-level cache while the rows of
// a task go by: tasks are rather high than wide.
func planFor(m, n, k, mr, threads int) plan {
	panels := (n + Panel - 1) / Panel
	task := min(max(m*panels*Panel/(8*max(threads, 2))*k, 1<<18), 16<<20)
	p := plan{panels: 1, rows: m}
	switch high := max(task/(Panel*k), 1); {
	case high >= m && m <= 16*mr: // few rows: wider tasks
		p.panels = min(max(task/(m*Panel*k), 1), panels)
	case high < 3*mr:
		p.rows = min(3*mr, m)
	default:
		p.rows = min(high, 16*mr)
		p.panels = min(max(task/(p.rows*Panel*k), 1), panels)
	}
	p.mt = (m + p.rows - 1) / p.rows
	p.rows = (m + p.mt - 1) / p.mt
	if up := (p.rows + mr - 1) / mr * mr; p.mt > 1 && up*(p.mt-1) < m { // whole tiles
		p.rows = up
	}
	p.nt = (panels + p.panels - 1) / p.panels
	p.across = m > n
	return p
}

// drive cuts C into tasks and runs them.
func drive[T Number](p par.P, g *Args[T], a []T, ars int, b bSource[T]) {
	if b.packed != nil && g.M < len(g.Table.Few32) && g.Table.Few32[g.M] != nil {
		if f, ok := any(g).(*Args[float32]); ok {
			few(p, f, any(a).([]float32), ars, any(b.packed).(*Packed[float32]))
			return
		}
	}
	kern := kernelOf[T](g.Table)
	kern.mr = tileRows[T](kern.mr, ars)
	pl := planFor(g.M, g.N, g.K, kern.mr, p.Threads)
	grain := max((1<<18)/(pl.rows*pl.panels*Panel*g.K), 1)
	par.Run(p, pl.mt*pl.nt, grain, par.With(tasks[T]{g, kern, a, ars, b, pl}))
}

// tasks are the tasks of a plan.
type tasks[T Number] struct {
	g    *Args[T]
	kern kernel
	a    []T
	ars  int
	b    bSource[T]
	pl   plan
}

// Chunk runs tasks [lo, hi).
func (x *tasks[T]) Chunk(lo, hi int) {
	g, pl := x.g, &x.pl
	var s []T
	if x.b.packed == nil && g.N%Panel != 0 {
		strip := getBuf[T](kBlock[T](g.K) * Panel)
		defer putBuf(strip)
		s = strip.s
	}
	panels := (g.N + Panel - 1) / Panel
	for t := lo; t < hi; t++ {
		i, j := t%pl.mt*pl.rows, t/pl.mt*pl.panels
		if pl.across {
			i, j = t/pl.nt*pl.rows, t%pl.nt*pl.panels
		}
		block(g, x.kern, x.a, x.ars, &x.b, s, i, min(i+pl.rows, g.M), j, min(j+pl.panels, panels))
	}
}

// block computes rows [i0, i1) of panels [j0, j1).
func block[T Number](g *Args[T], kern kernel, a []T, ars int, b *bSource[T], strip []T, i0, i1, j0, j1 int) {
	kb := kBlock[T](g.K)
	// Rows are shared out evenly: 16 are 8 and 8 rather than 14 and 2.
	tiles := (i1 - i0 + kern.mr - 1) / kern.mr
	step, more := (i1-i0)/tiles, (i1-i0)%tiles
	ahead := g.Table.Ahead32
	if b.packed == nil || !is32[T]() {
		ahead = nil
	} else if tiles == 1 && g.Table.Stream32 != nil {
		kern.tile = g.Table.Stream32
	}
	every := max(tiles/max(g.Table.Ahead, 1), 1) // tiles that fetch are spread over all
	for j := j0; j < j1; j++ {
		w := min(Panel, g.N-j*Panel)
		for k := 0; k < g.K; k += kb {
			kc := min(kb, g.K-k)
			bp, ldb := b.at(g, strip, j, k, kc)
			for t, i := 0, i0; t < tiles; t++ {
				r := step
				if t < more {
					r++
				}
				ap, cp := unsafe.Pointer(&a[i*ars+k]), unsafe.Pointer(&g.C[i*g.LDC+j*Panel])
				if n := t / every; ahead != nil && n < g.Table.Ahead && t%every == 0 && tiles > 1 {
					// Behind this block of packed B lies the next.
					ahead(r, kc, ap, ars, bp, ldb, cp, g.LDC, w, kc*Panel*4*(g.Table.Ahead+n)/g.Table.Ahead, g.Acc || k > 0)
				} else {
					kern.tile(r, kc, ap, ars, bp, ldb, cp, g.LDC, w, g.Acc || k > 0)
				}
				i += r
			}
		}
	}
	if g.late() {
		c0, c1 := j0*Panel, min(j1*Panel, g.N)
		g.Finish(g.Table, g.C[i0*g.LDC+c0:], g.LDC, i0, i1, c0, c1)
	}
}

// fewBlock is how many products a few rows add up before they are added to C:
// a sum runs through half of them, or through less.
const fewBlock = 384

// few computes products of a few rows with packed panels, which memory limits:
// each task reads one stretch of them from one end to the other.
func few(p par.P, g *Args[float32], a []float32, ars int, b *Packed[float32]) {
	np := g.Table.FewPanels[g.M]
	groups := ((g.N+Panel-1)/Panel + np - 1) / np
	par.Each(p, groups, max((1<<15)/(g.K*np*Panel), 1), fewTasks{g, a, ars, b, np}, (*fewTasks).run)
}

type fewTasks struct {
	g   *Args[float32]
	a   []float32
	ars int
	b   *Packed[float32]
	np  int // panels of a task
}

func (x *fewTasks) run(lo, hi int) {
	g, np := x.g, x.np
	kern := g.Table.Few32[g.M]
	const kb = 384 // of which a sum runs through half, or through less
	panels := (g.N + Panel - 1) / Panel
	for s := lo; s < hi; s++ {
		j0, j1 := s*np, min((s+1)*np, panels)
		if j1*Panel <= g.N && j1-j0 == np {
			for k := 0; k < g.K; k += kb {
				kern(min(kb, g.K-k), unsafe.Pointer(&x.a[k]), x.ars, unsafe.Pointer(&x.b.Data[(j0*g.K+k)*Panel]), g.K*Panel, unsafe.Pointer(&g.C[j0*Panel]), g.LDC, g.Acc || k > 0)
			}
		} else {
			for j := j0; j < j1; j++ {
				onePanel(g, kb, x.a, x.ars, x.b, j)
			}
		}
	}
	if g.late() {
		c0, c1 := lo*np*Panel, min(hi*np*Panel, g.N)
		g.Finish(g.Table, g.C[c0:], g.LDC, 0, g.M, c0, c1)
	}
}

// onePanel computes panel j of a few rows, with sums in the order of few.
func onePanel(g *Args[float32], kb int, a []float32, ars int, b *Packed[float32], j int) {
	kern := g.Table.One32[g.M]
	w := min(Panel, g.N-j*Panel)
	c, ldc := g.C[j*Panel:], g.LDC
	if w < Panel { // the routine writes whole panels
		buf := getBuf[float32](g.M * Panel)
		defer putBuf(buf)
		c, ldc = buf.s, Panel
		for i := range g.M {
			copy(c[i*Panel:], g.C[i*g.LDC+j*Panel:][:w])
		}
	}
	for k := 0; k < g.K; k += kb {
		kern(min(kb, g.K-k), unsafe.Pointer(&a[k]), ars, unsafe.Pointer(&b.Data[(j*g.K+k)*Panel]), 0, unsafe.Pointer(&c[0]), ldc, g.Acc || k > 0)
	}
	if w < Panel {
		for i := range g.M {
			copy(g.C[i*g.LDC+j*Panel:][:w], c[i*Panel:])
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

func is32[T Number]() bool {
	_, ok := any(*new(T)).(float32)
	return ok
}
