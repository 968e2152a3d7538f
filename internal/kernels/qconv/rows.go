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
	outer := r.W.Taps / max(kw, 1)
	together := dil == 1 && cg == r.C
	m.pad = sized(m.pad, max(run, cg))
	pad := m.pad
	fill(pad, r.Zero)
	image := product(r.In) * r.C
	m.pos, m.tap = sized(m.pos, d), sized(m.tap, d)
	pos, tap := m.pos, m.tap
	seek(pos, r.Out, lo%r.out)
	n := lo / r.out
	for i := lo; i < hi; i++ {
		row := dst[(i-lo)*stride:]
		x := r.X[n*image : (n+1)*image]
		at := pos[last]*r.Strides[last] - r.Before[last]
		clear(tap)
		for o := range outer {
			line, inside := 0, true
			for k := range last {
				y := pos[k]*r.Strides[k] - r.Before[k] + tap[k]*r.Dilations[k]
				inside = inside && y >= 0 && y < r.In[k]
				line = line*r.In[k] + y
			}
			for k := last - 1; k >= 0; k-- {
				if tap[k]++; tap[k] < r.Kernel[k] {
					break
				}
				tap[k] = 0
			}
			to := row[o*r.run:]
			switch {
			case !inside:
				move(to, pad, run)
			case together:
				k0, k1 := min(max(0, -at), kw), max(0, min(kw, in-at))
				if k0 >= k1 {
					move(to, pad, run)
					break
				}
				if k0 > 0 {
					move(to, pad, k0*cg)
				}
				move(to[k0*cg:], x[(line*in+at+k0)*cg:], (k1-k0)*cg)
				if k1 < kw {
					move(to[k1*cg:], pad, (kw-k1)*cg)
				}
			default:
				for k := range kw {
					if c := at + k*dil; c >= 0 && c < in {
						move(to[k*cg:], x[(line*in+c)*r.C+g*cg:], cg)
					} else {
						move(to[k*cg:], pad, cg)
					}
				}
			}
		}
		for k := last; k >= 0; k-- {
			if pos[k]++; pos[k] < r.Out[k] {
				break
			}
			if pos[k] = 0; k == 0 {
				n++
			}
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
