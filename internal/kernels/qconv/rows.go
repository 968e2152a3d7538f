package qconv

import (
	"sync"

	"github.com/gneiss-run/gneiss/internal/kernels/qgemm"
)

// rowMemory is what a thread lays rows out in.
type rowMemory struct {
	rows     []byte
	pad      []byte
	pos, tap []int
	lines    []int
	view     qgemm.View
	sums     []int32
}

var rowMemories = sync.Pool{New: func() any { return new(rowMemory) }}

// free gives m back.
func (m *rowMemory) free() {
	m.view = qgemm.View{}
	rowMemories.Put(m)
}

// layOut writes what the rows [lo, hi) see of group g, stride apart: taps in
// order, and for each the channels of the group.
func (r *runner) layOut(m *rowMemory, dst []byte, stride, g, lo, hi int) {
	d := len(r.In)
	last := d - 1
	cg, kw, dil, in := r.W.CG, r.Kernel[last], r.Dilations[last], r.In[last]
	run := kw * cg // bytes of the taps along the last dimension
	together := dil == 1 && cg == r.C
	m.pad = sized(m.pad, max(run, cg))
	pad := m.pad
	fill(pad, r.Zero)
	image := product(r.In) * r.C
	m.pos, m.tap = sized(m.pos, d), sized(m.tap, d)
	m.lines = sized(m.lines, r.W.Taps/max(kw, 1))
	pos := m.pos
	seek(pos, r.Out, lo%r.out)
	n := lo / r.out
	for i := lo; i < hi; {
		r.linesOf(m)
		x := r.X[n*image : (n+1)*image]
		for end := min(hi, i+r.Out[last]-pos[last]); i < end; i++ {
			row := dst[(i-lo)*stride:]
			at := pos[last]*r.Strides[last] - r.Before[last]
			k0, k1 := min(max(0, -at), kw), max(0, min(kw, in-at))
			for o, line := range m.lines {
				to := row[o*r.run:]
				switch {
				case line < 0:
					move(to, pad, run)
				case !together:
					for k := range kw {
						if c := at + k*dil; c >= 0 && c < in {
							move(to[k*cg:], x[(line+c)*r.C+g*cg:], cg)
						} else {
							move(to[k*cg:], pad, cg)
						}
					}
				case k1-k0 == kw:
					move(to, x[(line+at)*cg:], run)
				case k0 >= k1:
					move(to, pad, run)
				default:
					if k0 > 0 {
						move(to, pad, k0*cg)
					}
					move(to[k0*cg:], x[(line+at+k0)*cg:], (k1-k0)*cg)
					if k1 < kw {
						move(to[k1*cg:], pad, (kw-k1)*cg)
					}
				}
			}
			pos[last]++
		}
		if pos[last] < r.Out[last] {
			return // it is the last row
		}
		for k := last; k >= 0; k-- {
			if k < last {
				pos[k]++
			}
			if pos[k] < r.Out[k] {
				break
			}
			if pos[k] = 0; k == 0 {
				n++
			}
		}
	}
}

// linesOf sets m.lines to the index in an image of the first position of the line that each tap of
// the other dimensions sees from m.pos; -1: padding.
func (r *runner) linesOf(m *rowMemory) {
	last := len(r.In) - 1
	clear(m.tap)
	for o := range m.lines {
		line := 0
		for k := range last {
			y := m.pos[k]*r.Strides[k] - r.Before[k] + m.tap[k]*r.Dilations[k]
			if y < 0 || y >= r.In[k] || line < 0 {
				line = -1
				continue
			}
			line = line*r.In[k] + y
		}
		if m.lines[o] = line; line > 0 {
			m.lines[o] = line * r.In[last]
		}
		for k := last - 1; k >= 0; k-- {
			if m.tap[k]++; m.tap[k] < r.Kernel[k] {
				break
			}
			m.tap[k] = 0
		}
	}
}

// move copies n bytes. It may write some more: what lies behind is written later.
func move(dst, src []byte, n int) {
	if n <= 32 && len(dst) >= 32 && len(src) >= 32 {
		*(*[32]byte)(dst) = *(*[32]byte)(src)
		return
	}
	copy(dst[:n], src[:n])
}

// seek sets idx to the q-th index of shape.
func seek(idx, shape []int, q int) {
	for i := len(shape) - 1; i >= 0; i-- {
		idx[i] = q % shape[i]
		q /= shape[i]
	}
}
