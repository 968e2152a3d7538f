package quantize

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
)

// The scale that just holds the greatest weight of a channel is one of many that hold
// all. The squared error of n weights differs between these by about 0.9/√n of itself, by
// chance, so the best of some is better by twice that: for 64 weights by a fifth, for
// 1024 by a twentieth.
const (
	fitMost  = 64      // scales that are tried
	fitWork  = 1 << 14 // weights times scales, so that models of wide layers are not slow
	fitLeast = 8
	fitStep  = 0.003 // between scales: the greatest codes move by about a third
)

// fit replaces the scales of x on the symmetric g, of which there is one for each of the channels,
// by such near them that have the least squared error. No weight is off by more than half a step.
func (g grid) fit(p par.P, x []float32, outer, channels, inner int, scales []float32) {
	tries := min(fitMost, fitWork/max(1, outer*inner))
	if tries < fitLeast || !g.symmetric {
		return
	}
	first := 1 - 0.49/float64(g.hi-(g.lo+g.hi)/2)
	const together = 16 // channels, which have elements in the same lines of the cache
	p.For(channels, together, func(from, to int) {
		n := outer * inner
		buf := make([]float32, together*n)
		for ; from < to; from += together {
			some := min(together, to-from)
			for o := range outer {
				for c := range some {
					copy(buf[c*n+o*inner:][:inner], x[(o*channels+from+c)*inner:])
				}
			}
			for c := range some {
				scales[from+c] = fitted(buf[c*n:][:n], scales[from+c], first, tries)
			}
		}
	})
}

// fitted returns the best scale for x of base and those from first times it on.
func fitted(x []float32, base float32, first float64, tries int) float32 {
	best, least := base, math.Inf(1)
	for k := range tries + 1 {
		s := base
		if k > 0 {
			s = float32(float64(base) * (first + fitStep*float64(k-1)))
		}
		if s < minScale || !isFinite(s) {
			continue
		}
		if sum := roundingError(x, 1/float64(s)) * float64(s) * float64(s); sum < least {
			best, least = s, sum
		}
	}
	return best
}

// roundingError returns the squared error of rounding x times by, of less than 2^51, to integers.
func roundingError(x []float32, by float64) float64 {
	const to = 3 << 51     // numbers near it have no fractions: adding it rounds, halves to even
	var a, b, c, d float64 // which need not wait for each other
	for ; len(x) >= 4; x = x[4:] {
		p, q, r, s := float64(x[0])*by, float64(x[1])*by, float64(x[2])*by, float64(x[3])*by
		p -= float64(p+to) - to
		q -= float64(q+to) - to
		r -= float64(r+to) - to
		s -= float64(s+to) - to
		a += p * p
		b += q * q
		c += r * r
		d += s * s
	}
	for _, v := range x {
		p := float64(v) * by
		p -= float64(p+to) - to
		a += p * p
	}
	return a + b + c + d
}
