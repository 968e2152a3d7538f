package qconv

import (
	"github.com/gneiss-run/gneiss/internal/kernels/qgemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// gathers reports whether gathered serves: there are more than two dimensions, the taps along the last one
// lie in one run of X, lines of the output are long enough for good tiles, and the weights
// stay in the cache from line to line.
func (r *runner) gathers() bool {
	last := len(r.In) - 1
	if last < 2 || r.W.Group > 1 || r.Dilations[last] != 1 && r.Kernel[last] > 1 || r.inPlace() || len(r.W.groups[0].Data) > 256<<10 {
		return false
	}
	w := r.Out[last]
	return w/((w+tile-1)/tile) >= 9 || w >= 5 && r.run < 64
}

// gathered copies the lines of X that a line of the output sees behind each other, with padding, and reads
// the rows of the product there: these overlap, so that less is copied than layOut does.
func (r *runner) gathered(p par.P) {
	last := len(r.In) - 1
	kw, ow := r.Kernel[last], r.Out[last]
	width := ((ow-1)*r.Strides[last] + kw) * r.C
	right := r.W.groups[0]
	par.Each(p, r.rows/ow, max(1, work/max(1, ow*right.K*right.Panels()*qgemm.Width)), gatherTasks{
		r: r, width: width, view: qgemm.View{M: ow, K: kw * r.C, Stride: r.Strides[last] * r.C, Segments: r.W.Taps / kw, Step: width},
	}, (*gatherTasks).run)
}

// gatherTasks are lines of the output, of which each line seen takes width bytes.
type gatherTasks struct {
	r     *runner
	view  qgemm.View
	width int
}

func (t *gatherTasks) run(lo, hi int) {
	r, m, table := t.r, rowMemories.Get().(*rowMemory), qgemm.Best()
	last := len(r.In) - 1
	ow, iw, image := r.Out[last], r.In[last]*r.C, product(r.In)*r.C
	f, panels := r.R.groups[0], r.W.groups[0].Panels()
	c0 := min(r.Before[last]*r.C, t.width)
	c1 := min(c0+iw, t.width)
	m.pos, m.tap = sized(m.pos, last), sized(m.tap, last)
	m.lines, m.rows = sized(m.lines, t.view.Segments), sized(m.rows, t.view.Segments*t.width+4)
	m.view = t.view
	m.view.Data = m.rows
	if f.Zeros != nil {
		m.sums = sized(m.sums, ow)
		m.view.Sums = m.sums
	}
	for l := lo; l < hi; l++ {
		seek(m.pos, r.Out[:last], l%(r.out/ow))
		r.linesOf(m)
		x := r.X[l/(r.out/ow)*image:][:image]
		for o, line := range m.lines {
			dst := m.rows[o*t.width : (o+1)*t.width]
			if line < 0 {
				fill(dst, r.Zero)
				continue
			}
			fill(dst[:c0], r.Zero)
			copy(dst[c0:c1], x[line*r.C:])
			fill(dst[c1:], r.Zero)
		}
		if f.Zeros != nil {
			m.view.RowSums(m.view.Sums)
		}
		r.product(f, table, &m.view, 0, 0, panels, l*ow)
		r.act(l*ow, (l+1)*ow, 0, 0, panels)
	}
	m.free()
}
