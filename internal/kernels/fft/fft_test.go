package fft

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"
)

// naive is the definition.
func naive(x []complex128, sign float64) []complex128 {
	n := len(x)
	y := make([]complex128, n)
	for k := range y {
		for j, v := range x {
			sin, cos := math.Sincos(sign * 2 * math.Pi * float64(j*k%n) / float64(n))
			y[k] += v * complex(cos, sin)
		}
	}
	return y
}

func TestTransforms(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 17, 20, 25, 30, 34, 48, 60, 64, 97, 100, 128, 225, 256, 360, 400, 480, 512, 1000} {
		p, work := New(n), make([]complex128, n)
		x, re := make([]complex128, n), make([]complex128, n)
		for i := range x {
			x[i], re[i] = complex(r.NormFloat64(), r.NormFloat64()), complex(r.NormFloat64(), 0)
		}
		same := func(what string, got, want []complex128) {
			t.Helper()
			for i, v := range want {
				if d := cmplx.Abs(got[i] - v); !(d <= 1e-13*float64(n+10)) {
					t.Fatalf("%s of %d: element %d is %v, want %v", what, n, i, got[i], v)
				}
			}
		}
		y := append([]complex128(nil), x...)
		p.Forward(y, work)
		same("Forward", y, naive(x, -1))
		y = append(y[:0], x...)
		p.Inverse(y, work)
		same("Inverse", y, naive(x, 1))
		y = append(y[:0], re...)
		for i, v := range y { // what is not read
			y[i] = complex(real(v), math.NaN())
		}
		p.Real(y, work)
		half := naive(re, -1)[:n/2+1]
		same("Real", y, half)
		y = append(y[:0], make([]complex128, n)...)
		for i := range y {
			y[i] = cmplx.NaN()
		}
		copy(y, half)
		p.InverseReal(y, work)
		for i := range re {
			y[i] = complex(real(y[i])/float64(n), 0)
		}
		same("InverseReal", y, re)
	}
}

func BenchmarkReal(b *testing.B) {
	for _, n := range []int{256, 400, 768, 1024, 1021} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x, work, p := make([]complex128, n), make([]complex128, n), New(n)
			for i := range x {
				x[i] = complex(math.Sin(float64(i)), 0)
			}
			for b.Loop() {
				p.Real(x, work)
			}
		})
	}
}
