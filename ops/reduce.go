package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// reducer says how a set of elements T becomes one, through an accumulator A.
// Its functions take runs of elements, so that a call is paid per run.
type reducer[T tensor.Element, A any] struct {
	zero  A                                    // the accumulator of no elements
	row   func(a A, x []T) A                   // adds all of x to a
	cols  func(a []A, x []T)                   // adds x[i] to a[i]; len(x) == len(a)
	panel func(a []A, x []T, rows, stride int) // cols for rows that begin stride elements apart; may be nil
	merge func(a, b A) A                       // joins the accumulators of two sets, a's elements first
	done  func(a A, n int) T                   // the result of a set of n elements
}

// reduceParams are the attributes of a reduction.
type reduceParams struct {
	axes  []int // the attribute; nil: all
	input bool  // axes are input 1
	keep  bool  // reduced dimensions stay, with size 1
	noop  bool  // no axes means that no dimension is reduced
}

// reduceVersions is the version table of a reduction whose axes are an input
// since the given opset; join is the operator on two sizes, for those that
// shape arithmetic uses, else nil. 11 allowed negative axes, and other versions between
// only widened the types.
func reduceVersions(input int, build func(*BuildContext, reduceParams) (Kernel, error), join func(a, b onnx.Dim) onnx.Dim) []Version {
	make := func(since int) Version {
		v := Version{Since: since, In: N(1), Out: N(1)}
		v.Infer = func(c *InferContext) error { return inferReduce(c, since >= input, join) }
		if since >= input {
			v.In = Arity{1, 2}
		}
		v.Build = func(b *BuildContext) (Kernel, error) {
			return build(b, readReduceParams(&b.attrs, since >= input))
		}
		return v
	}
	return []Version{make(1), make(input)}
}

func readReduceParams(a *attrs, input bool) reduceParams {
	p := reduceParams{input: input, keep: a.Bool("keepdims", true)}
	if input {
		p.noop = a.Bool("noop_with_empty_axes", false)
	} else {
		p.axes = a.Ints("axes", nil)
	}
	return p
}

// mask returns which dimensions of a tensor of the given rank are reduced.
func (p reduceParams) mask(axes []int, rank int) ([]bool, error) {
	return p.maskInto(make([]bool, rank), axes)
}

// maskInto is mask for a tensor of rank len(m).
func (p reduceParams) maskInto(m []bool, axes []int) ([]bool, error) {
	rank := len(m)
	clear(m)
	if len(axes) == 0 && !p.noop {
		for i := range m {
			m[i] = true
		}
	}
	for _, a := range axes {
		i, err := tensor.Axis(a, rank)
		if err != nil {
			return nil, err
		}
		m[i] = true
	}
	return m, nil
}

// inferReduce gives output 0 the reduced shape. join is the operator on two
// sizes, for those that shape arithmetic uses.
func inferReduce(c *InferContext, input bool, join func(a, b onnx.Dim) onnx.Dim) error {
	x := c.In(0)
	p := readReduceParams(&c.attrs, input)
	c.Out[0] = onnx.UnrankedType(x.DType)
	axes, known := p.axes, true
	if p.input && c.Has(1) {
		dims, ok := c.KnownInts(1)
		known, axes = ok, nil
		for _, d := range dims {
			n, ok := d.Size()
			known = known && ok
			axes = append(axes, n)
		}
	}
	if !x.Ranked {
		return nil
	}
	if !known {
		if p.keep {
			c.Out[0] = onnx.TensorType(x.DType, make([]onnx.Dim, len(x.Dims))...)
		}
		return nil
	}
	mask, err := p.mask(axes, len(x.Dims))
	if err != nil {
		return err
	}
	var dims []onnx.Dim
	for i, d := range x.Dims {
		switch {
		case !mask[i]:
			dims = append(dims, d)
		case p.keep:
			dims = append(dims, onnx.Size(1))
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	if vals, ok := c.KnownInts(0); ok && join != nil && len(x.Dims) == 1 && mask[0] && len(vals) > 0 {
		acc := vals[0]
		for _, d := range vals[1:] {
			acc = join(acc, d)
		}
		if acc.Known() {
			c.SetInts(0, []onnx.Dim{acc})
		}
	}
	return nil
}

// reduceKernel returns the kernel of a reduction of T.
func reduceKernel[T tensor.Element, A any](p reduceParams, r reducer[T, A]) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		axes := p.axes
		if p.input {
			var err error
			if axes, err = c.Ints(1); err != nil {
				return err
			}
		}
		w := State[reduceWalks](c)
		w.mask = slices.Grow(w.mask[:0], x.Rank())[:x.Rank()]
		mask, err := p.maskInto(w.mask, axes)
		if err != nil {
			return err
		}
		shape := c.Dims(x.Rank())[:0]
		for i, d := range x.Shape() {
			switch {
			case !mask[i]:
				shape = append(shape, d)
			case p.keep:
				shape = append(shape, 1)
			}
		}
		y := c.Output(0, tensor.DTypeOf[T](), shape...)
		reduceInto(c.P, tensor.Data[T](y), tensor.Data[T](x), x.Shape(), w, &r)
		return nil
	}
}

// reduceWalks is which dimensions are reduced, and the walks that come of it.
type reduceWalks struct {
	mask         []bool
	kept, red    reduceWalk
	inner        int
	innerReduced bool
}

// reduceWalk visits the offsets of a strided block in row-major order.
type reduceWalk struct {
	sizes, strides []int
	idx            indices
	off            int
}

// at returns a walk that stands at element i.
func (w reduceWalk) at(i int) reduceWalk {
	w.off, w.idx.many = 0, nil
	idx := w.idx.of(len(w.sizes))
	for k := len(w.sizes) - 1; k >= 0; k-- {
		idx[k] = i % w.sizes[k]
		i /= w.sizes[k]
		w.off += idx[k] * w.strides[k]
	}
	return w
}

func (w *reduceWalk) next() {
	idx := w.idx.of(len(w.sizes))
	for k := len(w.sizes) - 1; k >= 0; k-- {
		idx[k]++
		w.off += w.strides[k]
		if idx[k] < w.sizes[k] {
			return
		}
		w.off -= w.sizes[k] * w.strides[k]
		idx[k] = 0
	}
}

// count returns the number of elements of the block.
func (w *reduceWalk) count() int {
	n := 1
	for _, s := range w.sizes {
		n *= s
	}
	return n
}

const (
	reduceGrain = 1 << 15 // elements per chunk
	reduceCols  = 512     // accumulators per task where the innermost dimension stays
)

// splitMask splits a shape of nonzero sizes into the dimensions that stay, those
// of mask, and the innermost one, of either sort. Neighbours of one sort are
// treated as one dimension, so that the innermost loops are as long as the
// layout allows.
func splitMask(shape []int, mask []bool) (kept, red reduceWalk, inner int, innerReduced bool) {
	w := reduceWalks{mask: mask}
	w.split(shape)
	return w.kept, w.red, w.inner, w.innerReduced
}

// split is splitMask in memory that is used again.
func (ws *reduceWalks) split(shape []int) {
	for _, w := range [...]*reduceWalk{&ws.kept, &ws.red} {
		w.sizes, w.strides = w.sizes[:0], w.strides[:0]
	}
	inner, innerReduced := 1, false
	stride, open := 1, true
	for i := len(shape) - 1; i >= 0; i-- {
		n := shape[i]
		if n == 1 {
			continue
		}
		w := &ws.kept
		if ws.mask[i] {
			w = &ws.red
		}
		last := len(w.sizes) - 1
		switch {
		case stride == 1:
			inner, innerReduced = n, ws.mask[i]
		case open && ws.mask[i] == innerReduced:
			inner *= n
		case last >= 0 && w.sizes[last]*w.strides[last] == stride:
			open = false
			w.sizes[last] *= n
		default:
			open = false
			w.sizes, w.strides = append(w.sizes, n), append(w.strides, stride)
		}
		stride *= n
	}
	for _, w := range [...]*reduceWalk{&ws.kept, &ws.red} { // outermost first
		reverse(w.sizes)
		reverse(w.strides)
	}
	ws.inner, ws.innerReduced = inner, innerReduced
}

// reduceInto sets y to the reduction of x over the dimensions of w.mask.
func reduceInto[T tensor.Element, A any](p par.P, y, x []T, shape []int, w *reduceWalks, r *reducer[T, A]) {
	if len(y) == 0 {
		return
	}
	if len(x) == 0 {
		v := r.done(r.zero, 0)
		for i := range y {
			y[i] = v
		}
		return
	}
	w.split(shape)
	l := reduceLoop[T, A]{r: r, y: y, x: x, kept: w.kept, red: w.red, outs: w.kept.count(), runs: w.red.count(), n: w.inner}
	if w.innerReduced {
		l.rows(p)
	} else {
		l.columns(p)
	}
}

// reduceLoop reduces runs rows of n elements to each of outs results (the
// innermost dimension is reduced) or rows of n results (it stays).
type reduceLoop[T tensor.Element, A any] struct {
	r             *reducer[T, A]
	y, x          []T
	kept, red     reduceWalk
	outs, runs, n int
	part          []A // of chunks, where these are joined
	chunks, per   int
}

// rows: the innermost dimension is reduced.
func (l reduceLoop[T, A]) rows(p par.P) {
	if l.outs >= 16 || l.n < 2*reduceGrain {
		par.Run(p, l.outs, 1+reduceGrain/(l.runs*l.n), reduceRows[T, A](l))
		return
	}
	// Few long sets: chunks of a run are reduced in parallel and joined in order.
	mem, pool := borrow[[]A]()
	defer pool.Put(mem)
	l.chunks = (l.n + reduceGrain - 1) / reduceGrain
	*mem = slices.Grow((*mem)[:0], l.chunks)
	l.part = (*mem)[:l.chunks]
	for o, k := 0, l.kept.at(0); o < l.outs; o++ {
		a := l.r.zero
		for i, w := 0, l.red.at(0); i < l.runs; i++ {
			long := reduceLong[T, A](l)
			long.x = l.x[k.off+w.off:][:l.n]
			par.Run(p, l.chunks, 1, long)
			for _, b := range l.part {
				a = l.r.merge(a, b)
			}
			w.next()
		}
		l.y[o] = l.r.done(a, l.runs*l.n)
		k.next()
	}
}

type reduceRows[T tensor.Element, A any] reduceLoop[T, A]

func (l *reduceRows[T, A]) Chunk(lo, hi int) {
	k := l.kept.at(lo)
	w := l.red.at(0)
	for o := lo; o < hi; o++ {
		a := l.r.zero
		for range l.runs {
			a = l.r.row(a, l.x[k.off+w.off:][:l.n])
			w.next() // after the last run it stands at 0 again
		}
		l.y[o] = l.r.done(a, l.runs*l.n)
		k.next()
	}
}

// reduceLong reduces pieces of one row x to part.
type reduceLong[T tensor.Element, A any] reduceLoop[T, A]

func (l *reduceLong[T, A]) Chunk(lo, hi int) {
	for j := lo; j < hi; j++ {
		l.part[j] = l.r.row(l.r.zero, l.x[j*reduceGrain:min((j+1)*reduceGrain, l.n)])
	}
}

// columns: the innermost dimension stays.
func (l reduceLoop[T, A]) columns(p par.P) {
	if len(l.red.sizes) == 1 && l.outs*l.n <= 1<<14 && l.outs*l.runs*l.n >= 4*reduceGrain && l.r.panel != nil {
		l.few(p)
		return
	}
	l.chunks = (l.n + reduceCols - 1) / reduceCols
	par.Run(p, l.outs*l.chunks, 1+reduceGrain/(min(l.n, reduceCols)*l.runs), reduceColumns[T, A](l))
}

type reduceColumns[T tensor.Element, A any] reduceLoop[T, A]

func (l *reduceColumns[T, A]) Chunk(lo, hi int) {
	acc, pool := borrow[[reduceCols]A]()
	defer pool.Put(acc)
	n, r := l.n, l.r
	w := l.red.at(0)
	for t := lo; t < hi; t++ {
		o, j := t/l.chunks, t%l.chunks*reduceCols
		m := min(n-j, reduceCols)
		a := acc[:m]
		for i := range a {
			a[i] = r.zero
		}
		base := l.kept.at(o).off + j
		if last := len(w.sizes) - 1; r.panel != nil && last >= 0 {
			rows := w.sizes[last]
			for outer, i := (reduceWalk{sizes: w.sizes[:last], strides: w.strides[:last]}).at(0), 0; i < l.runs; i += rows {
				r.panel(a, l.x[base+outer.off:], rows, w.strides[last])
				outer.next()
			}
		} else {
			for range l.runs {
				r.cols(a, l.x[base+w.off:][:m])
				w.next()
			}
		}
		for i, v := range a {
			l.y[o*n+j+i] = r.done(v, l.runs)
		}
	}
}

// few is columns where there are few results of many rows: chunks of the rows
// are reduced in parallel and joined in order.
func (l reduceLoop[T, A]) few(p par.P) {
	n := l.n
	l.per = max(panelRows, reduceGrain/n)
	l.chunks = (l.runs + l.per - 1) / l.per
	mem, pool := borrow[[]A]()
	defer pool.Put(mem)
	*mem = slices.Grow((*mem)[:0], l.outs*l.chunks*n)
	l.part = (*mem)[:l.outs*l.chunks*n]
	for i := range l.part {
		l.part[i] = l.r.zero
	}
	par.Run(p, l.outs*l.chunks, 1, reduceFew[T, A](l))
	for o := range l.outs {
		all := l.part[o*l.chunks*n:][:l.chunks*n]
		for j := range n {
			a := all[j]
			for i := n + j; i < len(all); i += n {
				a = l.r.merge(a, all[i])
			}
			l.y[o*n+j] = l.r.done(a, l.runs)
		}
	}
}

type reduceFew[T tensor.Element, A any] reduceLoop[T, A]

func (l *reduceFew[T, A]) Chunk(lo, hi int) {
	for t, n := lo, l.n; t < hi; t++ {
		first := t % l.chunks * l.per
		base := l.kept.at(t/l.chunks).off + first*l.red.strides[0]
		for j := 0; j < n; j += reduceCols {
			m := min(reduceCols, n-j)
			l.r.panel(l.part[t*n+j:][:m], l.x[base+j:], min(l.per, l.runs-first), l.red.strides[0])
		}
	}
}

// reduceReal are the numbers that reductions compute with.
type reduceReal interface {
	float32 | float64 | int8 | uint8 | int32 | int64 | uint32 | uint64
}

func reduceAdd[A reduceReal](a, b A) A { return a + b }

// reduceSum adds elements in A. Four partial sums per run keep the adder busy.
func reduceSum[T, A reduceReal](done func(A, int) T) reducer[T, A] {
	return reducer[T, A]{
		row: func(a A, x []T) A {
			var s0, s1, s2, s3 A
			for ; len(x) >= 4; x = x[4:] {
				s0 += A(x[0])
				s1 += A(x[1])
				s2 += A(x[2])
				s3 += A(x[3])
			}
			for _, v := range x {
				s0 += A(v)
			}
			return a + ((s0 + s1) + (s2 + s3))
		},
		cols: func(a []A, x []T) {
			for i, v := range x[:len(a)] {
				a[i] += A(v)
			}
		},
		merge: reduceAdd[A], done: done,
	}
}

// reduceSquares adds squares of elements in A.
func reduceSquares[T, A reduceReal](done func(A, int) T) reducer[T, A] {
	return reducer[T, A]{
		row: func(a A, x []T) A {
			var s0, s1, s2, s3 A
			for ; len(x) >= 4; x = x[4:] {
				v0, v1, v2, v3 := A(x[0]), A(x[1]), A(x[2]), A(x[3])
				s0 += v0 * v0
				s1 += v1 * v1
				s2 += v2 * v2
				s3 += v3 * v3
			}
			for _, v := range x {
				s0 += A(v) * A(v)
			}
			return a + ((s0 + s1) + (s2 + s3))
		},
		cols: func(a []A, x []T) {
			for i, v := range x[:len(a)] {
				a[i] += A(v) * A(v)
			}
		},
		merge: reduceAdd[A], done: done,
	}
}

func reduceMagnitude[A reduceReal](v A) A {
	if v < 0 {
		return -v
	}
	return v
}

// reduceAbs adds magnitudes of elements in A.
func reduceAbs[T, A reduceReal](done func(A, int) T) reducer[T, A] {
	return reducer[T, A]{
		row: func(a A, x []T) A {
			for _, v := range x {
				a += reduceMagnitude(A(v))
			}
			return a
		},
		cols: func(a []A, x []T) {
			for i, v := range x[:len(a)] {
				a[i] += reduceMagnitude(A(v))
			}
		},
		merge: reduceAdd[A], done: done,
	}
}

// reduceProduct multiplies elements in A.
func reduceProduct[T, A reduceReal](done func(A, int) T) reducer[T, A] {
	return reducer[T, A]{
		zero: 1,
		row: func(a A, x []T) A {
			for _, v := range x {
				a *= A(v)
			}
			return a
		},
		cols: func(a []A, x []T) {
			for i, v := range x[:len(a)] {
				a[i] *= A(v)
			}
		},
		merge: func(a, b A) A { return a * b }, done: done,
	}
}

// reduceLargest takes the largest element; least is the result of no elements.
// A NaN among the elements is the result.
func reduceLargest[T reduceReal](least T) reducer[T, T] {
	row := func(a T, x []T) T {
		for _, v := range x {
			if v > a || v != v {
				a = v
			}
		}
		return a
	}
	return reducer[T, T]{
		zero: least, row: row,
		cols: func(a, x []T) {
			for i, v := range x[:len(a)] {
				if v > a[i] || v != v {
					a[i] = v
				}
			}
		},
		merge: func(a, b T) T { return row(a, []T{b}) },
		done:  func(a T, _ int) T { return a },
	}
}

// reduceSmallest is reduceLargest for the smallest element.
func reduceSmallest[T reduceReal](most T) reducer[T, T] {
	row := func(a T, x []T) T {
		for _, v := range x {
			if v < a || v != v {
				a = v
			}
		}
		return a
	}
	return reducer[T, T]{
		zero: most, row: row,
		cols: func(a, x []T) {
			for i, v := range x[:len(a)] {
				if v < a[i] || v != v {
					a[i] = v
				}
			}
		},
		merge: func(a, b T) T { return row(a, []T{b}) },
		done:  func(a T, _ int) T { return a },
	}
}

// reduceBool reports whether any element is v, and returns v then.
func reduceBool(v bool) reducer[bool, bool] {
	return reducer[bool, bool]{
		zero: !v,
		row: func(a bool, x []bool) bool {
			for _, e := range x {
				if e == v {
					return v
				}
			}
			return a
		},
		cols: func(a, x []bool) {
			for i, e := range x[:len(a)] {
				if e == v {
					a[i] = v
				}
			}
		},
		merge: func(a, b bool) bool {
			if b == v {
				return v
			}
			return a
		},
		done: func(a bool, _ int) bool { return a },
	}
}

// reduceLSE is a sum of exponentials, exp(max) * sum, that cannot overflow.
type reduceLSE struct{ max, sum float64 }

func (a reduceLSE) add(b reduceLSE) reduceLSE {
	switch {
	case a.max != a.max || b.sum == 0:
		return a
	case b.max != b.max || a.sum == 0:
		return b
	case math.IsInf(a.max, 1):
		return a
	case math.IsInf(b.max, 1):
		return b
	case a.max < b.max:
		a, b = b, a
	}
	return reduceLSE{a.max, a.sum + b.sum*math.Exp(b.max-a.max)}
}

func (a reduceLSE) log() float64 {
	if a.sum == 0 {
		return math.Inf(-1)
	}
	return a.max + math.Log(a.sum)
}

// reduceExp adds exponentials.
func reduceExp[T reduceReal](done func(reduceLSE, int) T) reducer[T, reduceLSE] {
	one := func(v T) reduceLSE {
		f := float64(v)
		if math.IsInf(f, -1) {
			return reduceLSE{}
		}
		return reduceLSE{f, 1}
	}
	return reducer[T, reduceLSE]{
		row: func(a reduceLSE, x []T) reduceLSE {
			if len(x) == 0 {
				return a
			}
			m := float64(x[0])
			for _, v := range x {
				if f := float64(v); f > m || f != f {
					m = f
				}
			}
			if m != m || math.IsInf(m, 0) {
				if math.IsInf(m, -1) {
					return a
				}
				return a.add(reduceLSE{m, 1})
			}
			s := 0.0
			for _, v := range x {
				s += math.Exp(float64(v) - m)
			}
			return a.add(reduceLSE{m, s})
		},
		cols: func(a []reduceLSE, x []T) {
			for i, v := range x[:len(a)] {
				a[i] = a[i].add(one(v))
			}
		},
		merge: reduceLSE.add, done: done,
	}
}

// reduceDone converts the accumulator.
func reduceDone[A, T reduceReal](a A, _ int) T { return T(a) }

// reduceFloats returns the kernels of a reduction for the floating-point types;
// float16 and bfloat16 are computed as float32 and rounded once.
func reduceFloats(f32, f64 Kernel) byType {
	half := throughFloat32(f32, 0)
	return byType{tensor.Float32: f32, tensor.Float64: f64, tensor.Float16: half, tensor.BFloat16: half}
}

// with adds a kernel for d to m.
func (m byType) with(d tensor.DType, k Kernel) byType {
	m[d] = k
	return m
}

// unreduced returns d, which has the shape of the result of a reduction whose
// axes are input 1, with the reduced dimensions as 1.
func (c *GradContext) unreduced(d *onnx.Value) *onnx.Value {
	if c.Attr.Bool("keepdims", true) {
		return d
	}
	x, axes := c.X(0), c.X(1)
	empty := axes == nil
	if axes != nil {
		if n, ok := axes.Type.Static(); ok && len(n) == 1 && n[0] == 0 {
			empty = true
		}
	}
	switch {
	case empty && c.Attr.Bool("noop_with_empty_axes", false):
		return d
	case empty:
		if !x.Type.Ranked {
			c.Fail(fmt.Errorf("data is %v, want a known rank", x.Type))
			return nil
		}
		ones := make([]int, len(x.Type.Dims))
		for i := range ones {
			ones[i] = 1
		}
		return c.Op("Reshape", nil, d, c.Ints(ones...))
	}
	return c.Op("Unsqueeze", nil, d, axes)
}
