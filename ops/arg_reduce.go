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
	return b.dispatch(0, realTypes(
		argKernel[float32](axis, keep, last, largest), argKernel[float64](axis, keep, last, largest),
		argKernel[int8](axis, keep, last, largest), argKernel[int16](axis, keep, last, largest),
		argKernel[int32](axis, keep, last, largest), argKernel[int64](axis, keep, last, largest),
		argKernel[uint8](axis, keep, last, largest), argKernel[uint16](axis, keep, last, largest),
		argKernel[uint32](axis, keep, last, largest), argKernel[uint64](axis, keep, last, largest)))
}

// argKernel finds the index of the best element along axis. A NaN is never
// better; nothing is better than a NaN in the first place.
func argKernel[T scatterCell](axis int, keep, last, largest bool) Kernel {
	chunk := argChunk[T] // once: what is made of a generic function takes memory
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
const argPanel = 64

// argLoop is the work on [outer, n, inner], where inner is cut into panels.
type argLoop struct {
	chunk            func(a *argLoop, lo, hi int)
	x                *tensor.Tensor
	out              []int64
	n, inner, panels int
	last, largest    bool
}

func (a *argLoop) run(lo, hi int) { a.chunk(a, lo, hi) }

// argChunk finds the best of the columns of some panels.
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
