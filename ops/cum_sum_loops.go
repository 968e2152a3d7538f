package ops

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/tensor"
)

// cumulativeSums dispatches over the element types of CumSum. Integers wrap around, signed ones as unsigned.
func cumulativeSums(b *BuildContext) (Kernel, error) {
	f32 := cumulativeKernel(b, sumsChunk[float32, float64])
	half := throughFloat32(f32, 0)
	i32, i64 := cumulativeKernel(b, sumsChunk[uint32, uint32]), cumulativeKernel(b, sumsChunk[uint64, uint64])
	return b.dispatch(0, byType{
		tensor.Float32: f32, tensor.Float64: cumulativeKernel(b, sumsChunk[float64, float64]),
		tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int32: i32, tensor.Int64: i64, tensor.Uint32: i32, tensor.Uint64: i64,
	})
}

// sumsChunk is cumulativeChunk for sums.
func sumsChunk[T, A float32 | float64 | uint32 | uint64](a *cumulativeLoop, lo, hi int) {
	vx, vy := vectorOf(a.x), vectorOf(a.y)
	x, y := unsafe.Slice((*T)(vx.p), vx.n), unsafe.Slice((*T)(vy.p), vy.n)
	if a.inner == 1 {
		for ; lo+4 <= hi && !a.reverse; lo += 4 {
			sumsOfFour[T, A](a, y[lo*a.n:][:4*a.n], x[lo*a.n:])
		}
		for ; lo < hi; lo++ {
			sumsOfLine[T, A](a, y[lo*a.n:][:a.n], x[lo*a.n:])
		}
		return
	}
	var acc [cumulativePanel]A
	for u := lo; u < hi; u++ {
		from := u % a.panels * cumulativePanel
		at, w := u/a.panels*a.n*a.inner+from, min(cumulativePanel, a.inner-from)
		clear(acc[:w])
		for k := range a.n {
			if a.reverse {
				k = a.n - 1 - k
			}
			src := x[at+k*a.inner:][:w]
			sum, dst := acc[:len(src)], y[at+k*a.inner:][:len(src)] // no bounds are left to check
			if a.exclusive {
				for i, v := range src {
					s := sum[i]
					dst[i], sum[i] = T(s), s+A(v)
				}
				continue
			}
			for i, v := range src {
				s := sum[i] + A(v)
				dst[i], sum[i] = T(s), s
			}
		}
	}
}

// sumsOfFour sums up four lines at a time, whose additions need not wait for each other.
func sumsOfFour[T, A float32 | float64 | uint32 | uint64](a *cumulativeLoop, y, x []T) {
	n := a.n
	x0, x1, x2, x3 := x[:n], x[n:][:n], x[2*n:][:n], x[3*n:][:n]
	y0, y1, y2, y3 := y[:n], y[n:][:n], y[2*n:][:n], y[3*n:][:n]
	var s0, s1, s2, s3 A
	if a.exclusive {
		for i := range x0 {
			v0, v1, v2, v3 := x0[i], x1[i], x2[i], x3[i]
			y0[i], y1[i], y2[i], y3[i] = T(s0), T(s1), T(s2), T(s3)
			s0, s1, s2, s3 = s0+A(v0), s1+A(v1), s2+A(v2), s3+A(v3)
		}
		return
	}
	for i := range x0 {
		s0, s1, s2, s3 = s0+A(x0[i]), s1+A(x1[i]), s2+A(x2[i]), s3+A(x3[i])
		y0[i], y1[i], y2[i], y3[i] = T(s0), T(s1), T(s2), T(s3)
	}
}

// sumsOfLine sums up one line.
func sumsOfLine[T, A float32 | float64 | uint32 | uint64](a *cumulativeLoop, y, x []T) {
	x = x[:len(y)]
	var sum A
	switch {
	case a.reverse:
		for i := len(x) - 1; i >= 0; i-- {
			before := sum
			sum += A(x[i])
			if a.exclusive {
				y[i] = T(before)
			} else {
				y[i] = T(sum)
			}
		}
	case a.exclusive:
		for i, v := range x {
			y[i] = T(sum)
			sum += A(v)
		}
	default:
		for i, v := range x {
			sum += A(v)
			y[i] = T(sum)
		}
	}
}
