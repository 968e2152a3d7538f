package nhwc

import (
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// A transposed convolution to few channels would fill a small part of the
// vectors of a tile. Its taps are the rows of one product instead, whose columns
// are the pixels of X. A line of Y is added up in planes of all stride·m elements that lie
// so far apart: in one plane, what a tap gives for neighbouring pixels are neighbours.

// scatters reports whether a transposed convolution is computed that way.
func scatters(t *Table, m, c, group int, kernel, strides, dilations []int) bool {
	d := len(kernel) - 1
	if t.products == nil || group != 1 || m*c == 0 || d > 1 || dilations[d] != 1 {
		return false
	}
	taps, lanes := product(kernel), t.Lanes[len(t.Lanes)-1]
	whole := func(n int) int { return (n + lanes - 1) / lanes * lanes }
	// A product of matrices takes half as long again as the tiles do, and in the time of
	// some products a sum is added to Y.
	const add = 8
	return taps*whole(m)*c > taps*m*(c+c/2+add)
}

// packTaps returns w[c, m, taps] as [taps, m, c].
func packTaps[T Float](w []T, m, c, taps int) []T {
	b := make([]T, len(w))
	for i := range c {
		for o := range m {
			for k, v := range w[(i*m+o)*taps:][:taps] {
				b[(k*m+o)*c+i] = v
			}
		}
	}
	return b
}

// scatter is such a convolution in progress.
type scatter[T Float] struct {
	*Args[T]
	shape
	sums   int // of a pixel: taps·m
	planes int // of a line: stride·m
	lead   int // elements of a plane before the first that a pixel gives: negative padding
	length int // of a plane
	lines  int // lines of Y that are computed together
	blocks int // of an image
	do     func(lo, hi int)
}

// scatterBlock is what the computation of one block uses.
type scatterBlock[T Float] struct {
	mul          gemm.Args[T]
	sums, planes []T
}

var scatterPools, scatterBlockPools [2]sync.Pool

func scattered[T Float](p par.P, a *Args[T], s *shape) {
	which := unsafe.Sizeof(*new(T)) / 8
	r, ok := scatterPools[which].Get().(*scatter[T])
	if !ok {
		r = &scatter[T]{}
		r.do = r.doBlocks
	}
	*r = scatter[T]{Args: a, shape: *s, sums: product3(s.kernel) * a.W.M, planes: s.stride[2] * a.W.M, do: r.do}
	r.lead = max(ceil(-s.before[2], s.stride[2]), 0)
	r.length = r.lead + max(s.out[2]+(s.kernel[2]-1)/s.stride[2], ceil(s.in[2]+s.before[2], s.stride[2]))
	lines, width, st := s.in[1], s.out[2], s.stride[1]
	// Neighbouring blocks both compute the pixels that they share.
	shared := ((s.kernel[1]-1)*s.dil[1] + st - 1) / st
	const cache, task, most = 1 << 20, 1 << 21, 16
	fit := cache/max(width*r.sums*int(unsafe.Sizeof(*new(T))), 1) - shared
	want := min(max(s.out[1]*width*r.sums*a.W.C/task, 1), most)
	r.lines = max(min(fit, (lines/st+want-1)/want), 8*shared, 1) * st
	r.blocks = (lines + r.lines - 1) / r.lines
	p.For(a.N*r.blocks, 1, r.do)
	*r = scatter[T]{do: r.do}
	scatterPools[which].Put(r)
}

func (r *scatter[T]) doBlocks(lo, hi int) {
	pool := &scatterBlockPools[unsafe.Sizeof(*new(T))/8]
	b, ok := pool.Get().(*scatterBlock[T])
	if !ok {
		b = &scatterBlock[T]{}
	}
	for i := lo; i < hi; i++ {
		first := i % r.blocks * r.lines
		r.block(b, i/r.blocks, first, min(first+r.lines, r.in[1]))
	}
	b.mul = gemm.Args[T]{}
	pool.Put(b)
}

// block computes lines [y0, y1) of an image of Y.
func (r *scatter[T]) block(b *scatterBlock[T], image, y0, y1 int) {
	width, st, dil, before, c := r.out[2], r.stride[1], r.dil[1], r.before[1], r.W.C
	// Line i of X goes to lines i·st + k·dil - before of Y.
	i0 := max(ceil(y0+before-(r.kernel[1]-1)*dil, st), 0)
	i1 := max(min(ceil(y1+before, st), r.out[1]), i0)
	pixels := (i1 - i0) * width
	if pixels > 0 {
		b.sums = atLeast(b.sums, pixels*r.sums)
		x := r.X[(image*r.out[1]+i0)*width*c:][:pixels*c]
		b.mul = gemm.Args[T]{M: r.sums, N: pixels, K: c, A: r.W.taps, ARS: c, ACS: 1, B: x, BRS: 1, BCS: c, C: b.sums, LDC: pixels, Table: r.Table.products}
		gemm.Run(par.P{Threads: 1}, &b.mul)
	}
	b.planes = atLeast(b.planes, r.planes*r.length)
	n := r.in[2] * r.W.M
	for line := y0; line < y1; line++ {
		at := (image*r.in[1] + line) * n
		y := r.Y[at : at+n]
		planes := b.planes[:r.planes*r.length]
		r.begin(planes)
		for k := range r.kernel[1] {
			if i := line + before - k*dil; pixels > 0 && i >= i0*st && i < i1*st && i%st == 0 {
				r.add(planes, b.sums, k*r.kernel[2]*r.W.M, (i/st-i0)*width, pixels)
			}
		}
		r.join(y, planes, at)
		if r.Clamp {
			for j, v := range y {
				y[j] = min(max(v, r.Lo), r.Hi)
			}
		}
		if r.Act != nil {
			r.Act(y)
		}
	}
}

// atLeast returns s if it has n elements, or new memory.
func atLeast[T any](s []T, n int) []T {
	if len(s) < n {
		return make([]T, n)
	}
	return s
}

// add adds to planes what one row of the kernel, whose sums begin in a row, gives for a line of X, which is in columns from col on.
func (r *scatter[T]) add(planes, sums []T, row, col, pixels int) {
	width := r.out[2]
	for j := range r.kernel[2] * r.W.M {
		to := planes[j%r.planes*r.length+r.lead+j/r.planes:][:width]
		from := sums[(row+j)*pixels+col:][:width]
		if f, ok := any(to).([]float32); ok && r.Table.vectors != nil {
			r.Table.vectors.Add(f, f, any(from).([]float32))
			continue
		}
		for i, v := range from {
			to[i] += v
		}
	}
}

// join writes planes to a line of Y, which begins with element first: element i of plane j goes
// to (i-lead)·planes + j - before·m.
func (r *scatter[T]) join(y, planes []T, first int) {
	n := r.planes
	for j := range n {
		plane, at := planes[j*r.length:(j+1)*r.length], j-r.before[2]*r.W.M-r.lead*n
		if at < 0 {
			skip := ceil(-at, n)
			plane, at = plane[min(skip, len(plane)):], at+skip*n
		}
		plane = plane[:max(min(ceil(len(y)-at, n), len(plane)), 0)]
		if r.Z == nil {
			for _, v := range plane {
				y[at] = v
				at += n
			}
			continue
		}
		for _, v := range plane {
			y[at] = v + r.Z[first+at]
			at += n
		}
	}
}

// ceil returns a/b rounded up.
func ceil(a, b int) int {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}

// begin sets planes to the bias.
func (r *scatter[T]) begin(planes []T) {
	if r.B == nil {
		clear(planes)
		return
	}
	for j := range r.planes {
		plane, v := planes[j*r.length:(j+1)*r.length], r.B[j%r.W.M]
		for i := range plane {
			plane[i] = v
		}
	}
}
