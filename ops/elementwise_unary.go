package ops

import (
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// The loops of the simple unary operators.

func absLoop[T signedInt](d, x []T) { zip(d, x, func(v T) T { return max(v, -v) }) }

func sameLoop[T unsignedInt](d, x []T) { copy(d, x) }

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

// The loops of Sign have no branches: signs have no pattern.

func signLoop[T integer](d, x []T) {
	zip(d, x, func(v T) T {
		more, less := 0, 0
		if v > 0 {
			more = 1
		}
		if v < 0 {
			less = 1
		}
		return T(more - less)
	})
}

func signLoop32(d, x []float32) {
	zip(float32Words(d), float32Words(x), func(v uint32) uint32 {
		one := v&(1<<31) | 0x3f800000
		if v<<1-1 >= 0xff000000 { // 0 and NaN
			one = v
		}
		return one
	})
}

func signLoop64(d, x []float64) {
	words := func(s []float64) []uint64 { return unsafe.Slice((*uint64)(startOf(s)), len(s)) }
	zip(words(d), words(x), func(v uint64) uint64 {
		one := v&(1<<63) | 0x3ff<<52
		if v<<1-1 >= 0xffe<<52 {
			one = v
		}
		return one
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

func softsignLoop(d, x []float64) {
	zip(d, x, func(v float64) float64 { return v / (1 + math.Abs(v)) })
}

// softsignLoop32 is softsignLoop by vectors.
func softsignLoop32(t *vec.Table) loop[float32, float32] {
	return func(d, x []float32) {
		w := bufferPool.Get().(*buffers)
		defer bufferPool.Put(w)
		for lo := 0; lo < len(d); lo += block {
			v := x[lo:min(lo+block, len(d))]
			b := w.b[:len(v)]
			t.Abs(b, v)
			t.AddScalar(b, b, 1)
			t.Div(d[lo:lo+len(v)], v, b)
		}
	}
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
