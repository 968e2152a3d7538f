package ops_test

import (
	"math"

	"github.com/gneiss-run/gneiss/tensor"
)

// wave returns n numbers that repeat no pattern.
func wave(n int, seed float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.Sin(float64(i*i)*0.7+seed*1.3+float64(i))) + float32(seed)*0.1
	}
	return x
}

func waveT(seed float64, shape ...int) *tensor.Tensor {
	n, err := tensor.Count(shape)
	if err != nil {
		panic(err)
	}
	return tensor.Of(wave(n, seed), shape...)
}

// naiveMoments returns mean and population variance.
func naiveMoments(x []float32) (mean, variance float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	return mean, variance
}

// naiveNormRows normalizes rows of n elements; the last results are mean and
// 1/deviation per row. Without center it divides by the root mean square.
func naiveNormRows(x []float32, n int, eps float64, center bool, scale, bias []float32) (y, means, invs []float32) {
	y = make([]float32, len(x))
	for r := 0; r < len(x)/n; r++ {
		row := x[r*n : (r+1)*n]
		m, v := naiveMoments(row)
		if !center {
			v += m * m
			m = 0
		}
		inv := 1 / math.Sqrt(v+eps)
		means, invs = append(means, float32(m)), append(invs, float32(inv))
		for i, e := range row {
			s, b := 1.0, 0.0
			if scale != nil {
				s = float64(scale[i])
			}
			if bias != nil {
				b = float64(bias[i])
			}
			y[r*n+i] = float32((float64(e)-m)*inv*s + b)
		}
	}
	return y, means, invs
}

var close5 = tensor.Tolerance{Rel: 1e-4, Abs: 1e-5}

// to16 rounds to float16.
func to16(x []float32) []tensor.F16 {
	y := make([]tensor.F16, len(x))
	for i, v := range x {
		y[i] = tensor.F16Of(v)
	}
	return y
}

// from16 rounds to float16 and back.
func from16(x []float32) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = tensor.F16Of(v).Float32()
	}
	return y
}

func to64(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
