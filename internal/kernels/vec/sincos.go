package vec

import "math"

func sin(dst, src []float32) { sines(dst, src, 0) }
func cos(dst, src []float32) { sines(dst, src, 1) }

// The numbers that an argument is reduced with: pi/2 is halfPi + halfPiRest, and
// the products of halfPi's 33 bits with numbers up to 2^20 are exact.
const (
	halfPi     = 1.57079632673412561417e+00
	halfPiRest = 6.07710050650619224932e-11
	reducible  = 1 << 20
)

// sines computes sin(x + quarter·pi/2): x is reduced to [-pi/4, pi/4] and a
// number of quarter turns, which say whether the series of the sine or of the
// cosine is due and with which sign. All is done in float64.
func sines(dst, src []float32, quarter int64) {
	src = src[:len(dst)]
	for i, v := range src {
		x := float64(v)
		if !(math.Abs(x) < reducible) { // large, Inf or NaN
			if quarter == 0 {
				dst[i] = float32(math.Sin(x))
			} else {
				dst[i] = float32(math.Cos(x))
			}
			continue
		}
		n := int64(x*(2/math.Pi) + math.Copysign(0.5, x))
		r := x - float64(n)*halfPi - float64(n)*halfPiRest
		z := r * r
		n += quarter
		both := [2]float64{ // a branch would be foreseen half the time
			r * (1 + z*(-1./6+z*(1./120+z*(-1./5040+z*(1./362880))))),
			1 + z*(-1./2+z*(1./24+z*(-1./720+z*(1./40320+z*(-1./3628800))))),
		}
		y := math.Float64bits(both[n&1]) ^ uint64(n&2)<<62
		dst[i] = float32(math.Float64frombits(y))
	}
}
