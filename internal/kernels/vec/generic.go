package vec

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The functions are computed in float64, which scalar code does as fast as
// float32, and rounded once at the end: short polynomials between the points
// of a table are then exact to much less than a unit of float32.

var generic = Table{
	Name: cpu.Generic,
	Add:  add, Sub: sub, Mul: mul, Div: div,
	AddScalar: addScalar, MulScalar: mulScalar,
	Arith: [NumOps]Arith{
		Add: arith(add, func(a, b float32) float32 { return a + b }),
		Sub: arith(sub, func(a, b float32) float32 { return a - b }),
		Mul: arith(mul, func(a, b float32) float32 { return a * b }),
		Div: arith(div, func(a, b float32) float32 { return a / b }),
		Max: arith(maxOf, func(a, b float32) float32 { return max(a, b) }),
		Min: arith(minOf, func(a, b float32) float32 { return min(a, b) }),
	},
	Exp64: math64(exp64), Tanh64: math64(math.Tanh), Log64: math64(math.Log), Abs64: abs64, Neg64: neg64, Sqrt64: sqrt64,
	Floor64: floor64, Reciprocal64: reciprocal64,
	Relu: relu, Clip: clip, Exp: expLoop, Log: logLoop, Tanh: tanhLoop, Sin: sin, Cos: cos, Atan: math32(math.Atan), Asin: math32(math.Asin), Acos: math32(math.Acos), Sigmoid: sigmoidLoop, Erf: erfLoop,
	Softplus: softplusLoop, Gelu: geluLoop, GeluTanh: geluTanhLoop, Swish: swishLoop, Mish: mishLoop, Elu: eluLoop,
	Sqrt: math32(math.Sqrt), Abs: math32(math.Abs), Neg: each(func(v float32) float32 { return -v }),
	Square: each(func(v float32) float32 { return v * v }), Reciprocal: each(func(v float32) float32 { return 1 / v }),
	Round: math32(math.RoundToEven), Floor: math32(math.Floor), Ceil: math32(math.Ceil), Trunc: math32(math.Trunc),
	HardSwish: hardSwishLoop, HardSigmoid: hardSigmoidLoop, LeakyRelu: leakyReluLoop, Affine: affineLoop,
	Sum: sum, SumAbs: sumAbs, SumSquares: sumSquares, Largest: largest, Smallest: smallest,
	ExpSum: expSum, Normalize: normalize, AddColumns: addColumns, MaxColumns: maxColumns, MinColumns: minColumns, AddSquares: addSquares,
	ArgColumns: [NumArgs]argColumns{ArgMax.columns, ArgMin.columns, ArgMaxLast.columns, ArgMinLast.columns},
	LSTM:       lstmLoop, LSTMKeep: lstmKeepLoop, LSTMBack: lstmBackLoop, GRU: gruLoop, GRUReset: gruResetLoop, GRUBlend: gruBlendLoop,
}

// exp64 is e^x. That of package math is +Inf from about 709.1 on, where the largest results are still finite.
func exp64(x float64) float64 {
	if x > 709 {
		return math.Exp(x-1) * math.E
	}
	return math.Exp(x)
}

func math64(f func(float64) float64) func(dst, x []float64) {
	return func(dst, x []float64) {
		for i, v := range x[:len(dst)] {
			dst[i] = f(v)
		}
	}
}

// The loops of float64 that have an instruction for each element are written out.

func abs64(dst, x []float64) {
	for i, v := range x[:len(dst)] {
		dst[i] = math.Abs(v)
	}
}

func neg64(dst, x []float64) {
	for i, v := range x[:len(dst)] {
		dst[i] = -v
	}
}

func sqrt64(dst, x []float64) {
	for i, v := range x[:len(dst)] {
		dst[i] = math.Sqrt(v)
	}
}

func floor64(dst, x []float64) {
	for i, v := range x[:len(dst)] {
		dst[i] = math.Floor(v)
	}
}

func reciprocal64(dst, x []float64) {
	for i, v := range x[:len(dst)] {
		dst[i] = 1 / v
	}
}

func add(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func sub(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

func mul(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func div(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] / b[i]
	}
}

func addScalar(dst, a []float32, s float32) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + s
	}
}

func mulScalar(dst, a []float32, s float32) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * s
	}
}

var inf = float32(math.Inf(1))

func clip(dst, x []float32, lo, hi float32) {
	x = x[:len(dst)]
	for i, v := range x {
		if v < lo {
			v = lo
		}
		if v > hi {
			v = hi
		}
		dst[i] = v
	}
}

func relu(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		if v < 0 {
			v = 0
		}
		dst[i] = v
	}
}

const (
	expSteps = 32                  // table points per power of two
	expScale = expSteps / math.Ln2 // x * expScale counts table steps
	expStep  = math.Ln2 / expSteps // one step in x
	expMagic = 3 << 51             // adding it rounds a float64 to an integer
	expLimit = 708                 // float64 neither overflows nor becomes subnormal
	expMask  = expSteps - 1
	expShift = 5
)

// expTable holds the bits of 2^(i/32).
var expTable = func() (t [expSteps]uint64) {
	for i := range t {
		t[i] = math.Float64bits(math.Exp2(float64(i) / expSteps))
	}
	return t
}()

// exp returns e^x with a relative error below 1e-11; x is clamped to ±708,
// beyond which every float32 is 0 or infinite. NaN gives NaN.
func exp(x float64) float64 {
	if !(x > -expLimit) {
		if x != x {
			return x
		}
		x = -expLimit
	} else if x > expLimit {
		x = expLimit
	}
	k := float64(x*expScale) + expMagic
	n := math.Float64bits(k)
	r := x - float64(float64(k-expMagic)*expStep)
	s := math.Float64frombits(expTable[n&expMask] + n>>expShift<<52)
	return s + s*(r*(1+r*(0.5+r*(1.0/6+r*(1.0/24)))))
}

// expm1 returns e^x - 1 with a relative error below 1e-9.
func expm1(x float64) float64 {
	if x < 0.05 && x > -0.05 {
		return x * (1 + x*(1.0/2+x*(1.0/6+x*(1.0/24+x*(1.0/120+x*(1.0/720))))))
	}
	return exp(x) - 1
}

const (
	logSteps = 32
	logFirst = 22 // sqrt(1/2) * 32, rounded down
	logLast  = 46 // sqrt(2) * 32, rounded up
)

// logTable holds 1/c and log(c) for c = i/32.
var logTable = func() (t [logLast + 1]struct{ inv, log float64 }) {
	for i := logFirst; i <= logLast; i++ {
		c := float64(i) / logSteps
		t[i].inv, t[i].log = 1/c, math.Log(c)
	}
	return t
}()

// log returns the natural logarithm of x, a finite number above 2^-1000, with
// a relative error below 1e-10.
func log(x float64) float64 {
	const half = 0x3fe6a09e667f3bcd // sqrt(1/2)
	b := math.Float64bits(x)
	k := int64(b-half) >> 52
	z := math.Float64frombits(b - uint64(k)<<52)
	t := &logTable[int(z*logSteps+0.5)]
	r := z*t.inv - 1
	p := r * (1 + r*(-1.0/2+r*(1.0/3+r*(-1.0/4+r*(1.0/5+r*(-1.0/6))))))
	return float64(k)*math.Ln2 + t.log + p
}

const (
	erfSteps = 32 // table points per unit
	erfLimit = 6  // erf(6) is 1 to all digits of a float64 but the last
)

// erfTable holds the Taylor coefficients of erf at the middle of each step.
var erfTable = func() (t [erfLimit*erfSteps + 1][6]float64) {
	for i := range t {
		c := (float64(i) + 0.5) / erfSteps
		d := 2 / math.SqrtPi * math.Exp(-c*c)
		t[i] = [6]float64{
			math.Erf(c), d, -c * d, (2*c*c - 1) / 3 * d, (3*c - 2*c*c*c) / 6 * d, (4*c*c*c*c - 12*c*c + 3) / 30 * d,
		}
	}
	return t
}()

// erf has a relative error below 1e-9 and an absolute one below 1e-11.
func erf(x float64) float64 {
	a := math.Abs(x)
	switch {
	case a < 0.0625:
		s := x * x
		return 2 / math.SqrtPi * x * (1 + s*(-1.0/3+s*(1.0/10+s*(-1.0/42+s*(1.0/216)))))
	case a < erfLimit:
		i := int(a * erfSteps)
		t := &erfTable[i]
		h := a - (float64(i)+0.5)*(1.0/erfSteps)
		a = t[0] + h*(t[1]+h*(t[2]+h*(t[3]+h*(t[4]+h*t[5]))))
	case a >= erfLimit:
		a = 1
	default:
		return x // NaN
	}
	return math.Copysign(a, x)
}

func expLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(exp(float64(v)))
	}
}

func logLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		switch {
		case v > 0 && v <= math.MaxFloat32:
			dst[i] = float32(log(float64(v)))
		case v == 0:
			dst[i] = float32(math.Inf(-1))
		case v > 0:
			dst[i] = v
		default:
			dst[i] = float32(math.NaN())
		}
	}
}

func tanhLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(tanh(float64(v)))
	}
}

func tanh(x float64) float64 {
	if x < 0.05 && x > -0.05 {
		s := x * x
		return x * (1 + s*(-1.0/3+s*(2.0/15+s*(-17.0/315))))
	}
	e := exp(2 * x)
	return 1 - 2/(e+1)
}

func sigmoidLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(1 / (1 + exp(-float64(v))))
	}
}

func erfLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(erf(float64(v)))
	}
}

func softplusLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = float32(softplus(float64(v)))
	}
}

func softplus(x float64) float64 {
	switch {
	case x > 40 || x != x:
		return x
	case x < -20:
		return exp(x)
	}
	return log(1 + exp(x))
}

func geluLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		x := float64(v)
		if x < -8 { // 1 + erf cancels here; the result is below the smallest normal product anyway
			dst[i] = float32(0.5 * x * math.Erfc(-x/math.Sqrt2))
			if math.IsInf(x, -1) {
				dst[i] = float32(math.Copysign(0, -1))
			}
			continue
		}
		dst[i] = float32(0.5 * x * (1 + erf(x*(1/math.Sqrt2))))
	}
}

func geluTanhLoop(dst, x []float32) {
	const c = 0.7978845608028654 // sqrt(2/pi)
	for i, v := range x[:len(dst)] {
		x := float64(v)
		dst[i] = float32(timesSigmoid(x, 2*c*(x+0.044715*x*x*x)))
	}
}

// timesSigmoid returns x * sigmoid(u), with 0 where sigmoid vanishes.
func timesSigmoid(x, u float64) float64 {
	if u < -expLimit {
		return math.Copysign(0, x)
	}
	return x / (1 + exp(-u))
}

func swishLoop(dst, x []float32, alpha float32) {
	a := float64(alpha)
	for i, v := range x[:len(dst)] {
		dst[i] = float32(timesSigmoid(float64(v), a*float64(v)))
	}
}

func mishLoop(dst, x []float32) {
	for i, v := range x[:len(dst)] {
		x := float64(v)
		switch {
		case x > 40 || x != x:
			dst[i] = v
		case x < -expLimit:
			dst[i] = float32(math.Copysign(0, -1))
		default: // tanh(log(1+e)) = (e^2 + 2e) / (e^2 + 2e + 2)
			e := exp(x)
			e *= e + 2
			dst[i] = float32(x * (e / (e + 2)))
		}
	}
}

func eluLoop(dst, x []float32, alpha float32) {
	a := float64(alpha)
	for i, v := range x[:len(dst)] {
		if v < 0 {
			v = float32(a * expm1(float64(v)))
		}
		dst[i] = v
	}
}

func addSquares(acc, x, v []float32, stride int) {
	for i, w := range v {
		for j, a := range x[i*stride:][:len(acc)] {
			d := a - w
			acc[j] += d * d
		}
	}
}
