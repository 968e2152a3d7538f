package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// What ArgMax and ArgMin share.

func inferArg(c *InferContext) error {
	axis, keep := c.Int("axis", 0), c.Bool("keepdims", true)
	c.Ignore("select_last_index")
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(tensor.Int64)
	if !x.Ranked {
		return nil
	}
	a, err := tensor.Axis(axis, len(x.Dims))
	if err != nil {
		return err
	}
	dims := append([]onnx.Dim{}, x.Dims[:a]...)
	if keep {
		dims = append(dims, onnx.Size(1))
	}
	c.Out[0] = onnx.TensorType(tensor.Int64, append(dims, x.Dims[a+1:]...)...)
	return nil
}

func buildArg(b *BuildContext, largest bool) (Kernel, error) {
	axis, keep, last := b.Int("axis", 0), b.Bool("keepdims", true), b.Bool("select_last_index", false)
	of := func(chunk argRange) Kernel { return argKernel(chunk, axis, keep, last, largest) }
	return b.dispatch(0, realTypes(of(argFloats), of(argChunk[float64]), of(argChunk[int8]), of(argChunk[int16]), of(argChunk[int32]),
		of(argChunk[int64]), of(argChunk[uint8]), of(argChunk[uint16]), of(argChunk[uint32]), of(argChunk[uint64])))
}

// argKernel finds the index of the best element along axis. A NaN is never
// better; nothing is better than a NaN in the first place.
//
//go:noinline
func argKernel(chunk argRange, axis int, keep, last, largest bool) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		a, err := tensor.Axis(axis, len(s))
		if err != nil {
			return err
		}
		shape := append(c.Dims(len(s))[:0], s[:a]...)
		if keep {
			shape = append(shape, 1)
		}
		y := c.Output(0, tensor.Int64, append(shape, s[a+1:]...)...)
		if y.Len() == 0 {
			return nil
		}
		outer, n, inner := sizeOf(s[:a]), s[a], sizeOf(s[a+1:])
		if n == 0 {
			return fmt.Errorf("dimension %d of data is 0", a)
		}
		loop := argLoop{chunk, x, tensor.Data[int64](y), n, inner, (inner + argPanel - 1) / argPanel, last, largest}
		par.Each(c.P, outer*loop.panels, max(1, moveGrain/(n*min(inner, argPanel))), loop, (*argLoop).run)
		return nil
	}
}

// argPanel is the number of columns that are looked at together.
const argPanel = 256

// argLoop is the work on [outer, n, inner], where inner is cut into panels.
type argLoop struct {
	chunk            argRange
	x                *tensor.Tensor
	out              []int64
	n, inner, panels int
	last, largest    bool
}

// argRange finds the best of the columns of some panels.
type argRange = func(a *argLoop, lo, hi int)

func (a *argLoop) run(lo, hi int) { a.chunk(a, lo, hi) }

// argFloats is argChunk for float32, by vectors.
func argFloats(a *argLoop, lo, hi int) {
	arg := vec.ArgMax
	if !a.largest {
		arg = vec.ArgMin
	}
	if a.last {
		arg += vec.ArgMaxLast
	}
	t, d := vec.Best(), tensor.Data[float32](a.x)
	b, pool := borrow[turnedBuffers]()
	defer pool.Put(b)
	switch {
	case a.inner == 1 && a.n <= shortLine && hi-lo >= turnedFew:
		for lo < hi {
			k := min(turnedLines, turnedMost/a.n, hi-lo)
			widen32(a.out[lo:], b.arg(t, arg, b.turn(d[lo*a.n:], k, a.n), k, a.n, k))
			lo += k
		}
	case a.inner == 1:
		argChunk[float32](a, lo, hi)
	default:
		for u := lo; u < hi; u++ {
			o, from := u/a.panels, u%a.panels*argPanel
			w := min(argPanel, a.inner-from)
			widen32(a.out[o*a.inner+from:], b.arg(t, arg, d[o*a.n*a.inner+from:], w, a.n, a.inner))
		}
	}
}

// arg returns which of n rows, stride elements apart, is the best in each of k columns, and leaves what is in b.best.
func (b *turnedBuffers) arg(t *vec.Table, arg vec.Arg, d []float32, k, n, stride int) []int32 {
	best, at := b.best[:k], b.at[:k]
	copy(best, d)
	clear(at)
	if n > 1 {
		t.ArgColumns[arg](at, best, d[stride:], n-1, stride, 1)
	}
	return at
}

// widen32 copies x.
func widen32(dst []int64, x []int32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = int64(v)
	}
}

// argChunk is one for any type.
func argChunk[T scatterCell](a *argLoop, lo, hi int) {
	d := tensor.Data[T](a.x)
	if a.inner == 1 {
		for o := lo; o < hi; o++ {
			a.out[o] = int64(argRow(d[o*a.n:][:a.n], a.last, a.largest))
		}
		return
	}
	var best [argPanel]T
	for u := lo; u < hi; u++ {
		o, from := u/a.panels, u%a.panels*argPanel
		w := min(argPanel, a.inner-from)
		to, b := a.out[o*a.inner+from:][:w], best[:w]
		clear(to)
		copy(b, d[o*a.n*a.inner+from:])
		for k := 1; k < a.n; k++ {
			row := d[(o*a.n+k)*a.inner+from:][:w]
			switch {
			case a.last:
				for i, v := range row {
					if a.largest && v >= b[i] || !a.largest && v <= b[i] {
						b[i], to[i] = v, int64(k)
					}
				}
			case a.largest:
				for i, v := range row {
					if v > b[i] {
						b[i], to[i] = v, int64(k)
					}
				}
			default:
				for i, v := range row {
					if v < b[i] {
						b[i], to[i] = v, int64(k)
					}
				}
			}
		}
	}
}

// argRow returns the index of the best element of a row.
func argRow[T scatterCell](x []T, last, largest bool) int {
	best, at := x[0], 0
	if f, ok := any(x).([]float32); ok && len(f) < 16 && !last {
		return argFew(f, largest)
	} else if ok && len(f) >= 16 {
		// The best element first, then where it is.
		t := vec.Best()
		m := float32(0)
		if largest {
			m = t.Largest(f)
		} else {
			m = t.Smallest(f)
		}
		if m == m {
			if last {
				for i := len(f) - 1; i > 0; i-- {
					if f[i] == m {
						return i
					}
				}
				return 0
			}
			return slices.Index(f, m)
		}
	}
	for i, v := range x {
		if largest && v > best || !largest && v < best || last && v == best {
			best, at = v, i
		}
	}
	return at
}

// argFew is argRow for a short row, by integers of the same order: without branches, which would
// go the wrong way in every other row.
func argFew(x []float32, largest bool) int {
	turn := int32(0)
	if !largest {
		turn = -1
	}
	if x[0] != x[0] {
		return 0
	}
	best := int64(math.MinInt64)
	for i, v := range x {
		k := int64(rankOf(v)^turn)<<32 | int64(len(x)-i) // of equal ones the first has most
		if v != v {
			k = math.MinInt64
		}
		best = max(best, k)
	}
	return len(x) - int(uint32(best))
}

// rankOf returns an integer that is larger for larger numbers, and the same for both zeros.
func rankOf(v float32) int32 {
	b := int32(math.Float32bits(v + 0))
	return b ^ int32(uint32(b>>31)>>1)
}
