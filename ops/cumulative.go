package ops

import (
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// cumulative makes the kernel of CumSum and CumProd. T is the element type, A
// the type that accumulates.
func cumulative[T, A scatterCell](b *BuildContext, start A, step func(acc A, v T) A) Kernel {
	return cumulativeKernel(b, func(a *cumulativeLoop, lo, hi int) { cumulativeChunk(a, lo, hi, start, step) })
}

func cumulativeKernel(b *BuildContext, chunk func(a *cumulativeLoop, lo, hi int)) Kernel {
	exclusive, reverse := b.Bool("exclusive", false), b.Bool("reverse", false)
	return func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		axis, err := c.axisOf(1, len(s))
		if err != nil {
			return err
		}
		y := c.Output(0, x.DType(), s...)
		if y.Len() == 0 {
			return nil
		}
		outer, n, inner := sizeOf(s[:axis]), s[axis], sizeOf(s[axis+1:])
		panels := (inner + cumulativePanel - 1) / cumulativePanel
		par.Each(c.P, outer*panels, max(1, moveGrain/(n*min(inner, cumulativePanel))),
			cumulativeLoop{chunk, x, y, n, inner, panels, exclusive, reverse}, (*cumulativeLoop).run)
		return nil
	}
}

// cumulativePanel is the number of columns that are summed side by side: memory is read in order, and a page for many of them.
const cumulativePanel = 512

// cumulativeLoop is the work on [outer, n, inner], where inner is cut into panels.
type cumulativeLoop struct {
	chunk              func(a *cumulativeLoop, lo, hi int)
	x, y               *tensor.Tensor
	n, inner, panels   int
	exclusive, reverse bool
}

func (a *cumulativeLoop) run(lo, hi int) { a.chunk(a, lo, hi) }

// cumulativeChunk sums up the columns of some panels.
func cumulativeChunk[T, A scatterCell](a *cumulativeLoop, lo, hi int, start A, step func(acc A, v T) A) {
	x, y := tensor.Data[T](a.x), tensor.Data[T](a.y)
	var acc [cumulativePanel]A
	for u := lo; u < hi; u++ {
		from := u % a.panels * cumulativePanel
		at, w := u/a.panels*a.n*a.inner+from, min(cumulativePanel, a.inner-from)
		if a.inner == 1 {
			cumulativeLine(a, y[at:at+a.n], x[at:at+a.n], start, step)
			continue
		}
		for i := range acc[:w] {
			acc[i] = start
		}
		for k := range a.n {
			if a.reverse {
				k = a.n - 1 - k
			}
			src, dst := x[at+k*a.inner:][:w], y[at+k*a.inner:][:w]
			for i, v := range src {
				if a.exclusive {
					dst[i] = T(acc[i])
					acc[i] = step(acc[i], v)
				} else {
					acc[i] = step(acc[i], v)
					dst[i] = T(acc[i])
				}
			}
		}
	}
}

// cumulativeLine sums up one line.
func cumulativeLine[T, A scatterCell](a *cumulativeLoop, y, x []T, acc A, step func(acc A, v T) A) {
	i, way := 0, 1
	if a.reverse {
		i, way = len(x)-1, -1
	}
	for range x {
		v := x[i]
		if a.exclusive {
			y[i] = T(acc)
			acc = step(acc, v)
		} else {
			acc = step(acc, v)
			y[i] = T(acc)
		}
		i += way
	}
}

// cumulativeProducts dispatches over the element types of CumProd.
func cumulativeProducts(b *BuildContext) (Kernel, error) {
	f32 := cumulative(b, 1, func(acc float64, v float32) float64 { return acc * float64(v) })
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{
		tensor.Float32: f32, tensor.Float64: cumulative(b, 1, func(acc, v float64) float64 { return acc * v }),
		tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int32: cumulative(b, 1, func(acc, v int32) int32 { return acc * v }), tensor.Int64: cumulative(b, 1, func(acc, v int64) int64 { return acc * v }),
		tensor.Uint32: cumulative(b, 1, func(acc, v uint32) uint32 { return acc * v }), tensor.Uint64: cumulative(b, 1, func(acc, v uint64) uint64 { return acc * v }),
	})
}
