package conv

import (
	"math"
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/internal/par"
)

// Pooled is an element type of maximum pooling.
type Pooled interface {
	float32 | float64 | int8 | uint8
}

// walker visits the rows of the output of one plane.
type walker struct {
	w    *Window
	pos  []int // of the row, without the last dimension
	tap  []int
	rows []int // starts of the rows of the image that the window sees
}

var walkers sync.Pool // of *walker

func newWalker(w *Window) *walker {
	v, ok := walkers.Get().(*walker)
	if !ok {
		v = new(walker)
	}
	d := len(w.In)
	v.w, v.pos, v.tap = w, slices.Grow(v.pos[:0], d)[:d], slices.Grow(v.tap[:0], d)[:d]
	clear(v.pos)
	return v
}

// giveBack keeps the memory of v for another.
func (v *walker) giveBack() {
	v.w = nil
	walkers.Put(v)
}

// seek moves to row r of the output and lists the rows of the image.
func (v *walker) seek(r int) {
	last := len(v.w.In) - 1
	seek(v.pos[:last], v.w.Out[:last], r)
	v.rows = v.rows[:0]
	clear(v.tap)
	for range product(v.w.Kernel[:last]) {
		if row, ok := v.w.row(v.pos, v.tap); ok {
			v.rows = append(v.rows, row*v.w.In[last])
		}
		advance(v.tap[:last], v.w.Kernel[:last])
	}
}

// columns returns the first element of a row that position x sees along the
// last dimension, and how many.
func (w *Window) columns(x int) (at, n int) {
	last := len(w.In) - 1
	d, size := w.Dilations[last], w.In[last]
	at = x*w.Strides[last] - w.Before[last]
	lo := 0
	if at < 0 {
		lo = (-at + d - 1) / d
	}
	if m := size - 1 - at; m >= 0 {
		n = max(min(w.Kernel[last], m/d+1)-lo, 0)
	}
	return at + lo*d, n
}

// rowGrain returns how many rows of the output make a chunk of work.
func (w *Window) rowGrain() int {
	return max(1, (1<<15)/max(1, w.Out[len(w.Out)-1]*product(w.Kernel)))
}

// row moves to row r of all planes of the output; src and dst are where the
// plane begins in the input and the row in the output.
func (v *walker) row(r int) (src, dst int) {
	last := len(v.w.In) - 1
	rows := product(v.w.Out[:last])
	v.seek(r % rows)
	return r / rows * product(v.w.In), r * v.w.Out[last]
}

// eachRow runs l for the rows of the output of planes images.
func eachRow(p par.P, planes int, w *Window, l *par.Loop) {
	rows := 0
	if last := len(w.In) - 1; w.Out[last] > 0 {
		rows = planes * product(w.Out[:last])
	}
	par.Run(p, rows, w.rowGrain(), l)
}

// MaxPool takes the largest element of each window; NaN is the largest of all,
// and an empty window gives least. Where index is not nil it gets the position
// of the element in x, counted from the start of x; with columns, the position
// within a plane is counted with the first dimension fastest.
func MaxPool[T Pooled](p par.P, planes int, w *Window, x, y []T, index []int64, columns bool, least T) {
	eachRow(p, planes, w, par.With(maxRows[T]{w, x, y, index, columns, least}))
}

// maxRows is the loop of MaxPool.
type maxRows[T Pooled] struct {
	w       *Window
	x, y    []T
	index   []int64
	columns bool
	least   T
}

func (a *maxRows[T]) Chunk(lo, hi int) {
	w, x := a.w, a.x
	last := len(w.In) - 1
	dil, ow := w.Dilations[last], w.Out[last]
	v := newWalker(w)
	defer v.giveBack()
	for r := lo; r < hi; r++ {
		src, dst := v.row(r)
		out := a.y[dst : dst+ow]
		if a.index != nil {
			maxIndex(v, x[src:src+product(w.In)], out, a.index[dst:dst+ow], src, a.columns, a.least)
			continue
		}
		for i := range out {
			out[i] = a.least
		}
		for _, row := range v.rows {
			line := x[src+row : src+row+w.In[last]]
			for i := range out {
				at, n := w.columns(i)
				m := out[i]
				for range n {
					if e := line[at]; e > m || e != e {
						m = e
					}
					at += dil
				}
				out[i] = m
			}
		}
	}
}

// maxIndex is a row of MaxPool with indices. base is where the plane begins.
func maxIndex[T Pooled](v *walker, plane, out []T, index []int64, base int, columns bool, least T) {
	w := v.w
	last := len(w.In) - 1
	for i := range out {
		at, n := w.columns(i)
		m, best := least, -1
		for _, row := range v.rows {
			a := row + at
			for range n {
				if e := plane[a]; e > m || e != e || best < 0 {
					m, best = e, a
				}
				a += w.Dilations[last]
			}
		}
		out[i] = m
		if columns && best > 0 {
			// Read the row-major position as coordinates, count the first fastest.
			c, step := 0, product(w.In)
			for d := last; d >= 0; d-- {
				step /= w.In[d]
				c += best % w.In[d] * step
				best /= w.In[d]
			}
			best = c
		}
		index[i] = int64(base + max(best, 0))
	}
}

// AveragePool takes the mean of each window. counts[i][o] is the number of
// elements along dimension i that position o divides by; nil: those in the image.
func AveragePool[T Float](p par.P, planes int, w *Window, x, y []T, counts [][]int) {
	eachRow(p, planes, w, par.With(sumRows[T]{w: w, x: x, y: y, counts: counts}))
}

// LpPool takes the p-norm of each window.
func LpPool[T Float](p par.P, planes int, w *Window, x, y []T, norm float64) {
	eachRow(p, planes, w, par.With(sumRows[T]{w: w, x: x, y: y, norm: norm}))
}

// sumRows is the loop of AveragePool or, with a norm, LpPool.
type sumRows[T Float] struct {
	w      *Window
	x, y   []T
	counts [][]int
	norm   float64
}

func (a *sumRows[T]) Chunk(lo, hi int) {
	v := newWalker(a.w)
	defer v.giveBack()
	for r := lo; r < hi; r++ {
		if src, dst := v.row(r); a.norm == 0 {
			a.means(v, src, dst)
		} else {
			a.norms(v, src, dst)
		}
	}
}

func (a *sumRows[T]) means(v *walker, src, dst int) {
	w, x, y, counts := a.w, a.x, a.y, a.counts
	last := len(w.In) - 1
	dil := w.Dilations[last]
	outer := 1
	for i, o := range v.pos[:last] {
		if counts != nil {
			outer *= counts[i][o]
		}
	}
	for i := range w.Out[last] {
		at, n := w.columns(i)
		sum := 0.0
		for _, row := range v.rows {
			a := src + row + at
			for range n {
				sum += float64(x[a])
				a += dil
			}
		}
		div := n * len(v.rows)
		if counts != nil {
			div = outer * counts[last][i]
		}
		if div == 0 {
			y[dst+i] = 0
			continue
		}
		y[dst+i] = T(sum / float64(div))
	}
}

func (a *sumRows[T]) norms(v *walker, src, dst int) {
	w, x := a.w, a.x
	last := len(w.In) - 1
	dil, norm := w.Dilations[last], a.norm
	for i := range w.Out[last] {
		at, n := w.columns(i)
		sum := 0.0
		for _, row := range v.rows {
			a := src + row + at
			for range n {
				sum += power(float64(x[a]), norm)
				a += dil
			}
		}
		a.y[dst+i] = T(root(sum, norm))
	}
}

// Norm returns the p-norm of x.
func Norm[T Float](x []T, p float64) T {
	sum := 0.0
	for _, v := range x {
		sum += power(float64(v), p)
	}
	return T(root(sum, p))
}

func power(x, p float64) float64 {
	switch p {
	case 1:
		return math.Abs(x)
	case 2:
		return x * x
	}
	return math.Pow(math.Abs(x), p)
}

func root(x, p float64) float64 {
	switch p {
	case 1:
		return x
	case 2:
		return math.Sqrt(x)
	}
	return math.Pow(x, 1/p)
}
