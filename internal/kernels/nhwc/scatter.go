package nhwc

import (
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// A convolution to few channels would fill a small part of the vectors of a tile. Its taps
// are the rows of one product instead, whose columns are the pixels of X. A line of Y is added up in
// planes of elements that lie m apart (of a transposed one stride·m): in a plane, what a tap gives for
// neighbouring pixels are neighbours.

// Sums reports whether a convolution with strides of 1 is better done that way.
func (t *Table) Sums(m, c, group int, kernel, strides []int) bool {
	return scatters(t, m, c, group, kernel) && product(kernel)*m >= 8 && product(strides) == 1
}

// PackSums packs the weights w[m, c, kernel…] of a convolution for which Sums is true.
func PackSums(w []float32, m, c int, kernel []int) *Weights[float32] {
	taps := product(kernel)
	q := &Weights[float32]{M: m, C: c, Group: 1, Kernel: append([]int(nil), kernel...), taps: make([]float32, len(w))}
	for o := range m {
		for i := range c {
			for k, v := range w[(o*c+i)*taps:][:taps] {
				q.taps[(k*m+o)*c+i] = v
			}
		}
	}
	return q
}

// scatters reports whether a convolution to m of c channels is computed that way.
func scatters(t *Table, m, c, group int, kernel []int) bool {
	if t.products == nil || t.vectors == nil || group != 1 || m*c == 0 {
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
	x, y   [3]int // slices, lines and columns of X and of Y
	sums   int    // of a pixel: the taps of a slice of the kernel, ·m
	places []place
	planes int   // of a line of Y
	skip   int   // elements of planes before the first of the line
	length int   // of a plane
	lines  int   // lines of Y that are computed together
	blocks int   // of an image
	p      par.P // of products
	step   int   // from what a line of X gives to what the next one gives, in lines of Y
	from   []int // of each row of the kernel: the line of Y that line 0 of X goes to
	deep   int   // step for slices
	slices []int // from for slices
	do     func(lo, hi int)
}

// place is where the sums of a tap go that are of a row of the kernel and one channel: to a plane from element off on.
type place struct{ plane, off int }

// scatterBlock is what the computation of one block uses.
type scatterBlock struct {
	mul          gemm.Args[float32]
	sums, planes []float32
}

var scatterPool, scatterBlockPool sync.Pool

// scattered computes a convolution whose weights are packed by taps.
func scattered(p par.P, a *Args[float32], s *shape, transposed bool) {
	r, ok := scatterPool.Get().(*scatter)
	if !ok {
		r = &scatter{}
		r.do = r.doBlocks
	}
	m, kernel := a.W.M, s.kernel
	*r = scatter{Args: a, sums: kernel[1] * kernel[2] * m, places: r.places[:0], from: r.from[:0], slices: r.slices[:0], do: r.do}
	if transposed {
		st, before := s.stride[2], s.before[2]
		r.x, r.y, r.step, r.deep, r.planes = s.out, s.in, s.stride[1], s.stride[0], st*m
		lead := max(ceil(-before, st), 0) // negative padding
		r.skip = before*m + lead*r.planes
		r.length = lead + max(r.x[2]+(kernel[2]-1)/st, ceil(r.y[2]+before, st))
		for j := range kernel[2] * m {
			r.places = append(r.places, place{j % r.planes, lead + j/r.planes})
		}
		for k := range kernel[1] {
			r.from = append(r.from, k*s.dil[1]-s.before[1])
		}
		for k := range kernel[0] {
			r.slices = append(r.slices, k*s.dil[0]-s.before[0])
		}
	} else {
		r.x, r.y, r.step, r.deep, r.planes = s.in, s.out, 1, 1, m
		lead := max((kernel[2]-1)*s.dil[2]-s.before[2], 0)
		r.skip = lead * m
		r.length = lead + max(r.x[2]+max(s.before[2], 0), r.y[2])
		for j := range kernel[2] * m {
			r.places = append(r.places, place{j % m, lead + s.before[2] - j/m*s.dil[2]})
		}
		for k := range kernel[1] {
			r.from = append(r.from, s.before[1]-k*s.dil[1])
		}
		for k := range kernel[0] {
			r.slices = append(r.slices, s.before[0]-k*s.dil[0])
		}
	}
	// Neighbouring blocks both compute the pixels that they share.
	spread := slices.Max(r.from) - slices.Min(r.from)
	shared := (spread + r.step - 1) / r.step
	const task, most = 1 << 21, 16
	fit := scatterCache/max(4*r.x[2]*r.sums, 1) - shared
	want := min(max(r.x[1]*r.x[2]*r.sums*a.W.C/task, 1), most)
	r.lines = max(min(fit, (r.y[1]/r.step+want-1)/want), 8*shared, 1) * r.step
	r.blocks = (r.y[1] + r.lines - 1) / r.lines
	tasks := a.N * r.y[0] * r.blocks
	if r.p.Threads = 1; tasks == 1 {
		r.p = p
	}
	p.For(tasks, 1, r.do)
	*r = scatter{places: r.places, from: r.from, slices: r.slices, do: r.do}
	scatterPool.Put(r)
}

func (r *scatter) doBlocks(lo, hi int) {
	b, ok := scatterBlockPool.Get().(*scatterBlock)
	if !ok {
		b = &scatterBlock{}
	}
	for i := lo; i < hi; i++ {
		first := i % r.blocks * r.lines
		r.block(b, i/r.blocks, first, min(first+r.lines, r.y[1]))
	}
	b.mul = gemm.Args[float32]{}
	scatterBlockPool.Put(b)
}

// block computes lines [y0, y1) of a slice of Y, counted through all images.
func (r *scatter) block(b *scatterBlock, slice, y0, y1 int) {
	width, size := r.x[2], r.planes*r.length
	b.planes = atLeast(b.planes, (y1-y0)*size)
	for line := range y1 - y0 {
		r.begin(b.planes[line*size : (line+1)*size])
	}
	// The lines of X that go to some of these.
	i0 := max(ceil(y0-slices.Max(r.from), r.step), 0)
	i1 := max(min(ceil(y1-slices.Min(r.from), r.step), r.x[1]), i0)
	some := min(width, max(scatterCache/(4*r.sums), 256))
	lines := max(scatterCache/max(4*r.sums*width, 1), 1) // of X at a time
	for k, from := range r.slices {
		z := slice%r.y[0] - from
		if z < 0 || z%r.deep != 0 || z/r.deep >= r.x[0] {
			continue
		}
		above := (slice/r.y[0]*r.x[0] + z/r.deep) * r.x[1]
		for i := i0; i < i1; i += lines {
			n := min(lines, i1-i)
			for x := 0; x < width; x += some {
				r.piece(b, k, (above+i)*width+x, i, n, x, min(some, width-x), y0, y1)
			}
		}
	}
	n := r.y[2] * r.W.M
	for line := y0; line < y1; line++ {
		at := (slice*r.y[1] + line) * n
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

// scatterCache is how many bytes of sums are made at a time, about.
const scatterCache = 1 << 20

// piece adds to the planes of lines [y0, y1) what columns [x, x+wide) of n lines of X from line i on give by a slice of
// the kernel: n is 1 if these are not all columns. The first pixel is the one of that number.
func (r *scatter) piece(b *scatterBlock, slice, first, i, n, x, wide, y0, y1 int) {
	c, pixels, size, row := r.W.C, n*wide, r.planes*r.length, len(r.places)
	b.sums = atLeast(b.sums, pixels*r.sums)
	b.mul = gemm.Args[float32]{M: r.sums, N: pixels, K: c, A: r.W.taps[slice*r.sums*c:][:r.sums*c], ARS: c, ACS: 1, B: r.X[first*c : (first+pixels)*c], BRS: 1, BCS: c, C: b.sums, LDC: pixels, Table: r.Table.products}
	gemm.Run(r.p, &b.mul)
	for line := range n {
		for k, from := range r.from {
			to := (i+line)*r.step + from
			if to < y0 || to >= y1 {
				continue
			}
			planes := b.planes[(to-y0)*size:][:size]
			for j, at := range r.places {
				sums := b.sums[(k*row+j)*pixels+line*wide:][:wide]
				d := planes[at.plane*r.length+at.off+x:][:wide]
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

// join writes planes to a line of Y, which begins with element first: element i of plane j goes to i·planes + j - skip.
func (r *scatter) join(y, planes []float32, first int) {
	n := r.planes
	for j := range n {
		plane, at := planes[j*r.length:(j+1)*r.length], j-r.skip
		if at < 0 {
			before := ceil(-at, n)
			plane, at = plane[min(before, len(plane)):], at+before*n
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
