package nn

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

// Init fills a parameter of the given shape with first values. Weights have the
// outputs first: [out, in, kernel…].
type Init func(r *rand.Rand, data []float32, shape []int)

// fans returns how many inputs an output reads and how many outputs read an input.
func fans(shape []int) (in, out float64) {
	if len(shape) < 2 {
		n := 1.0
		if len(shape) == 1 {
			n = float64(shape[0])
		}
		return n, n
	}
	field := 1
	for _, n := range shape[2:] {
		field *= n
	}
	return float64(shape[1] * field), float64(shape[0] * field)
}

func fill(data []float32, f func() float64) {
	for i := range data {
		data[i] = float32(f())
	}
}

// Full sets all elements to v.
func Full(v float64) Init {
	return func(_ *rand.Rand, data []float32, _ []int) { fill(data, func() float64 { return v }) }
}

// Zeros and Ones set all elements to 0 and 1.
var Zeros, Ones = Full(0), Full(1)

// Uniform draws from [lo, hi).
func Uniform(lo, hi float64) Init {
	return func(r *rand.Rand, data []float32, _ []int) {
		fill(data, func() float64 { return lo + (hi-lo)*r.Float64() })
	}
}

// Normal draws from the normal distribution.
func Normal(mean, std float64) Init {
	return func(r *rand.Rand, data []float32, _ []int) {
		fill(data, func() float64 { return mean + std*r.NormFloat64() })
	}
}

// TruncatedNormal draws from the normal distribution with mean 0 within two
// standard deviations.
func TruncatedNormal(std float64) Init {
	return func(r *rand.Rand, data []float32, _ []int) {
		fill(data, func() float64 {
			for {
				if x := r.NormFloat64(); math.Abs(x) <= 2 {
					return std * x
				}
			}
		})
	}
}

// XavierUniform draws from ±gain·sqrt(6/(in+out)). Glorot and Bengio,
// Understanding the difficulty of training deep feedforward neural networks, 2010.
func XavierUniform(gain float64) Init {
	return func(r *rand.Rand, data []float32, shape []int) {
		in, out := fans(shape)
		a := gain * math.Sqrt(6/(in+out))
		Uniform(-a, a)(r, data, shape)
	}
}

// XavierNormal draws with standard deviation gain·sqrt(2/(in+out)).
func XavierNormal(gain float64) Init {
	return func(r *rand.Rand, data []float32, shape []int) {
		in, out := fans(shape)
		Normal(0, gain*math.Sqrt(2/(in+out)))(r, data, shape)
	}
}

// KaimingUniform draws from ±sqrt(6/((1+slope²)·in)), for layers before a ReLU
// with that slope below 0. He et al., Delving deep into rectifiers, 2015.
func KaimingUniform(slope float64) Init {
	return func(r *rand.Rand, data []float32, shape []int) {
		in, _ := fans(shape)
		a := math.Sqrt(6 / ((1 + slope*slope) * in))
		Uniform(-a, a)(r, data, shape)
	}
}

// KaimingNormal draws with standard deviation sqrt(2/((1+slope²)·in)).
func KaimingNormal(slope float64) Init {
	return func(r *rand.Rand, data []float32, shape []int) {
		in, _ := fans(shape)
		Normal(0, math.Sqrt(2/((1+slope*slope)*in)))(r, data, shape)
	}
}

// Orthogonal makes the rows, or the columns if these are fewer, of the weight as
// a matrix [out, in·kernel] orthogonal, of length gain. Saxe, McClelland and
// Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear
// neural networks, 2014.
func Orthogonal(gain float64) Init {
	return func(r *rand.Rand, data []float32, shape []int) {
		if len(data) == 0 || len(shape) < 2 {
			Normal(0, gain)(r, data, shape)
			return
		}
		rows, cols := shape[0], len(data)/shape[0]
		m, n := max(rows, cols), min(rows, cols)
		a := mat.NewDense(m, n, nil)
		for i := range m {
			for j := range n {
				a.Set(i, j, r.NormFloat64())
			}
		}
		var qr mat.QR
		qr.Factorize(a)
		var q, tri mat.Dense
		qr.QTo(&q)
		qr.RTo(&tri)
		for i := range rows {
			for j := range cols {
				k, l := i, j
				if rows < cols {
					k, l = j, i
				}
				v := gain * q.At(k, l)
				if tri.At(l, l) < 0 { // else the distribution is not uniform
					v = -v
				}
				data[i*cols+j] = float32(v)
			}
		}
	}
}

// Eye makes a square matrix gain times the identity. As the first recurrent
// weight it has an RNN keep what it has seen, whenever that was. Le, Jaitly and
// Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015.
func Eye(gain float64) Init {
	return func(_ *rand.Rand, data []float32, shape []int) {
		clear(data)
		if n := shape[len(shape)-1]; n > 0 {
			for i := 0; i < len(data); i += n + 1 {
				data[i] = float32(gain)
			}
		}
	}
}

// byFan is PyTorch's choice for weights and biases of linear layers,
// convolutions and, with the hidden size, recurrent layers: ±1/sqrt(n).
func byFan(n int) Init {
	a := 1 / math.Sqrt(float64(max(n, 1)))
	return Uniform(-a, a)
}
