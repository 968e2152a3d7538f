package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// cumulative makes the kernel of CumSum and CumProd. T is the element type, A
// the type that accumulates.
func cumulative[T, A scatterCell](b *BuildContext, start A, step func(acc A, v T) A) Kernel {
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
		d, out := tensor.Data[T](x), tensor.Data[T](y)
		outer, n, inner := sizeOf(s[:axis]), s[axis], sizeOf(s[axis+1:])
		// Columns of a panel are summed side by side, so that memory is read in order.
		const panel = 64
		panels := (inner + panel - 1) / panel
		c.P.For(outer*panels, max(1, moveGrain/(n*min(inner, panel))), func(lo, hi int) {
			var acc [panel]A
			for u := lo; u < hi; u++ {
				at := u/panels*n*inner + u%panels*panel
				w := min(panel, inner-u%panels*panel)
				for i := range acc {
					acc[i] = start
				}
				for k := range n {
					if reverse {
						k = n - 1 - k
					}
					src, dst := d[at+k*inner:][:w], out[at+k*inner:][:w]
					for i, v := range src {
						if exclusive {
							dst[i] = T(acc[i])
							acc[i] = step(acc[i], v)
						} else {
							acc[i] = step(acc[i], v)
							dst[i] = T(acc[i])
						}
					}
				}
			}
		})
		return nil
	}
}

// cumulativeTypes dispatches over the element types of CumSum and CumProd.
func cumulativeTypes(b *BuildContext, start float64, wide func(acc float64, v float64) float64) (Kernel, error) {
	f32 := cumulative(b, start, func(acc float64, v float32) float64 { return wide(acc, float64(v)) })
	half := throughFloat32(f32, 0)
	product := start == 1
	return b.dispatch(0, byType{
		tensor.Float32: f32, tensor.Float64: cumulative(b, start, wide),
		tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int32: cumulativeInt[int32](b, product), tensor.Int64: cumulativeInt[int64](b, product),
		tensor.Uint32: cumulativeInt[uint32](b, product), tensor.Uint64: cumulativeInt[uint64](b, product),
	})
}

func cumulativeInt[T int32 | int64 | uint32 | uint64](b *BuildContext, product bool) Kernel {
	if product {
		return cumulative(b, T(1), func(acc, v T) T { return acc * v })
	}
	return cumulative(b, T(0), func(acc, v T) T { return acc + v })
}
