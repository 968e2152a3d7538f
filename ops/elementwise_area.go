package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// The inverse hyperbolic functions of float32 are logarithms in float64. Near 0, where these lose digits, the first
// terms of the series of asinh and atanh do.

const nearZero = 1e-3

func asinhLoop(t *vec.Table) loop[float32, float32] {
	return byLogs(t, func(w []float64, x []float32) {
		zip(w, x, func(v float32) float64 {
			a := math.Abs(float64(v))
			return a + math.Sqrt(a*a+1)
		})
	}, func(d []float32, w []float64, x []float32) {
		zipVV(d, w, x, func(log float64, v float32) float32 {
			a := float64(v)
			if math.Abs(a) < nearZero {
				return float32(a * (1 - a*a*(1./6)))
			}
			return float32(math.Copysign(log, a))
		})
	})
}

func acoshLoop(t *vec.Table) loop[float32, float32] {
	return byLogs(t, func(w []float64, x []float32) {
		zip(w, x, func(v float32) float64 {
			a := float64(v)
			return a + math.Sqrt((a-1)*(a+1))
		})
	}, func(d []float32, w []float64, x []float32) {
		zipVV(d, w, x, func(log float64, v float32) float32 {
			if !(v >= 1) {
				return float32(math.NaN())
			}
			return float32(log)
		})
	})
}

func atanhLoop(t *vec.Table) loop[float32, float32] {
	return byLogs(t, func(w []float64, x []float32) {
		zip(w, x, func(v float32) float64 { return (1 + float64(v)) / (1 - float64(v)) })
	}, func(d []float32, w []float64, x []float32) {
		zipVV(d, w, x, func(log float64, v float32) float32 {
			a := float64(v)
			if math.Abs(a) < nearZero {
				return float32(a * (1 + a*a*(1./3)))
			}
			return float32(0.5 * log)
		})
	})
}

// byLogs makes a loop of what goes into the logarithms and what becomes of them.
func byLogs(t *vec.Table, before func(w []float64, x []float32), after func(d []float32, w []float64, x []float32)) loop[float32, float32] {
	return func(d, x []float32) {
		mem, pool := borrow[[block]float64]()
		defer pool.Put(mem)
		for lo := 0; lo < len(d); lo += block {
			hi := min(lo+block, len(d))
			w := mem[:hi-lo]
			before(w, x[lo:hi])
			t.Log64(w, w)
			after(d[lo:hi], w, x[lo:hi])
		}
	}
}
