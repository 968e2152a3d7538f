package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
)

// shortLine is the most elements of a line that is one of many.
const shortLine = 32

// Lines of float32 are turned, so that elements of many lines lie side by side: up to
// turnedLines at a time, which together have up to turnedMost elements.
const (
	turnedLines = 512
	turnedMost  = 4096
	turnedFew   = 8 // fewer lines are not worth it
)

// turnedBuffers is the memory of lines that are turned.
type turnedBuffers struct {
	x, e       [turnedMost]float32
	best, sums [turnedLines]float32
	exact      [turnedLines]float64
	at         [turnedLines]int32
	logs       logSums
	walk       reduceWalk
}

// turn sets b.x to k lines of n elements turned, and returns it.
func (b *turnedBuffers) turn(x []float32, k, n int) []float32 {
	d := b.x[:k*n]
	move.Transpose(float32Words(d), float32Words(x), n, k, k, n)
	return d
}

// turnedSoftmax is Softmax, or LogSoftmax, of contiguous lines of a few elements.
type turnedSoftmax struct {
	t    *vec.Table
	y, x []float32
	n    int
	log  bool
}

// softmaxTurned computes y, which may be x, and reports whether lines are such ones.
func softmaxTurned(p par.P, t *vec.Table, y, x []float32, outer, n, inner int, log bool) bool {
	if inner != 1 || n > shortLine || n == 0 || outer < turnedFew {
		return false
	}
	par.Run(p, outer, 1+(1<<13)/n, par.With(turnedSoftmax{t, y, x, n, log}))
	return true
}

func (s *turnedSoftmax) Chunk(lo, hi int) {
	b, pool := borrow[turnedBuffers]()
	defer pool.Put(b)
	for n := s.n; lo < hi; {
		k := min(turnedLines, turnedMost/n, hi-lo)
		d := b.turn(s.x[lo*n:], k, n)
		b.largest(s.t, d, k, n)
		if s.log {
			b.logSoftmax(s.t, d, k, n)
		} else {
			b.softmax(s.t, d, k, n)
		}
		move.Transpose(float32Words(s.y[lo*n:]), float32Words(d), k, n, n, k)
		lo += k
	}
}

// largest sets b.best to the largest of each of k lines of n elements.
func (b *turnedBuffers) largest(t *vec.Table, d []float32, k, n int) {
	best := b.best[:k]
	copy(best, d)
	t.MaxColumns(best, d[k:], n-1, k)
}

// center takes b.best from each of n elements of k lines.
func (b *turnedBuffers) center(t *vec.Table, d []float32, k, n int) {
	t.Arith[vec.Sub].RowsVV(d, d, b.best[:k], k, n, k, 0)
}

// softmax replaces d. b.best is largest.
func (b *turnedBuffers) softmax(t *vec.Table, d []float32, k, n int) {
	b.center(t, d, k, n)
	t.Exp(d, d)
	sums := b.sums[:k]
	clear(sums)
	t.AddColumns(sums, d, n, k)
	t.Reciprocal(sums, sums)
	t.Arith[vec.Mul].RowsVV(d, d, sums, k, n, k, 0)
}

// logSoftmax replaces d. b.best is largest.
func (b *turnedBuffers) logSoftmax(t *vec.Table, d []float32, k, n int) {
	b.center(t, d, k, n)
	e, sums := b.e[:k*n], b.sums[:k]
	t.Exp(e, d)
	b.logs.begin(k)
	b.logs.add(t, e, n)
	b.logs.join(t)
	b.logs.of(t, sums)
	t.Arith[vec.Sub].RowsVV(d, d, sums, k, n, k, 0)
}

// shortLines64 is Softmax, or LogSoftmax, of contiguous lines of a few float64: the exponentials of
// many lines are made at once, since a call takes longer than those of one.
type shortLines64 struct {
	exp  func(dst, x []float64)
	y, x []float64
	n    int
	log  bool
}

// softmaxShort64 computes y, which may be x, and reports whether lines are such ones.
func softmaxShort64(p par.P, y, x []float64, outer, n, inner int, log bool) bool {
	if inner != 1 || n > shortLine || n == 0 || outer < 2 {
		return false
	}
	par.Run(p, outer, 1+(1<<12)/n, par.With(shortLines64{vec.Best().Exp64, y, x, n, log}))
	return true
}

func (s *shortLines64) Chunk(lo, hi int) {
	buf, pool := borrow[[block]float64]()
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
				sum += v
			}
			if s.log {
				l := math.Log(sum)
				for j, v := range d {
					d[j] = v - l
				}
				continue
			}
			scale := 1 / sum
			for j, v := range line {
				d[j] = v * scale
			}
		}
	}
}

// softmaxLines64 is softmaxLines for float64.
func softmaxLines64(p par.P, y, x []float64, outer, n, inner int) {
	if !softmaxShort64(p, y, x, outer, n, inner, false) {
		alongAxis(p, y, x, outer, n, inner, softmaxRow[float64])
	}
}

// logSoftmaxLines64 is logSoftmaxLines for float64.
func logSoftmaxLines64(p par.P, y, x []float64, outer, n, inner int) {
	if !softmaxShort64(p, y, x, outer, n, inner, true) {
		alongAxis(p, y, x, outer, n, inner, logSoftmaxRow)
	}
}
