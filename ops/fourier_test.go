package ops_test

import (
	"math"
	"math/cmplx"
)

// naiveDFT is the sum of the definition, over n elements of x, which is cut or
// filled with zeros. sign is -1 for the transform, +1 for its inverse without
// the factor.
func naiveDFT(x []complex128, n int, sign float64) []complex128 {
	y := make([]complex128, n)
	for k := range y {
		for i := 0; i < min(n, len(x)); i++ {
			y[k] += x[i] * cmplx.Exp(complex(0, sign*2*math.Pi*float64(k*i%n)/float64(n)))
		}
	}
	return y
}

// parts lists real and imaginary parts.
func parts(z []complex128) []float32 {
	var out []float32
	for _, v := range z {
		out = append(out, float32(real(v)), float32(imag(v)))
	}
	return out
}

func complexes(re, im []float32) []complex128 {
	z := make([]complex128, len(re))
	for i := range z {
		z[i] = complex(float64(re[i]), 0)
		if im != nil {
			z[i] += complex(0, float64(im[i]))
		}
	}
	return z
}
