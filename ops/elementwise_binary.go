package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// pair holds the loops of a function of two arguments: over two vectors, and
// over a vector and a scalar. dst may be a vector argument of the same type.
type pair[A, B, R tensor.Element] struct {
	vv func(dst []R, a []A, b []B)
	vs func(dst []R, a []A, b B)
	sv func(dst []R, a A, b []B)
	// rows, unless nil, are the loops of float32 over many rows at once.
	rows *vec.Arith
}

// zipVV, zipVS and zipSV inline into a caller that gives them a function
// literal, and the literal into them, so that the loop has no call.

func zipVV[A, B, R any](dst []R, a []A, b []B, f func(A, B) R) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = f(a[i], b[i])
	}
}

func zipVS[A, B, R any](dst []R, a []A, b B, f func(A, B) R) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = f(a[i], b)
	}
}

func zipSV[A, B, R any](dst []R, a A, b []B, f func(A, B) R) {
	b = b[:len(dst)]
	for i := range dst {
		dst[i] = f(a, b[i])
	}
}

// pairOf makes the loops that call f for every element: for functions that
// cost more than a call.
//
//go:noinline
func pairOf[A, B, R tensor.Element](f func(A, B) R) pair[A, B, R] {
	return pair[A, B, R]{
		vv: func(d []R, a []A, b []B) { zipVV(d, a, b, f) },
		vs: func(d []R, a []A, b B) { zipVS(d, a, b, f) },
		sv: func(d []R, a A, b []B) { zipSV(d, a, b, f) },
	}
}

// shortRow is the length of innermost runs below which a broadcast operand is
// written out instead of calling a loop per run.
const shortRow = 48

// run computes dst = f(a, b), where a and b broadcast to dst as w plans.
func (f *pair[A, B, R]) run(c *Call, w *bcast, dst []R, a []A, b []B) {
	if f.rows != nil && w.n > 0 && w.inner < 2*grain && f.runRows(c, w, dst, a, b) {
		return
	}
	if w.inner < shortRow && w.n > w.inner {
		f.runShort(c, w, dst, a, b)
		return
	}
	walk := State[pairWalk[A, B, R]](c)
	*walk = pairWalk[A, B, R]{f, dst, a, b, w.step(0), w.step(1)}
	w.parts(c.P, walk)
	*walk = pairWalk[A, B, R]{}
}

// pairWalk is a function of two operands that are read with steps of 0 or 1.
type pairWalk[A, B, R tensor.Element] struct {
	f      *pair[A, B, R]
	dst    []R
	a      []A
	b      []B
	sa, sb int
}

// part computes n elements of one row from o on, whose operands begin at i and j.
func (p *pairWalk[A, B, R]) part(o, n, i, j int) {
	d := p.dst[o : o+n]
	switch {
	case p.sa == 1 && p.sb == 1:
		p.f.vv(d, p.a[i:i+n], p.b[j:j+n])
	case p.sa == 1:
		p.f.vs(d, p.a[i:i+n], p.b[j])
	case p.sb == 1:
		p.f.sv(d, p.a[i], p.b[j:j+n])
	default:
		p.f.vs(d[:1], p.a[i:i+1], p.b[j])
		for i := range d[1:] {
			d[1+i] = d[0]
		}
	}
}

// runRows computes whole groups of rows, the two innermost dimensions, at a
// time. It reports whether it did: not where groups are tiny.
func (f *pair[A, B, R]) runRows(c *Call, w *bcast, dst []R, a []A, b []B) bool {
	last := len(w.dims) - 1
	group, stepA, stepB := 1, 0, 0
	if last > 0 {
		group, stepA, stepB = w.dims[last-1], w.strides[0][last-1], w.strides[1][last-1]
	}
	if w.n > w.inner*group && w.inner*group < shortRow {
		return false
	}
	loop := f.rows.RowsVV
	switch {
	case w.step(0) == 0 && w.step(1) == 0:
		return false
	case w.step(0) == 0:
		loop = f.rows.RowsSV
	case w.step(1) == 0:
		loop = f.rows.RowsVS
	}
	d, x, y := any(dst).([]float32), any(a).([]float32), any(b).([]float32)
	par.Each(c.P, w.n/w.inner, max(1, grain/w.inner), rowGroups{w, loop, d, x, y, group, stepA, stepB}, (*rowGroups).run)
	return true
}

// rowGroups is a function of float32 over groups of rows.
type rowGroups struct {
	w                   *bcast
	loop                func(dst, a, b []float32, n, rows, stepA, stepB int)
	d, x, y             []float32
	group, stepA, stepB int
}

func (g *rowGroups) run(lo, hi int) {
	n := g.w.inner
	for r := lo; r < hi; {
		count := min(g.group-r%g.group, hi-r)
		var off [maxOperands]int
		g.w.seek(r, &off, nil)
		g.loop(g.d[r*n:], g.x[off[0]:], g.y[off[1]:], n, count, g.stepA, g.stepB)
		r += count
	}
}

func (f *pair[A, B, R]) runShort(c *Call, w *bcast, dst []R, a []A, b []B) {
	par.Run(c.P, w.n, grain, pairShort[A, B, R]{f, w, dst, a, b})
}

// pairShort is a function of two operands of which those that are broadcast are
// written out first.
type pairShort[A, B, R tensor.Element] struct {
	f   *pair[A, B, R]
	w   *bcast
	dst []R
	a   []A
	b   []B
}

type pairBlocks[A, B tensor.Element] struct {
	a [block]A
	b [block]B
}

func (p *pairShort[A, B, R]) Chunk(lo, hi int) {
	mem, pool := borrow[pairBlocks[A, B]]()
	defer pool.Put(mem)
	ba, bb := &mem.a, &mem.b
	for ; lo < hi; lo += block {
		n := min(block, hi-lo)
		va, vb := ba[:n], bb[:n]
		if len(p.a) == p.w.n {
			va = p.a[lo : lo+n]
		} else {
			expand(p.w, 0, lo, va, p.a)
		}
		if len(p.b) == p.w.n {
			vb = p.b[lo : lo+n]
		} else {
			expand(p.w, 1, lo, vb, p.b)
		}
		p.f.vv(p.dst[lo:lo+n], va, vb)
	}
}

// kernel is the kernel of f over inputs 0 and 1 with broadcasting.
func (f pair[A, B, R]) kernel() Kernel { return checkedKernel(f, nil) }

// checkedKernel is kernel with a look at the operands before the loop; check
// is not called if the output is empty.
func checkedKernel[A, B, R tensor.Element](f pair[A, B, R], check func(a []A, b []B) error) Kernel {
	da, db, dr := tensor.DTypeOf[A](), tensor.DTypeOf[B](), tensor.DTypeOf[R]()
	return func(c *Call) error {
		x, y, err := operands(c, da, db)
		if err != nil {
			return err
		}
		xs, ys := x.Shape(), y.Shape()
		a, b := tensor.Data[A](x), tensor.Data[B](y)
		shape := xs
		same := slices.Equal(xs, ys)
		if !same {
			if shape, err = c.broadcast(xs, ys); err != nil {
				return err
			}
		}
		if n, err := tensor.Count(shape); err == nil && n > 0 && check != nil {
			if err := check(a, b); err != nil {
				return err
			}
		}
		dst := tensor.Data[R](c.Output(0, dr, shape...))
		switch {
		case len(dst) <= grain && len(a) == len(dst) && len(b) == len(dst): // without a closure, for the many small tensors
			f.vv(dst, a, b)
		case len(dst) <= grain && len(dst) > 0 && len(a) == len(dst) && len(b) == 1:
			f.vs(dst, a, b[0])
		case len(dst) <= grain && len(dst) > 0 && len(a) == 1 && len(b) == len(dst):
			f.sv(dst, a[0], b)
		case same || len(a) == len(dst) && len(b) == len(dst):
			flatParts(c, &f, dst, a, b, 1, 1)
		case len(b) == 1:
			flatParts(c, &f, dst, a, b, 1, 0)
		case len(a) == 1:
			flatParts(c, &f, dst, a, b, 0, 1)
		default:
			f.run(c, State[bcast](c).plan(shape, xs, ys), dst, a, b)
		}
		return nil
	}
}

// flatParts computes dst in parts: operands are read with steps of 0 or 1.
func flatParts[A, B, R tensor.Element](c *Call, f *pair[A, B, R], dst []R, a []A, b []B, sa, sb int) {
	walk := State[pairWalk[A, B, R]](c)
	*walk = pairWalk[A, B, R]{f, dst, a, b, sa, sb}
	par.Each(c.P, len(dst), grain, flatPart{walk, sa, sb}, (*flatPart).run)
	*walk = pairWalk[A, B, R]{}
}

type flatPart struct {
	of     parter
	sa, sb int
}

func (p *flatPart) run(lo, hi int) { p.of.part(lo, hi-lo, lo*p.sa, lo*p.sb) }

// operands returns inputs 0 and 1, which must have the given element types.
func operands(c *Call, da, db tensor.DType) (a, b *tensor.Tensor, err error) {
	a, b = c.T(0), c.T(1)
	switch {
	case a == nil:
		return nil, nil, fmt.Errorf("input 0 is absent")
	case b == nil:
		return nil, nil, fmt.Errorf("input 1 is absent")
	case a.DType() != da:
		return nil, nil, unsupportedType(0, a.DType())
	case b.DType() != db:
		return nil, nil, fmt.Errorf("input 1 is %v, want %v as input 0 is %v", b.DType(), db, da)
	}
	return a, b, nil
}

// widenPair makes the loops over half precision floats from those over float32.
func widenPair[H half](f pair[float32, float32, float32], round func(float32) H) pair[H, H, H] {
	narrow := func(dst []H, x []float32) {
		for i, v := range x[:len(dst)] {
			dst[i] = round(v)
		}
	}
	return halfPair[H](f, func(w *buffers) []float32 { return w.d[:] }, narrow)
}

// halfPair makes the loops over half precision floats from those over float32
// whose results R go through scratch and finish into dst.
func halfPair[H half, S, R tensor.Element](f pair[float32, float32, S], scratch func(*buffers) []S, finish func(dst []R, x []S)) pair[H, H, R] {
	widen := func(dst []float32, x []H) []float32 {
		for i, v := range x {
			dst[i] = v.Float32()
		}
		return dst[:len(x)]
	}
	blocks := func(n int, do func(w *buffers, lo, hi int)) {
		w := bufferPool.Get().(*buffers)
		defer bufferPool.Put(w)
		for lo := 0; lo < n; lo += block {
			do(w, lo, min(lo+block, n))
		}
	}
	return pair[H, H, R]{
		vv: func(d []R, a, b []H) {
			blocks(len(d), func(w *buffers, lo, hi int) {
				s := scratch(w)[:hi-lo]
				f.vv(s, widen(w.a[:], a[lo:hi]), widen(w.b[:], b[lo:hi]))
				finish(d[lo:hi], s)
			})
		},
		vs: func(d []R, a []H, b H) {
			v := b.Float32()
			blocks(len(d), func(w *buffers, lo, hi int) {
				s := scratch(w)[:hi-lo]
				f.vs(s, widen(w.a[:], a[lo:hi]), v)
				finish(d[lo:hi], s)
			})
		},
		sv: func(d []R, a H, b []H) {
			v := a.Float32()
			blocks(len(d), func(w *buffers, lo, hi int) {
				s := scratch(w)[:hi-lo]
				f.sv(s, v, widen(w.b[:], b[lo:hi]))
				finish(d[lo:hi], s)
			})
		},
	}
}

// widenCompare makes the loops of a comparison of half precision floats from
// those over float32.
func widenCompare[H half](f pair[float32, float32, bool]) pair[H, H, bool] {
	return halfPair[H](f, func(w *buffers) []bool { return w.m[:] }, func(dst, x []bool) { copy(dst, x) })
}

// floatPairs are the kernels of a function of two floats of the same type.
func floatPairs(f32 pair[float32, float32, float32], f64 pair[float64, float64, float64]) byType {
	return byType{
		tensor.Float32:  f32.kernel(),
		tensor.Float64:  f64.kernel(),
		tensor.Float16:  widenPair(f32, tensor.F16Of).kernel(),
		tensor.BFloat16: widenPair(f32, tensor.BF16Of).kernel(),
	}
}

// binaryVersions are the versions of a binary operator with broadcasting by
// the attributes broadcast and axis before opset 7, and by shape since. d is
// the element type of the output; Undefined: that of the inputs.
func binaryVersions(since int, d tensor.DType, build func(*BuildContext) (Kernel, error)) []Version {
	place := []int{0, 1}
	infer := inferArith
	if d != tensor.Undefined {
		infer = func(c *InferContext) error { return inferBroadcastTo(c, d) }
	}
	if since >= 7 {
		return []Version{{Since: since, In: N(2), Out: N(1), InPlace: place, Infer: infer, Build: build}}
	}
	old := func(b *BuildContext) (Kernel, error) {
		k, err := build(b)
		if err != nil {
			return nil, err
		}
		return legacyBroadcast(b, k), nil
	}
	return []Version{
		{Since: since, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferLegacy(d), Build: old},
		{Since: 7, In: N(2), Out: N(1), InPlace: place, Infer: infer, Build: build},
	}
}
