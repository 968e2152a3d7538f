package conv

import (
	"math"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Deform computes a convolution whose taps are moved by offsets, and weighted
// by mask if it is not nil. Between elements it interpolates linearly along
// every dimension; outside of the image everything is 0.
//
//	offset [N, groups·taps·d, Out…], for each group and tap a shift per dimension
//	mask   [N, groups·taps, Out…]
//
// The channels of X are dealt evenly to the groups of offsets.
func Deform[T Float](p par.P, a *Args[T], offset, mask []T, groups int) {
	in, out, taps, d := product(a.In), product(a.Out), product(a.Kernel), len(a.In)
	if a.N == 0 || a.M == 0 || out == 0 {
		return
	}
	cg, mg := a.C/a.Group, a.M/a.Group
	if cg*a.Group != a.C || mg*a.Group != a.M || a.C%groups != 0 || len(a.X) != a.N*a.C*in || len(a.W) != a.M*cg*taps || len(a.Y) != a.N*a.M*out ||
		len(offset) != a.N*groups*taps*d*out || mask != nil && len(mask) != a.N*groups*taps*out {
		panic("conv: sizes do not fit")
	}
	r := runner[T]{Args: *a, ctx: par.P{Ctx: p.Ctx}, cg: cg, mg: mg, taps: taps, in: in, out: out, k: cg * taps, panels: (out + gemm.Panel - 1) / gemm.Panel}
	m := deformer[T]{r, offset, mask, groups}
	if f, ok := any(&m).(*deformer[float32]); ok && d == 2 && a.C/groups >= 4 && in < math.MaxInt32 {
		deformLines(p, f)
		return
	}
	par.Run(p, a.N*r.panels, 1, par.With(m))
}

// deformer is Deform of panels of the result.
type deformer[T Float] struct {
	runner[T]
	offset, mask []T
	groups       int
}

// Chunk computes panels [lo, hi) of all images.
func (a *deformer[T]) Chunk(lo, hi int) {
	d, taps, groups := len(a.In), a.taps, a.groups
	buf := gemm.Borrow[T](a.C * taps * gemm.Panel)
	defer buf.Return()
	mem := borrow[T]()
	defer mem.giveBack()
	s := &mem.sampler
	s.at = slices.Grow(s.at[:0], d)[:d]
	pos, tap := make([]int, d), make([]int, d)
	for t := lo; t < hi; t++ {
		n, q0 := t/a.panels, t%a.panels*gemm.Panel
		q1 := min(q0+gemm.Panel, a.out)
		clear(buf.S)
		for g := range groups {
			clear(tap)
			for k := range taps {
				for q := q0; q < q1; q++ {
					seek(pos, a.Out, q)
					deformed(s.at, &a.Window, pos, tap, a.offset[((n*groups+g)*taps+k)*d*a.out+q:], a.out)
					s.corners(a.In)
					weight := 1.0
					if a.mask != nil {
						weight = float64(a.mask[((n*groups+g)*taps+k)*a.out+q])
					}
					for c := g * (a.C / groups); c < (g+1)*(a.C/groups); c++ {
						x := a.X[(n*a.C+c)*a.in:][:a.in]
						buf.S[(c*taps+k)*gemm.Panel+q-q0] = T(interpolate(s, x, weight))
					}
				}
				advance(tap, a.Kernel)
			}
		}
		for g := range a.Group {
			gemm.Run(a.ctx, a.product(mem, n*a.Group+g, q0, q1, buf.S[g*a.cg*taps*gemm.Panel:]))
		}
	}
}

// deformLines is Deform of images whose channels are first put side by side: what a
// tap sees of all channels is then four lines, weighed.
func deformLines(p par.P, m *deformer[float32]) {
	size := (m.in + 1) * (m.C / m.groups) // the last line is zeros, for what lies outside
	lines := gemm.Borrow[float32](m.N * m.groups * size)
	defer lines.Return()
	l := deformedLines{*m, lines.S, size}
	par.Each(p, m.N*m.groups, par.Grain(m.N*m.groups, float64(size)), l, (*deformedLines).turn)
	par.Each(p, m.N*m.panels, 1, l, (*deformedLines).run)
}

// deformedLines is the work of deformLines: lines are those of all images, size
// elements for each group of offsets.
type deformedLines struct {
	deformer[float32]
	lines []float32
	size  int
}

// turn puts the channels of images and groups [lo, hi) side by side.
func (l *deformedLines) turn(lo, hi int) {
	in, cs := l.in, l.C/l.groups
	for i := lo; i < hi; i++ {
		to := l.lines[i*l.size:][:l.size]
		if in > 0 {
			move.Transpose(words(to), words(l.X[i*cs*in:][:cs*in]), in, cs, cs, in)
		}
		clear(to[in*cs:])
	}
}

// run computes panels [lo, hi) of all images.
func (l *deformedLines) run(lo, hi int) {
	taps, cs, groups := l.taps, l.C/l.groups, l.groups
	// The panels, the weighed lines, and the corners with their weights.
	mem := gemm.Borrow[float32]((l.C*taps + cs + 8) * gemm.Panel)
	defer mem.Return()
	s := mem.S
	buf, s := s[:l.C*taps*gemm.Panel], s[l.C*taps*gemm.Panel:]
	sums, s := s[:cs*gemm.Panel], s[cs*gemm.Panel:]
	corners, weights := unsafe.Slice((*int32)(unsafe.Pointer(&s[0])), 4*gemm.Panel), s[4*gemm.Panel:]
	args := borrow[float32]()
	defer args.giveBack()
	for t := lo; t < hi; t++ {
		n, q0 := t/l.panels, t%l.panels*gemm.Panel
		m := min(gemm.Panel, l.out-q0)
		if m < gemm.Panel {
			clear(buf)
		}
		at, w := corners[:4*m], weights[:4*m]
		for g := range groups {
			for k := range taps {
				var mask []float32
				if l.mask != nil {
					mask = l.mask[((n*groups+g)*taps+k)*l.out+q0:][:m]
				}
				corners4(&l.runner, at, w, k, q0, l.offset[((n*groups+g)*taps+k)*2*l.out+q0:], mask)
				move.Weigh(sums[:m*cs], l.lines[(n*groups+g)*l.size:][:l.size], at, w, cs, 4)
				move.Transpose(words(buf[(g*cs*taps+k)*gemm.Panel:]), words(sums), cs, m, taps*gemm.Panel, cs)
			}
		}
		for g := range l.Group {
			gemm.Run(l.ctx, l.product(args, n*l.Group+g, q0, q0+m, buf[g*l.cg*taps*gemm.Panel:]))
		}
	}
}

// corners4 lists what tap k sees from len(at)/4 places on from q: the four corners around each
// point and their weights, the line behind the image for what lies outside.
func corners4(r *runner[float32], at []int32, w []float32, k, q int, offset, mask []float32) {
	h, wd, ow := r.In[0], r.In[1], r.Out[1]
	y0 := k/r.Kernel[1]*r.Dilations[0] - r.Before[0]
	x0 := k%r.Kernel[1]*r.Dilations[1] - r.Before[1]
	for i := range len(at) / 4 {
		oy, ox := (q+i)/ow, (q+i)%ow
		y := float64(oy*r.Strides[0]+y0) + float64(offset[i])
		x := float64(ox*r.Strides[1]+x0) + float64(offset[r.out+i])
		at, w := at[4*i:][:4], w[4*i:][:4]
		for j := range at {
			at[j], w[j] = int32(r.in), 0
		}
		if !(y > -1 && y < float64(h) && x > -1 && x < float64(wd)) { // NaN too
			continue
		}
		top, left := math.Floor(y), math.Floor(x)
		fy, fx, f := y-top, x-left, 1.0
		if mask != nil {
			f = float64(mask[i])
		}
		ty, tx := int(top), int(left)
		set := func(j, y, x int, v float64) {
			if v != 0 && y >= 0 && y < h && x >= 0 && x < wd {
				at[j], w[j] = int32(y*wd+x), float32(v*f)
			}
		}
		set(0, ty, tx, (1-fy)*(1-fx))
		set(1, ty, tx+1, (1-fy)*fx)
		set(2, ty+1, tx, fy*(1-fx))
		set(3, ty+1, tx+1, fy*fx)
	}
}

func words(v []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

// deformed sets at to where a tap of the output at pos looks, moved by offsets, step apart.
func deformed[T Float](at []float64, w *Window, pos, tap []int, offset []T, step int) {
	for i := range pos {
		at[i] = float64(pos[i]*w.Strides[i]-w.Before[i]+tap[i]*w.Dilations[i]) + float64(offset[i*step])
	}
}

// sampler lists the elements around a point and their weights.
type sampler struct {
	at     []float64
	index  []int
	weight []float64
}

func newSampler(d int) *sampler {
	return &sampler{at: make([]float64, d), index: make([]int, 0, 1<<d), weight: make([]float64, 0, 1<<d)}
}

// corners lists the corners of the cell around at that lie in the image.
func (s *sampler) corners(in []int) { s.slopes(in, -1) }

// slopes is corners with the derivatives of the weights by the coordinate of a
// dimension (-1: the weights).
func (s *sampler) slopes(in []int, along int) {
	s.index, s.weight = s.index[:0], s.weight[:0]
	for i, x := range s.at {
		if !(x > -1 && x < float64(in[i])) { // NaN too
			return
		}
	}
	for c := range 1 << len(in) {
		at, w := 0, 1.0
		for i, x := range s.at {
			low := math.Floor(x)
			e, f := int(low), x-low
			if c>>i&1 == 1 {
				e++
			} else {
				f = 1 - f
			}
			if i == along {
				f = float64(2*(c>>i&1) - 1)
			}
			if e < 0 || e >= in[i] {
				w = 0
				break
			}
			at, w = at*in[i]+e, w*f
		}
		if w != 0 {
			s.index, s.weight = append(s.index, at), append(s.weight, w)
		}
	}
}
