package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
)

// shortLines is Softmax, or LogSoftmax, of contiguous lines of a few elements: the exponentials of
// many lines are made at once, since a call takes longer than those of one.
type shortLines[T floating] struct {
	exp  func(dst, x []T)
	y, x []T
	n    int
	log  bool
}

// shortLine is the most elements of a line that is one of many.
const shortLine = 32

// softmaxShort computes y, which may be x, and reports whether lines are such ones.
func softmaxShort[T floating](p par.P, exp func(dst, x []T), y, x []T, outer, n, inner int, log bool) bool {
	if inner != 1 || n > shortLine || n == 0 || outer < 2 {
		return false
	}
	par.Run(p, outer, 1+(1<<12)/n, shortLines[T]{exp, y, x, n, log})
	return true
}

func (s *shortLines[T]) Chunk(lo, hi int) {
	buf, pool := borrow[[block]T]()
	defer pool.Put(buf)
	n := s.n
	for many := block / n; lo < hi; lo += many {
		k := min(many, hi-lo) * n
		x, y, e := s.x[lo*n:][:k], s.y[lo*n:][:k], buf[:k]
		for i := 0; i < k; i += n {
			line, d := x[i:i+n], y[i:i+n]
			m := line[0]
			for _, v := range line[1:] {
				m = max(m, v)
			}
			for j, v := range line {
				d[j] = v - m
			}
		}
		s.exp(e, y)
		for i := 0; i < k; i += n {
			line, d := e[i:i+n], y[i:i+n]
			sum := 0.0
			for _, v := range line {
				sum += float64(v)
			}
			if s.log {
				l := math.Log(sum)
				for j, v := range d {
					d[j] = T(float64(v) - l)
				}
				continue
			}
			scale := T(1 / sum)
			for j, v := range line {
				d[j] = v * scale
			}
		}
	}
}

// softmaxLines64 is softmaxLines for float64.
func softmaxLines64(p par.P, y, x []float64, outer, n, inner int) {
	if !softmaxShort(p, vec.Best().Exp64, y, x, outer, n, inner, false) {
		alongAxis(p, y, x, outer, n, inner, softmaxRow[float64])
	}
}

// logSoftmaxLines64 is logSoftmaxLines for float64.
func logSoftmaxLines64(p par.P, y, x []float64, outer, n, inner int) {
	if !softmaxShort(p, vec.Best().Exp64, y, x, outer, n, inner, true) {
		alongAxis(p, y, x, outer, n, inner, logSoftmaxRow[float64])
	}
}
