package conv

import (
	"math"

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

func newWalker(w *Window) *walker {
	return &walker{w: w, pos: make([]int, len(w.In)), tap: make([]int, len(w.In))}
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

// each calls f for each row of the output of planes images; src and dst are
// where the plane begins in the input and the row in the output.
func (w *Window) each(p par.P, planes int, f func(v *walker, src, dst int)) {
	last := len(w.In) - 1
	rows, ow, in := product(w.Out[:last]), w.Out[last], product(w.In)
	if ow == 0 {
		return
	}
	p.For(planes*rows, w.rowGrain(), func(lo, hi int) {
		v := newWalker(w)
		for r := lo; r < hi; r++ {
			v.seek(r % rows)
			f(v, r/rows*in, r*ow)
		}
	})
}

// MaxPool takes the largest element of each window; NaN is the largest of all,
// and an empty window gives least. Where index is not nil it gets the position
// of the element in x, counted from the start of x; with columns, the position
// within a plane is counted with the first dimension fastest.
func MaxPool[T Pooled](p par.P, planes int, w *Window, x, y []T, index []int64, columns bool, least T) {
	last := len(w.In) - 1
	dil, ow := w.Dilations[last], w.Out[last]
	w.each(p, planes, func(v *walker, src, dst int) {
		out := y[dst : dst+ow]
		if index != nil {
			maxIndex(v, x[src:src+product(w.In)], out, index[dst:dst+ow], src, columns, least)
			return
		}
		for i := range out {
			out[i] = least
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
	})
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
	last := len(w.In) - 1
	dil, ow := w.Dilations[last], w.Out[last]
	w.each(p, planes, func(v *walker, src, dst int) {
		outer := 1
		for i, o := range v.pos[:last] {
			if counts != nil {
				outer *= counts[i][o]
			}
		}
		for i := range ow {
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
	})
}

// LpPool takes the p-norm of each window.
func LpPool[T Float](p par.P, planes int, w *Window, x, y []T, norm float64) {
	last := len(w.In) - 1
	dil, ow := w.Dilations[last], w.Out[last]
	w.each(p, planes, func(v *walker, src, dst int) {
		for i := range ow {
			at, n := w.columns(i)
			sum := 0.0
			for _, row := range v.rows {
				a := src + row + at
				for range n {
					sum += power(float64(x[a]), norm)
					a += dil
				}
			}
			y[dst+i] = T(root(sum, norm))
		}
	})
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
