package ops

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// reduceLoops is a reducer whose types are erased, so that the walks over shapes are
// compiled once for all of them. Pointers are to elements T or accumulators A.
type reduceLoops interface {
	// sizes returns the bytes of an element and of an accumulator.
	sizes() (element, acc int)
	// rows sets count results from y on, each to the reduction of as many runs of n
	// elements as w visits, which begin at x and for the next result step elements on.
	// w stands at 0, before and after.
	rows(y, x unsafe.Pointer, w *reduceWalk, runs, n, count, step int)
	// piece sets a to the accumulator of n elements.
	piece(a, x unsafe.Pointer, n int)
	// columns sets m results from y on to the reductions of runs rows, which begin at x
	// and are where w visits; left elements are there. acc is memory for m accumulators.
	columns(y, acc, x unsafe.Pointer, left int, w *reduceWalk, runs, m int)
	// paneled reports whether panels can be called.
	paneled() bool
	// lined reports whether rows has a loop of its own for short lines.
	lined() bool
	// panels adds rows that begin stride elements apart to m accumulators.
	panels(a, x unsafe.Pointer, left, m, rows, stride int)
	// clear makes n accumulators those of no elements.
	clear(a unsafe.Pointer, n int)
	// merges sets a to the join of it and n others, in order.
	merges(a, parts unsafe.Pointer, n int)
	// finish sets y to the result of a set of n elements.
	finish(y, a unsafe.Pointer, n int)
}

func (r *reducer[T, A]) sizes() (element, acc int) {
	return int(unsafe.Sizeof(*new(T))), int(unsafe.Sizeof(*new(A)))
}

func (r *reducer[T, A]) rows(y, x unsafe.Pointer, w *reduceWalk, runs, n, count, step int) {
	size := int(unsafe.Sizeof(*new(T)))
	out := unsafe.Slice((*T)(y), count)
	if r.lines != nil && runs == 1 && step == n && n > 0 && n <= shortLine {
		r.lines(out, unsafe.Slice((*T)(x), count*n), n)
		return
	}
	for o := range out {
		a := r.zero
		for range runs {
			a = r.row(a, unsafe.Slice((*T)(unsafe.Add(x, (o*step+w.off)*size)), n))
			w.next() // after the last run it stands at 0 again
		}
		out[o] = r.done(a, runs*n)
	}
}

func (r *reducer[T, A]) piece(a, x unsafe.Pointer, n int) {
	*(*A)(a) = r.row(r.zero, unsafe.Slice((*T)(x), n))
}

func (r *reducer[T, A]) columns(y, acc, x unsafe.Pointer, left int, w *reduceWalk, runs, m int) {
	a, all, out := unsafe.Slice((*A)(acc), m), unsafe.Slice((*T)(x), left), unsafe.Slice((*T)(y), m)
	if r.short != nil && len(w.sizes) == 1 && runs <= panelRows {
		r.short(out, all, runs, w.strides[0])
		return
	}
	r.clear(acc, m)
	if last := len(w.sizes) - 1; r.panel != nil && last >= 0 {
		rows := w.sizes[last]
		for outer, i := (reduceWalk{sizes: w.sizes[:last], strides: w.strides[:last]}).at(0), 0; i < runs; i += rows {
			r.panel(a, all[outer.off:], rows, w.strides[last])
			outer.next()
		}
	} else {
		for range runs {
			r.cols(a, all[w.off:][:m])
			w.next()
		}
	}
	for i, v := range a {
		out[i] = r.done(v, runs)
	}
}

func (r *reducer[T, A]) paneled() bool { return r.panel != nil }

func (r *reducer[T, A]) lined() bool { return r.lines != nil }

func (r *reducer[T, A]) panels(a, x unsafe.Pointer, left, m, rows, stride int) {
	r.panel(unsafe.Slice((*A)(a), m), unsafe.Slice((*T)(x), left), rows, stride)
}

func (r *reducer[T, A]) clear(a unsafe.Pointer, n int) {
	all := unsafe.Slice((*A)(a), n)
	for i := range all {
		all[i] = r.zero
	}
}

func (r *reducer[T, A]) merges(a, parts unsafe.Pointer, n int) {
	v := *(*A)(a)
	for _, b := range unsafe.Slice((*A)(parts), n) {
		v = r.merge(v, b)
	}
	*(*A)(a) = v
}

func (r *reducer[T, A]) finish(y, a unsafe.Pointer, n int) { *(*T)(y) = r.done(*(*A)(a), n) }

// reduceInto sets y to the reduction of x, which has y's element type, over the
// dimensions of w.mask.
func reduceInto(p par.P, y, x *tensor.Tensor, w *reduceWalks, r reduceLoops) {
	out, in := vectorOf(y), vectorOf(x)
	if out.n == 0 {
		return
	}
	l := reduceLoop{r: r, y: out.p, x: in}
	l.size, l.acc = r.sizes()
	if in.n == 0 {
		mem, pool := borrow[reduceMemory]()
		defer pool.Put(mem)
		a := mem.of(1, l.acc)
		r.clear(a, 1)
		for i := range out.n {
			r.finish(unsafe.Add(out.p, i*l.size), a, 0)
		}
		return
	}
	w.split(x.Shape())
	l.kept, l.red, l.outs, l.runs, l.n = w.kept, w.red, w.kept.count(), w.red.count(), w.inner
	if w.innerReduced {
		l.rows(p)
	} else {
		l.columns(p)
	}
}

// reduceMemory holds accumulators.
type reduceMemory struct {
	words []uint64
	walk  reduceWalk
}

// of returns memory for n accumulators of the given bytes, in any state.
func (m *reduceMemory) of(n, size int) unsafe.Pointer {
	m.words = slices.Grow(m.words[:0], (n*size+7)/8)
	return unsafe.Pointer(unsafe.SliceData(m.words))
}

// reduceLoop reduces runs rows of n elements to each of outs results (the
// innermost dimension is reduced) or rows of n results (it stays).
type reduceLoop struct {
	r             reduceLoops
	size, acc     int // bytes of an element and of an accumulator
	y             unsafe.Pointer
	x             vector
	kept, red     reduceWalk
	outs, runs, n int
	part          unsafe.Pointer // accumulators of chunks, where these are joined
	chunks, per   int
}

// rows: the innermost dimension is reduced.
func (l reduceLoop) rows(p par.P) {
	if l.outs >= 16 || l.n < 2*reduceGrain {
		par.Run(p, l.outs, 1+reduceGrain/(l.runs*l.n), par.With(reduceRows(l)))
		return
	}
	// Few long sets: chunks of a run are reduced in parallel and joined in order.
	mem, pool := borrow[reduceMemory]()
	defer pool.Put(mem)
	l.chunks = (l.n + reduceGrain - 1) / reduceGrain
	a := mem.of(1+l.chunks, l.acc)
	l.part = unsafe.Add(a, l.acc)
	for o, k := 0, l.kept.at(0); o < l.outs; o++ {
		l.r.clear(a, 1)
		for i, w := 0, l.red.at(0); i < l.runs; i++ {
			long := reduceLong(l)
			long.x.p = unsafe.Add(l.x.p, (k.off+w.off)*l.size)
			par.Run(p, l.chunks, 1, par.With(long))
			l.r.merges(a, l.part, l.chunks)
			w.next()
		}
		l.r.finish(unsafe.Add(l.y, o*l.size), a, l.runs*l.n)
		k.next()
	}
}

type reduceRows reduceLoop

func (l *reduceRows) Chunk(lo, hi int) {
	k := l.kept.at(lo)
	mem, pool := borrow[reduceMemory]()
	defer pool.Put(mem)
	mem.walk = l.red.at(0)
	last, turns := len(l.kept.sizes)-1, l.turns()
	for o := lo; o < hi; {
		count, step := 1, 0
		if last >= 0 { // along the innermost dimension that stays
			at := &k.idx.of(last + 1)[last]
			count, step = min(hi-o, l.kept.sizes[last]-*at), l.kept.strides[last]
			*at += count - 1
		}
		x := unsafe.Add(l.x.p, k.off*l.size)
		k.off += (count - 1) * step
		if y := unsafe.Add(l.y, o*l.size); turns && step == l.n && count >= turnedFew {
			l.turned(y, x, count)
		} else {
			l.r.rows(y, x, &mem.walk, l.runs, l.n, count, step)
		}
		o += count
		k.next()
	}
}

// reduceLong reduces pieces of one row x to part.
type reduceLong reduceLoop

// turns reports whether sets are short lines of words: then what lies side by side is reduced
// for many of them at once.
func (l *reduceRows) turns() bool {
	return l.size == 4 && l.acc <= 8 && l.runs == 1 && l.n > 1 && !l.r.lined() && (l.n <= 8 || l.n <= shortLine && l.r.paneled())
}

// turned reduces count lines, one behind the other, by columns.
func (l *reduceRows) turned(y, x unsafe.Pointer, count int) {
	b, pool := borrow[turnedBuffers]()
	defer pool.Put(b)
	w := &b.walk
	w.sizes, w.strides = append(w.sizes[:0], l.n), append(w.strides[:0], 0)
	for k := 0; count > 0; count -= k {
		k = min(turnedLines, turnedMost/l.n, count)
		d := b.turn(unsafe.Slice((*float32)(x), k*l.n), k, l.n)
		w.strides[0] = k
		l.r.columns(y, unsafe.Pointer(&b.exact), unsafe.Pointer(&d[0]), len(d), w, l.n, k)
		x, y = unsafe.Add(x, k*l.n*4), unsafe.Add(y, k*4)
	}
}

func (l *reduceLong) Chunk(lo, hi int) {
	for j := lo; j < hi; j++ {
		at := j * reduceGrain
		l.r.piece(unsafe.Add(l.part, j*l.acc), unsafe.Add(l.x.p, at*l.size), min(reduceGrain, l.n-at))
	}
}

// columns: the innermost dimension stays.
func (l reduceLoop) columns(p par.P) {
	if len(l.red.sizes) == 1 && l.outs*l.n <= 1<<14 && l.outs*l.runs*l.n >= 4*reduceGrain && l.r.paneled() {
		l.few(p)
		return
	}
	l.chunks = (l.n + reduceCols - 1) / reduceCols
	par.Run(p, l.outs*l.chunks, 1+reduceGrain/(min(l.n, reduceCols)*l.runs), par.With(reduceColumns(l)))
}

type reduceColumns reduceLoop

func (l *reduceColumns) Chunk(lo, hi int) {
	mem, pool := borrow[reduceMemory]()
	defer pool.Put(mem)
	acc := mem.of(reduceCols, l.acc)
	mem.walk = l.red.at(0)
	for t := lo; t < hi; t++ {
		o, j := t/l.chunks, t%l.chunks*reduceCols
		base := l.kept.at(o).off + j
		l.r.columns(unsafe.Add(l.y, (o*l.n+j)*l.size), acc, unsafe.Add(l.x.p, base*l.size), l.x.n-base, &mem.walk, l.runs, min(l.n-j, reduceCols))
	}
}

// few is columns where there are few results of many rows: chunks of the rows
// are reduced in parallel and joined in order.
func (l reduceLoop) few(p par.P) {
	n := l.n
	l.per = max(panelRows, reduceGrain/n)
	l.chunks = (l.runs + l.per - 1) / l.per
	mem, pool := borrow[reduceMemory]()
	defer pool.Put(mem)
	l.part = mem.of(l.outs*l.chunks*n, l.acc)
	l.r.clear(l.part, l.outs*l.chunks*n)
	par.Run(p, l.outs*l.chunks, 1, par.With(reduceFew(l)))
	for o := range l.outs {
		for j := range n {
			a := unsafe.Add(l.part, (o*l.chunks*n+j)*l.acc)
			for i := 1; i < l.chunks; i++ {
				l.r.merges(a, unsafe.Add(a, i*n*l.acc), 1)
			}
			l.r.finish(unsafe.Add(l.y, (o*n+j)*l.size), a, l.runs)
		}
	}
}

type reduceFew reduceLoop

func (l *reduceFew) Chunk(lo, hi int) {
	for t, n := lo, l.n; t < hi; t++ {
		first := t % l.chunks * l.per
		base := l.kept.at(t/l.chunks).off + first*l.red.strides[0]
		for j := 0; j < n; j += reduceCols {
			l.r.panels(unsafe.Add(l.part, (t*n+j)*l.acc), unsafe.Add(l.x.p, (base+j)*l.size), l.x.n-base-j,
				min(reduceCols, n-j), min(l.per, l.runs-first), l.red.strides[0])
		}
	}
}
