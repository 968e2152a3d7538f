package ops

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// pairLoops is a pair whose element types are erased: the walk over shapes is
// compiled once and not for each of dozens of combinations of types, which would be
// megabytes of a program.
type pairLoops struct {
	da, db, dr          tensor.DType
	sizeA, sizeB, sizeR int // bytes of an element
	// The loops of pair over n elements of dst. Scalars are given by their place.
	vv, vs, sv func(dst, a, b unsafe.Pointer, n int)
	check      func(a, b vector) error
	rows       *vec.Rows
}

// as returns l for operands of another type of the same size, for what does the same
// to signed and unsigned integers. Results that have the operands' type change with it.
func (l pairLoops) as(d tensor.DType) pairLoops {
	if d.Bits() != l.da.Bits() || l.da != l.db {
		panic(fmt.Sprintf("ops: loops of %v and %v used for %v", l.da, l.db, d))
	}
	if l.dr == l.da {
		l.dr = d
	}
	l.da, l.db = d, d
	return l
}

// wrappingKernels are the kernels of a function that does the same to the bits of
// signed and unsigned integers.
func wrappingKernels(p8, p16, p32, p64 pairLoops) byType {
	return integerPairs(
		p8.as(tensor.Int8).kernel(), p16.as(tensor.Int16).kernel(), p32.as(tensor.Int32).kernel(), p64.as(tensor.Int64).kernel(),
		p8.as(tensor.Uint8).kernel(), p16.as(tensor.Uint16).kernel(), p32.as(tensor.Uint32).kernel(), p64.as(tensor.Uint64).kernel())
}

// vector is the storage of n elements.
type vector struct {
	p unsafe.Pointer
	n int
}

func vectorOf(t *tensor.Tensor) vector {
	if t.DType() == tensor.String {
		return vector{unsafe.Pointer(unsafe.SliceData(tensor.Data[string](t))), t.Len()}
	}
	return vector{unsafe.Pointer(unsafe.SliceData(t.Bytes())), t.Len()}
}

// kernel is the kernel of l over inputs 0 and 1 with broadcasting.
//
//go:noinline
func (l pairLoops) kernel() Kernel {
	return func(c *Call) error {
		x, y, err := operands(c, l.da, l.db)
		if err != nil {
			return err
		}
		xs, ys := x.Shape(), y.Shape()
		a, b := vectorOf(x), vectorOf(y)
		shape := xs
		same := slices.Equal(xs, ys)
		if !same {
			if shape, err = c.broadcast(xs, ys); err != nil {
				return err
			}
		}
		if n, err := tensor.Count(shape); err == nil && n > 0 && l.check != nil {
			if err := l.check(a, b); err != nil {
				return err
			}
		}
		dst := vectorOf(c.Output(0, l.dr, shape...))
		switch {
		case dst.n == 0:
		case dst.n <= grain && a.n == dst.n && b.n == dst.n: // at once, for the many small tensors
			l.vv(dst.p, a.p, b.p, dst.n)
		case dst.n <= grain && a.n == dst.n && b.n == 1:
			l.vs(dst.p, a.p, b.p, dst.n)
		case dst.n <= grain && a.n == 1 && b.n == dst.n:
			l.sv(dst.p, a.p, b.p, dst.n)
		case a.n == dst.n && b.n == dst.n:
			l.flatParts(c, dst, a, b, 1, 1)
		case b.n == 1:
			l.flatParts(c, dst, a, b, 1, 0)
		case a.n == 1:
			l.flatParts(c, dst, a, b, 0, 1)
		default:
			l.run(c, State[bcast](c).plan(shape, xs, ys), dst, a, b)
		}
		return nil
	}
}

// shortRow is the length of innermost runs below which a broadcast operand is
// written out instead of calling a loop per run.
const shortRow = 48

// run computes dst = f(a, b), where a and b broadcast to dst as w plans.
func (l *pairLoops) run(c *Call, w *bcast, dst, a, b vector) {
	if l.rows != nil && w.n > 0 && w.inner < 2*grain && l.runRows(c, w, dst, a, b) {
		return
	}
	if w.inner < shortRow && w.n > w.inner && l.da != tensor.String && l.db != tensor.String {
		par.Run(c.P, w.n, grain, par.With(pairShort{l, w, dst, a, b}))
		return
	}
	walk := State[pairWalk](c)
	*walk = pairWalk{l, dst.p, a.p, b.p, w.step(0), w.step(1)}
	w.parts(c.P, walk)
	*walk = pairWalk{}
}

// pairWalk is a function of two operands that are read with steps of 0 or 1.
type pairWalk struct {
	l         *pairLoops
	dst, a, b unsafe.Pointer
	sa, sb    int
}

// part computes n elements of one row from o on, whose operands begin at i and j.
func (p *pairWalk) part(o, n, i, j int) {
	l := p.l
	d, a, b := unsafe.Add(p.dst, o*l.sizeR), unsafe.Add(p.a, i*l.sizeA), unsafe.Add(p.b, j*l.sizeB)
	switch {
	case n == 0:
	case p.sa == 1 && p.sb == 1:
		l.vv(d, a, b, n)
	case p.sa == 1:
		l.vs(d, a, b, n)
	case p.sb == 1:
		l.sv(d, a, b, n)
	default: // results are of one word or less
		l.vs(d, a, b, 1)
		row := unsafe.Slice((*byte)(d), n*l.sizeR)
		for k := l.sizeR; k < len(row); k *= 2 {
			copy(row[k:], row[:k])
		}
	}
}

// runRows computes whole groups of rows, the two innermost dimensions, at a
// time. It reports whether it did: not where groups are tiny.
func (l *pairLoops) runRows(c *Call, w *bcast, dst, a, b vector) bool {
	last := len(w.dims) - 1
	group, stepA, stepB := 1, 0, 0
	if last > 0 {
		group, stepA, stepB = w.dims[last-1], w.strides[0][last-1], w.strides[1][last-1]
	}
	if w.n > w.inner*group && w.inner*group < shortRow {
		return false
	}
	loop := l.rows.VV
	switch {
	case w.step(0) == 0 && w.step(1) == 0:
		return false
	case w.step(0) == 0:
		loop = l.rows.SV
	case w.step(1) == 0:
		loop = l.rows.VS
	}
	g := rowGroups{l, w, loop, dst.p, a.p, b.p, group, stepA, stepB, w.step(0) == w.step(1)}
	par.Each(c.P, w.n/w.inner, max(1, grain/w.inner), g, (*rowGroups).run)
	return true
}

// rowGroups is a function over groups of rows.
type rowGroups struct {
	l                   *pairLoops
	w                   *bcast
	loop                func(dst, a, b unsafe.Pointer, n, rows, stepA, stepB int)
	d, x, y             unsafe.Pointer
	group, stepA, stepB int
	both                bool // both operands have rows
}

func (g *rowGroups) run(lo, hi int) {
	n := g.w.inner
	for r := lo; r < hi; {
		count := min(g.group-r%g.group, hi-r)
		var off [maxOperands]int
		g.w.seek(r, &off, nil)
		g.rows(unsafe.Add(g.d, r*n*g.l.sizeR), unsafe.Add(g.x, off[0]*g.l.sizeA), unsafe.Add(g.y, off[1]*g.l.sizeB), n, count)
		r += count
	}
}

// rows computes rows of n elements. A row that meets many short ones that follow each other,
// such as the mean of colours, is repeated first, so that these are fewer and long.
func (g *rowGroups) rows(d, x, y unsafe.Pointer, n, rows int) {
	const room = 64
	l := g.l
	if again := room / n; g.both && again >= 4 && rows >= 2*again && min(g.stepA, g.stepB) == 0 && max(g.stepA, g.stepB) == n {
		buf, pool := borrow[[room]uint64]()
		defer pool.Put(buf)
		row, size := x, l.sizeA // both have the same
		if g.stepB == 0 {
			row = y
		}
		mem := unsafe.Slice((*byte)(unsafe.Pointer(buf)), room*8)
		for k := range again {
			copy(mem[k*n*size:], unsafe.Slice((*byte)(row), n*size))
		}
		long, whole := n*again, rows/again
		a, b, stepA, stepB := x, unsafe.Pointer(buf), long*size, 0
		if g.stepA == 0 {
			a, b, stepA, stepB = b, y, 0, stepA
		}
		g.loop(d, a, b, long, whole, stepA, stepB)
		if rows -= whole * again; rows == 0 {
			return
		}
		done := whole * long
		d = unsafe.Add(d, done*l.sizeR)
		if g.stepB == 0 {
			x = unsafe.Add(x, done*size)
		} else {
			y = unsafe.Add(y, done*size)
		}
	}
	g.loop(d, x, y, n, rows, g.stepA*l.sizeA, g.stepB*l.sizeB)
}

// pairShort is a function of two operands of numbers of which those that are broadcast
// are written out first.
type pairShort struct {
	l         *pairLoops
	w         *bcast
	dst, a, b vector
}

type pairBlocks [2][block]uint64

func (s *pairShort) Chunk(lo, hi int) {
	mem, pool := borrow[pairBlocks]()
	defer pool.Put(mem)
	l := s.l
	for ; lo < hi; lo += block {
		n := min(block, hi-lo)
		l.vv(unsafe.Add(s.dst.p, lo*l.sizeR), s.operand(0, lo, n, &mem[0], s.a, l.sizeA), s.operand(1, lo, n, &mem[1], s.b, l.sizeB), n)
	}
}

// operand returns where n elements of operand k, of the given size, are that the output
// from lo on meets: in the operand, or in mem.
func (s *pairShort) operand(k, lo, n int, mem *[block]uint64, src vector, size int) unsafe.Pointer {
	if src.n == s.w.n {
		return unsafe.Add(src.p, lo*size)
	}
	w, p := s.w, unsafe.Pointer(mem)
	switch size {
	case 1:
		expand(w, k, lo, unsafe.Slice((*uint8)(p), n), unsafe.Slice((*uint8)(src.p), src.n))
	case 2:
		expand(w, k, lo, unsafe.Slice((*uint16)(p), n), unsafe.Slice((*uint16)(src.p), src.n))
	case 4:
		expand(w, k, lo, unsafe.Slice((*uint32)(p), n), unsafe.Slice((*uint32)(src.p), src.n))
	default:
		expand(w, k, lo, mem[:n], unsafe.Slice((*uint64)(src.p), src.n))
	}
	return p
}

// flatParts computes dst in parts: operands are read with steps of 0 or 1.
func (l *pairLoops) flatParts(c *Call, dst, a, b vector, sa, sb int) {
	walk := State[pairWalk](c)
	*walk = pairWalk{l, dst.p, a.p, b.p, sa, sb}
	par.Each(c.P, dst.n, grain, flatPart{walk, sa, sb}, (*flatPart).run)
	*walk = pairWalk{}
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
