package conv

import (
	"math"
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
	r := &runner[T]{Args: a, cg: cg, mg: mg, taps: taps, in: in, out: out, k: cg * taps}
	if f, ok := any(r).(*runner[float32]); ok && d == 2 && a.C/groups >= 4 && in < math.MaxInt32 {
		mask, _ := any(mask).([]float32)
		deformLines(p, f, any(offset).([]float32), mask, groups)
		return
	}
	panels := (out + gemm.Panel - 1) / gemm.Panel
	p.For(a.N*panels, 1, func(lo, hi int) {
		gemm.Scratch(a.C*taps*gemm.Panel, func(buf []T) {
			s := newSampler(d)
			pos, tap := make([]int, d), make([]int, d)
			for t := lo; t < hi; t++ {
				n, q0 := t/panels, t%panels*gemm.Panel
				q1 := min(q0+gemm.Panel, out)
				clear(buf)
				for g := range groups {
					clear(tap)
					for k := range taps {
						for q := q0; q < q1; q++ {
							seek(pos, a.Out, q)
							deformed(s.at, &a.Window, pos, tap, offset[((n*groups+g)*taps+k)*d*out+q:], out)
							s.corners(a.In)
							weight := 1.0
							if mask != nil {
								weight = float64(mask[((n*groups+g)*taps+k)*out+q])
							}
							for c := g * (a.C / groups); c < (g+1)*(a.C/groups); c++ {
								x := a.X[(n*a.C+c)*in:][:in]
								buf[(c*taps+k)*gemm.Panel+q-q0] = T(interpolate(s, x, weight))
							}
						}
						advance(tap, a.Kernel)
					}
				}
				for g := range a.Group {
					m := r.product(n*a.Group+g, q0, q1, buf[g*cg*taps*gemm.Panel:])
					gemm.Run(par.P{Ctx: p.Ctx}, &m)
				}
			}
		})
	})
}

// deformLines is Deform of images whose channels are first put side by side: what a
// tap sees of all channels is then four lines, weighed.
func deformLines(p par.P, r *runner[float32], offset, mask []float32, groups int) {
	in, out, taps, cs := r.in, r.out, r.taps, r.C/groups
	panels := (out + gemm.Panel - 1) / gemm.Panel
	size := (in + 1) * cs // the last line is zeros, for what lies outside
	gemm.Scratch(r.N*groups*size, func(lines []float32) {
		p.For(r.N*groups, par.Grain(r.N*groups, float64(size)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				to := lines[i*size:][:size]
				if in > 0 {
					move.Transpose(words(to), words(r.X[i*cs*in:][:cs*in]), in, cs, cs, in)
				}
				clear(to[in*cs:])
			}
		})
		p.For(r.N*panels, 1, func(lo, hi int) {
			gemm.Scratch((r.C*taps+cs)*gemm.Panel, func(buf []float32) {
				buf, sums := buf[:r.C*taps*gemm.Panel], buf[r.C*taps*gemm.Panel:]
				var at [4 * gemm.Panel]int32
				var w [4 * gemm.Panel]float32
				for t := lo; t < hi; t++ {
					n, q0 := t/panels, t%panels*gemm.Panel
					m := min(gemm.Panel, out-q0)
					if m < gemm.Panel {
						clear(buf)
					}
					for g := range groups {
						for k := range taps {
							var weights []float32
							if mask != nil {
								weights = mask[((n*groups+g)*taps+k)*out+q0:][:m]
							}
							at, w := at[:4*m], w[:4*m]
							corners4(r, at, w, k, q0, offset[((n*groups+g)*taps+k)*2*out+q0:], weights)
							move.Weigh(sums[:m*cs], lines[(n*groups+g)*size:][:size], at, w, cs, 4)
							move.Transpose(words(buf[(g*cs*taps+k)*gemm.Panel:]), words(sums), cs, m, taps*gemm.Panel, cs)
						}
					}
					for g := range r.Group {
						m := r.product(n*r.Group+g, q0, q0+m, buf[g*r.cg*taps*gemm.Panel:])
						gemm.Run(par.P{Ctx: p.Ctx}, &m)
					}
				}
			})
		})
	})
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
