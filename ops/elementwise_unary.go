package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// The loops of the simple unary operators.

func absLoop[T number](d, x []T) {
	zip(d, x, func(v T) T {
		if v <= 0 { // also makes -0 a 0
			return 0 - v
		}
		return v
	})
}

// The loops of float64 have an instruction for each element.

func reluLoop64(d, x []float64) { zip(d, x, func(v float64) float64 { return max(v, 0) }) }

func ceilLoop64(d, x []float64)  { zip(d, x, func(v float64) float64 { return math.Ceil(v) }) }
func roundLoop64(d, x []float64) { zip(d, x, func(v float64) float64 { return math.RoundToEven(v) }) }

// sigmoidLoop64 is sigmoid64 by vectors.
func sigmoidLoop64(t *vec.Table) loop[float64, float64] {
	return func(d, x []float64) {
		zip(d, x, func(v float64) float64 { return -v })
		t.Exp64(d, d)
		zip(d, d, func(v float64) float64 { return 1 / (1 + v) })
	}
}

func negLoop[T signedInt](d, x []T) { zip(d, x, func(v T) T { return -v }) }

func signLoop[T number](d, x []T) {
	zip(d, x, func(v T) T {
		switch {
		case v > 0:
			return 1
		case v < 0:
			v = 0
			return v - 1
		}
		return v
	})
}

func reluLoop[T signedInt | float](d, x []T) {
	zip(d, x, func(v T) T {
		if v < 0 {
			return 0
		}
		return v
	})
}

func bitwiseNotLoop[T integer](d, x []T) { zip(d, x, func(v T) T { return ^v }) }

// toFloat makes a loop over integers from a function of floats; the result is
// cut off to an integer.
func toFloat[T integer](f func(float64) float64) loop[T, T] {
	return func(d, x []T) {
		for i, v := range x[:len(d)] {
			d[i] = T(int64(f(float64(v))))
		}
	}
}

func sigmoid64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func softplus64(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

// swish64 is x * sigmoid(u), 0 where sigmoid vanishes.
func swish64(x, u float64) float64 {
	if u < -745 {
		return math.Copysign(0, x)
	}
	return x * sigmoid64(u)
}

func gelu64(x float64) float64 {
	if math.IsInf(x, -1) {
		return math.Copysign(0, -1)
	}
	return 0.5 * x * math.Erfc(-x/math.Sqrt2)
}

func geluTanh64(x float64) float64 {
	return swish64(x, 2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
}

func elu64(alpha float64) func(float64) float64 {
	return func(x float64) float64 {
		if x < 0 {
			return alpha * math.Expm1(x)
		}
		return x
	}
}

func softsignLoop[T float](d, x []T) {
	zip(d, x, func(v T) T {
		if v < 0 {
			return v / (1 - v)
		}
		return v / (1 + v)
	})
}

func hardSwishLoop[T float](d, x []T) {
	zip(d, x, func(v T) T {
		switch h := v*(1.0/6) + 0.5; {
		case h < 0:
			return 0
		case h > 1:
			return v
		default:
			return v * h
		}
	})
}

func mish64(x float64) float64 { return x * math.Tanh(softplus64(x)) }

func notLoop(d, x []bool) { eightBools(d, x, ones, 0) }
