package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
)

const softmaxPanel = 512

// softmaxPanels is Softmax, or LogSoftmax, of lines whose elements are inner apart: up to softmaxPanel
// of them side by side.
type softmaxPanels struct {
	t                *vec.Table
	y, x             []float32
	n, inner, panels int
	log              bool
}

// softmaxSideBySide computes y, which may be x, and reports whether lines are such ones.
func softmaxSideBySide(p par.P, t *vec.Table, y, x []float32, outer, n, inner int, log bool) bool {
	if inner < 16 || len(x) == 0 {
		return false
	}
	panels := (inner + softmaxPanel - 1) / softmaxPanel
	par.Run(p, outer*panels, 1+(1<<13)/(n*min(inner, softmaxPanel)), par.With(softmaxPanels{t, y, x, n, inner, panels, log}))
	return true
}

// panelBuffers has an element for each line of a panel.
type panelBuffers struct {
	best, sum, part [softmaxPanel]float32
	logs            logSums
}

func (s *softmaxPanels) Chunk(lo, hi int) {
	b, pool := borrow[panelBuffers]()
	defer pool.Put(b)
	t, n := s.t, s.n
	for u := lo; u < hi; u++ {
		at := u % s.panels * softmaxPanel
		w, base := min(softmaxPanel, s.inner-at), u/s.panels*n*s.inner+at
		best, sum := b.best[:w], b.sum[:w]
		copy(best, s.x[base:])
		t.MaxColumns(best, s.x[base+min(1, n-1)*s.inner:], n-1, s.inner)
		if s.log {
			s.logs(b, base, w)
			continue
		}
		clear(sum)
		for i := 0; i < n; {
			part := b.part[:w]
			clear(part)
			for end := min(n, i+32); i < end; i++ { // so that long sums stay exact
				row := s.y[base+i*s.inner:][:w]
				t.Sub(row, s.x[base+i*s.inner:][:w], best)
				t.Exp(row, row)
				t.Add(part, part, row)
			}
			t.Add(sum, sum, part)
		}
		t.Reciprocal(sum, sum)
		for i := range n {
			row := s.y[base+i*s.inner:][:w]
			t.Mul(row, row, sum)
		}
	}
}

// logs is LogSoftmax of w lines from base on. b.best is the largest of each.
func (s *softmaxPanels) logs(b *panelBuffers, base, w int) {
	t, e, best, sum := s.t, b.part[:w], b.best[:w], b.sum[:w]
	b.logs.begin(w)
	for i := 0; i < s.n; {
		for end := min(s.n, i+32); i < end; i++ {
			row := s.y[base+i*s.inner:][:w]
			t.Sub(row, s.x[base+i*s.inner:][:w], best)
			t.Exp(e, row)
			b.logs.add(t, e, 1)
		}
		b.logs.join(t)
	}
	b.logs.of(t, sum)
	for i := range s.n {
		row := s.y[base+i*s.inner:][:w]
		t.Sub(row, row, sum)
	}
}
