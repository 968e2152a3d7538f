package ops

import (
	"fmt"
	"math"
	"slices"

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
	short func(y, x []T, rows, stride int)     // sets results of up to panelRows rows; may be nil
	lines func(y, x []T, n int)                // sets results of contiguous sets of n elements, at most shortLine; may be nil
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
	return p.kernel(tensor.DTypeOf[T](), &r)
}

func (p reduceParams) kernel(d tensor.DType, r reduceLoops) Kernel {
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
		reduceInto(c.P, c.Output(0, d, shape...), x, w, r)
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

// split splits a shape of nonzero sizes into the dimensions that stay, those
// of mask, and the innermost one, of either sort. Neighbours of one sort are
// treated as one dimension, so that the innermost loops are as long as the
// layout allows.
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

// reduceAbs adds magnitudes of elements in A. Signs have no pattern: branches would take longer.
func reduceAbs[T reduceReal, A int64 | float64](done func(A, int) T) reducer[T, A] {
	return reducer[T, A]{
		row: func(a A, x []T) A {
			var s0, s1, s2, s3 A
			for ; len(x) >= 4; x = x[4:] {
				v0, v1, v2, v3 := A(x[0]), A(x[1]), A(x[2]), A(x[3])
				s0 += max(v0, -v0)
				s1 += max(v1, -v1)
				s2 += max(v2, -v2)
				s3 += max(v3, -v3)
			}
			for _, v := range x {
				s0 += max(A(v), -A(v))
			}
			return a + ((s0 + s1) + (s2 + s3))
		},
		cols: func(a []A, x []T) {
			for i, v := range x[:len(a)] {
				a[i] += max(A(v), -A(v))
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
			p0, p1, p2, p3 := A(1), A(1), A(1), A(1)
			for ; len(x) >= 4; x = x[4:] {
				p0 *= A(x[0])
				p1 *= A(x[1])
				p2 *= A(x[2])
				p3 *= A(x[3])
			}
			for _, v := range x {
				p0 *= A(v)
			}
			return a * ((p0 * p1) * (p2 * p3))
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
		b, c, d := a, a, a
		for ; len(x) >= 4; x = x[4:] {
			a, b, c, d = max(a, x[0]), max(b, x[1]), max(c, x[2]), max(d, x[3])
		}
		for _, v := range x {
			a = max(a, v)
		}
		return max(a, b, c, d)
	}
	return reducer[T, T]{
		zero: least, row: row,
		cols: func(a, x []T) {
			for i, v := range x[:len(a)] {
				a[i] = max(a[i], v)
			}
		},
		merge: func(a, b T) T { return max(a, b) },
		done:  func(a T, _ int) T { return a },
	}
}

// reduceSmallest is reduceLargest for the smallest element.
func reduceSmallest[T reduceReal](most T) reducer[T, T] {
	row := func(a T, x []T) T {
		b, c, d := a, a, a
		for ; len(x) >= 4; x = x[4:] {
			a, b, c, d = min(a, x[0]), min(b, x[1]), min(c, x[2]), min(d, x[3])
		}
		for _, v := range x {
			a = min(a, v)
		}
		return min(a, b, c, d)
	}
	return reducer[T, T]{
		zero: most, row: row,
		cols: func(a, x []T) {
			for i, v := range x[:len(a)] {
				a[i] = min(a[i], v)
			}
		},
		merge: func(a, b T) T { return min(a, b) },
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
