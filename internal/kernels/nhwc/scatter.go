package nhwc

import (
	"sync"

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
	if t.products == nil || t.vectors == nil || group != 1 || m*c == 0 || d > 1 || dilations[d] != 1 {
		return false
	}
	taps, lanes := product(kernel), t.Lanes[0]
	whole := func(n int) int { return (n + lanes - 1) / lanes * lanes }
	// A product of matrices takes half as long again as the tiles do, and in the time of
	// some products a sum is added to Y.
	const add = 8
	return taps*whole(m)*c > taps*m*(c+c/2+add)
}

// packTaps returns w[c, m, taps] as [taps, m, c].
func packTaps(w []float32, m, c, taps int) []float32 {
	b := make([]float32, len(w))
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
type scatter struct {
	*Args[float32]
	shape
	sums   int   // of a pixel: taps·m
	planes int   // of a line: stride·m
	lead   int   // elements of a plane before the first that a pixel gives: negative padding
	length int   // of a plane
	lines  int   // lines of Y that are computed together
	blocks int   // of an image
	p      par.P // of products
	do     func(lo, hi int)
}

// scatterBlock is what the computation of one block uses.
type scatterBlock struct {
	mul          gemm.Args[float32]
	sums, planes []float32
}

var scatterPool, scatterBlockPool sync.Pool

func scattered(p par.P, a *Args[float32], s *shape) {
	r, ok := scatterPool.Get().(*scatter)
	if !ok {
		r = &scatter{}
		r.do = r.doBlocks
	}
	*r = scatter{Args: a, shape: *s, sums: product3(s.kernel) * a.W.M, planes: s.stride[2] * a.W.M, do: r.do}
	r.lead = max(ceil(-s.before[2], s.stride[2]), 0)
	r.length = r.lead + max(s.out[2]+(s.kernel[2]-1)/s.stride[2], ceil(s.in[2]+s.before[2], s.stride[2]))
	lines, width, st := s.in[1], s.out[2], s.stride[1]
	// Neighbouring blocks both compute the pixels that they share.
	shared := ((s.kernel[1]-1)*s.dil[1] + st - 1) / st
	const task, most = 1 << 21, 16
	fit := scatterCache/max(4*width*r.sums, 1) - shared
	want := min(max(s.out[1]*width*r.sums*a.W.C/task, 1), most)
	r.lines = max(min(fit, (lines/st+want-1)/want), 8*shared, 1) * st
	r.blocks = (lines + r.lines - 1) / r.lines
	if r.p.Threads = 1; a.N*r.blocks == 1 {
		r.p = p
	}
	p.For(a.N*r.blocks, 1, r.do)
	*r = scatter{do: r.do}
	scatterPool.Put(r)
}

func (r *scatter) doBlocks(lo, hi int) {
	b, ok := scatterBlockPool.Get().(*scatterBlock)
	if !ok {
		b = &scatterBlock{}
	}
	for i := lo; i < hi; i++ {
		first := i % r.blocks * r.lines
		r.block(b, i/r.blocks, first, min(first+r.lines, r.in[1]))
	}
	b.mul = gemm.Args[float32]{}
	scatterBlockPool.Put(b)
}

// scatterCache is how many bytes of sums are made at a time, about.
const scatterCache = 1 << 20

// block computes lines [y0, y1) of an image of Y.
func (r *scatter) block(b *scatterBlock, image, y0, y1 int) {
	width, st, before := r.out[2], r.stride[1], r.before[1]
	size := r.planes * r.length
	b.planes = atLeast(b.planes, (y1-y0)*size)
	for line := range y1 - y0 {
		r.begin(b.planes[line*size : (line+1)*size])
	}
	// Line i of X goes to lines i·st + k·dil - before of Y.
	i0 := max(ceil(y0+before-(r.kernel[1]-1)*r.dil[1], st), 0)
	i1 := max(min(ceil(y1+before, st), r.out[1]), i0)
	some := min(width, max(scatterCache/(4*r.sums), 256))
	lines := max(some/max(width, 1), 1) // of X at a time
	for i := i0; i < i1; i += lines {
		n := min(lines, i1-i)
		for x := 0; x < width; x += some {
			r.piece(b, (image*r.out[1]+i)*width+x, i, n, x, min(some, width-x), y0, y1)
		}
	}
	n := r.in[2] * r.W.M
	for line := y0; line < y1; line++ {
		at := (image*r.in[1] + line) * n
		y := r.Y[at : at+n]
		r.join(y, b.planes[(line-y0)*size:(line-y0+1)*size], at)
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

// piece adds to the planes of lines [y0, y1) what columns [x, x+wide) of n lines of X from line i on give: n is 1 if
// these are not all columns. The first pixel is the one of that number.
func (r *scatter) piece(b *scatterBlock, first, i, n, x, wide, y0, y1 int) {
	c, pixels, size := r.W.C, n*wide, r.planes*r.length
	b.sums = atLeast(b.sums, pixels*r.sums)
	b.mul = gemm.Args[float32]{M: r.sums, N: pixels, K: c, A: r.W.taps, ARS: c, ACS: 1, B: r.X[first*c : (first+pixels)*c], BRS: 1, BCS: c, C: b.sums, LDC: pixels, Table: r.Table.products}
	gemm.Run(r.p, &b.mul)
	for line := range n {
		for k := range r.kernel[1] {
			to := (i+line)*r.stride[1] + k*r.dil[1] - r.before[1]
			if to < y0 || to >= y1 {
				continue
			}
			planes := b.planes[(to-y0)*size:][:size]
			for j := range r.kernel[2] * r.W.M {
				sums := b.sums[(k*r.kernel[2]*r.W.M+j)*pixels+line*wide:][:wide]
				d := planes[j%r.planes*r.length+r.lead+j/r.planes+x:][:wide]
				r.Table.vectors.Add(d, d, sums)
			}
		}
	}
}

// atLeast returns s if it has n elements, or new memory.
func atLeast(s []float32, n int) []float32 {
	if len(s) < n {
		return make([]float32, n)
	}
	return s
}

// join writes planes to a line of Y, which begins with element first: element i of plane j goes
// to (i-lead)·planes + j - before·m.
func (r *scatter) join(y, planes []float32, first int) {
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
func (r *scatter) begin(planes []float32) {
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
