package nhwc

import (
	"math"
	"runtime"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// Row computes p neighbouring positions of a row of a depthwise convolution
// whose kernel has rows of k taps:
//
//	out[i][c] = bias[c] + Σ r,t x[r][i·s+t][c] · w[r][t][c]
//
// limited to lim[0] and lim[1] (NaN stays NaN). x begins off bytes behind the
// pointer; its rows and columns lie rowStep and colStep bytes apart, those of
// out outStep. Only columns whose bit of cols is set are there, the others are
// zeros. Channels are done a vector at a time, the last vector ends with them:
// c is at least a vector. w has [rows·k][vector] for each vector and wSkip
// bytes between. bias may be nil.
type Row func(c int, out unsafe.Pointer, outStep int, x unsafe.Pointer, off, rowStep, colStep, rows int, cols uint64, w unsafe.Pointer, wSkip int, bias, lim unsafe.Pointer)

// Taps computes one position of a depthwise convolution: list points to the
// pixels that its taps see. w is [taps][vector] for each vector of channels.
type Taps func(c int, out, list unsafe.Pointer, taps int, w, bias, lim unsafe.Pointer)

// mostAtOnce is the largest number of positions of a Row.
const mostAtOnce = 8

// packDepthwise packs the listed taps of w[c, 1, kernel…] for vectors of the given lanes.
func packDepthwise(w []float32, c, taps int, list []int, lanes int) []float32 {
	blocks := (c + lanes - 1) / lanes
	out := aligned[float32](blocks * len(list) * lanes)
	for b := range blocks {
		first := min(b*lanes, c-lanes)
		for t, tap := range list {
			for i := range lanes {
				out[(b*len(list)+t)*lanes+i] = w[(first+i)*taps+tap]
			}
		}
	}
	return out
}

// counted returns 0, 1, … n-1.
func counted(n int) []int {
	l := make([]int, n)
	for i := range l {
		l[i] = i
	}
	return l
}

// depthwise is a convolution whose channels have a kernel of their own.
type depthwise struct {
	*Args[float32]
	shape
	c, taps int
	lim     [2]float32
	zero    unsafe.Pointer
	row     Row // of most positions at once, nil: there is none
	most    int
	lines   func(lo, hi int)
}

// unlimited sets no limits.
var unlimited = [2]float32{float32(math.Inf(-1)), float32(math.Inf(1))}

var depthwisePool = sync.Pool{New: func() any {
	r := new(depthwise)
	r.lines = r.doLines
	return r
}}

func convDepthwise(p par.P, a *Args[float32], s *shape) {
	r := depthwisePool.Get().(*depthwise)
	*r = depthwise{Args: a, shape: *s, c: a.W.C, taps: product3(s.kernel), lim: unlimited, lines: r.lines}
	if a.Clamp {
		r.lim = [2]float32{a.Lo, a.Hi}
	}
	r.zero = zeros(r.c * 4)
	if len(a.Parts) > 0 {
		a.checkParts(s)
	}
	ow := s.out[2]
	if s.kernel[0] == 1 && (s.dil[2] == 1 || s.stride[2] == 1 && ow >= s.dil[2]) {
		n, cost := ow/s.dil[2], math.MaxInt // every dil-th position sees every dil-th column
		for i := min(n, mostAtOnce); i >= max(1, min(n, mostAtOnce)-4); i-- {
			if c := (n + i - 1) / i * (4*i + 5); c < cost {
				r.most, cost = i, c
			}
		}
		r.row = a.Table.Row32(a.W.lanes, s.kernel[2], s.stride[2], r.most)
	}
	r.run(p, ow*r.c*r.taps)
}

// transposedDepthwise computes a transposed convolution whose channels have a kernel of their own.
func transposedDepthwise(p par.P, a *Args[float32], s *shape) {
	r := depthwisePool.Get().(*depthwise)
	*r = depthwise{Args: a, shape: *s, c: a.W.C, taps: product3(s.kernel), lim: unlimited, lines: r.lines}
	if a.Clamp {
		r.lim = [2]float32{a.Lo, a.Hi}
	}
	r.in, r.out = s.out, s.in
	r.zero = zeros(r.c * 4)
	r.run(p, r.out[2]*r.c*max(1, r.taps/product3(s.stride)))
}

// run computes all rows, each of which takes so many products, and ends the use of r.
func (r *depthwise) run(p par.P, products int) {
	p.For(r.N*r.out[0]*r.out[1], max(1, 1<<17/max(1, products)), r.lines)
	runtime.KeepAlive(r)
	*r = depthwise{lines: r.lines}
	depthwisePool.Put(r)
}

func (r *depthwise) doLines(lo, hi int) {
	l := listPool.Get().(*lists)
	for i := lo; i < hi; i++ {
		r.line(i, l)
	}
	listPool.Put(l)
}

// line computes one row of the output.
func (r *depthwise) line(i int, l *lists) {
	n := r.out[2] * r.c
	y := r.Y[i*n : (i+1)*n]
	var z []float32
	if r.Z != nil {
		z = r.Z[i*n : (i+1)*n]
		if &z[0] == &y[0] { // before it is overwritten
			l.floats = append(l.floats[:0], z...)
			z = l.floats
		}
	}
	lim := &r.lim
	if z != nil {
		lim = &unlimited
	}
	switch {
	case len(r.Parts) > 0:
		r.byParts(i, y, lim, l)
	case r.W.phases != nil:
		r.byPhases(i, y, lim, l)
	case r.row != nil:
		r.byRows(i, y, lim)
	default:
		r.byTaps(i, y, lim, l)
	}
	if z != nil {
		for j, v := range z {
			y[j] += v
		}
		if r.Clamp {
			for j, v := range y {
				y[j] = min(max(v, r.Lo), r.Hi)
			}
		}
	}
	if r.Act != nil {
		r.Act(y)
	}
}

// at returns the image and the place of row i of the output.
func (r *depthwise) at(i int) (image, z, y int) {
	return i / (r.out[0] * r.out[1]), i / r.out[1] % r.out[0], i % r.out[1]
}

func (r *depthwise) byRows(i int, out []float32, lim *[2]float32) {
	image, oz, oy := r.at(i)
	first, last := r.range1(1, oy)
	iz := oz*r.stride[0] - r.before[0]
	if iz < 0 || iz >= r.in[0] {
		last = first
	}
	pixel, lanes := r.c*4, r.W.lanes
	line := ((image*r.in[0]+iz)*r.in[1] + oy*r.stride[1] - r.before[1] + first*r.dil[1]) * r.in[2]
	if last == first {
		line = 0
	}
	k := r.kernel[2]
	w := unsafe.Pointer(&r.W.depthwise[min(first, r.kernel[1]-1)*k*lanes])
	wSkip := (r.kernel[1] - (last - first)) * k * lanes * 4
	x, bias := unsafe.Pointer(unsafe.SliceData(r.X)), unsafe.Pointer(unsafe.SliceData(r.B))
	dil, all := r.dil[2], uint64(1)<<((r.most-1)*r.stride[2]+k)-1
	for q := range dil {
		count := (r.out[2] - q + dil - 1) / dil
		for o := 0; o < count; o += r.most {
			o = min(o, count-r.most)
			place := q + o*dil
			col := place*r.stride[2] - r.before[2]
			cols := all
			if col < 0 {
				cols &= all << min((-col+dil-1)/dil, 63)
			}
			if n := (r.in[2] - col + dil - 1) / dil; n < 64 {
				cols &= uint64(1)<<max(n, 0) - 1
			}
			r.row(r.c, unsafe.Pointer(&out[place*r.c]), dil*pixel, x, (line+col)*pixel, r.dil[1]*r.in[2]*pixel, dil*pixel, last-first, cols, w, wSkip, bias, unsafe.Pointer(lim))
		}
	}
}

func (r *depthwise) byTaps(i int, out []float32, lim *[2]float32, l *lists) {
	image, oz, oy := r.at(i)
	list := l.grow(r.taps)
	x, bias := uintptr(unsafe.Pointer(unsafe.SliceData(r.X))), unsafe.Pointer(unsafe.SliceData(r.B))
	for o := range r.out[2] {
		t := 0
		for kz := range r.kernel[0] {
			z := oz*r.stride[0] - r.before[0] + kz*r.dil[0]
			for ky := range r.kernel[1] {
				y := oy*r.stride[1] - r.before[1] + ky*r.dil[1]
				inside := uint(z) < uint(r.in[0]) && uint(y) < uint(r.in[1])
				for kx := range r.kernel[2] {
					col := o*r.stride[2] - r.before[2] + kx*r.dil[2]
					list[t] = uintptr(r.zero)
					if inside && uint(col) < uint(r.in[2]) {
						list[t] = x + uintptr((((image*r.in[0]+z)*r.in[1]+y)*r.in[2]+col)*r.c*4)
					}
					t++
				}
			}
		}
		r.Table.Taps32(r.W.lanes)(r.c, unsafe.Pointer(&out[o*r.c]), unsafe.Pointer(&list[0]), r.taps, unsafe.Pointer(&r.W.depthwise[0]), bias, unsafe.Pointer(lim))
	}
}

// byPhases computes row i of a transposed convolution: what the taps of its positions see.
func (r *depthwise) byPhases(i int, out []float32, lim *[2]float32, l *lists) {
	image, oz, oy := r.at(i)
	x, bias := uintptr(unsafe.Pointer(unsafe.SliceData(r.X))), unsafe.Pointer(unsafe.SliceData(r.B))
	classes := &r.W.classes
	pz, zs := r.class(0, oz)
	py, ys := r.class(1, oy)
	for o := range r.out[2] {
		px, xs := r.class(2, o)
		list := l.grow(len(zs)*len(ys)*len(xs) + 1)
		t := 0
		for _, kz := range zs {
			z := (oz + r.before[0] - kz*r.dil[0]) / r.stride[0]
			for _, ky := range ys {
				y := (oy + r.before[1] - ky*r.dil[1]) / r.stride[1]
				inside := uint(z) < uint(r.in[0]) && uint(y) < uint(r.in[1])
				for _, kx := range xs {
					col := (o + r.before[2] - kx*r.dil[2]) / r.stride[2]
					list[t] = uintptr(r.zero)
					if inside && uint(col) < uint(r.in[2]) {
						list[t] = x + uintptr((((image*r.in[0]+z)*r.in[1]+y)*r.in[2]+col)*r.c*4)
					}
					t++
				}
			}
		}
		to := out[o*r.c : (o+1)*r.c]
		if t == 0 { // between the taps there is nothing but the bias
			clear(to)
			copy(to, r.B)
			for j, v := range to {
				to[j] = min(max(v, lim[0]), lim[1])
			}
			continue
		}
		w := r.W.phases[(pz*len(classes[1])+py)*len(classes[2])+px]
		r.Table.Taps32(r.W.lanes)(r.c, unsafe.Pointer(&to[0]), unsafe.Pointer(&list[0]), t, unsafe.Pointer(&w[0]), bias, unsafe.Pointer(lim))
	}
}

// class returns which taps of dimension d position o of a transposed convolution sees, and the number of their class.
func (r *depthwise) class(d, o int) (int, []int) {
	st := r.stride[d]
	i := ((o+r.before[d])%st + st) % st
	if i < len(r.W.classes[d]) {
		return i, r.W.classes[d][i]
	}
	return i, nil
}
