package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Pow: Z = X^Y, element-wise with broadcasting.
//
//	X: T[...]    Y: T1[...]    Z: T[...], of the shape that X and Y broadcast to
//
// An integer power of an integer is exact, but wraps around; a negative one is
// cut off to 0 (±1 stay), and an error for 0. A power with a fraction of an
// integer is cut off. Up to opset 11 T1 is T.
//
// T: int32, int64, float16, bfloat16, float32, float64; T1: these and all
// integers of 8 bits and more.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Pow.html
func init() {
	register(&Op{
		Name:     "Pow",
		Numerics: Rounding,
		// Before opset 7 broadcasting is by attributes; 12 allows two types; 13 and 15 only widen them.
		Versions: binaryVersions(1, tensor.Undefined, buildPow),
	})
}

func buildPow(b *BuildContext) (Kernel, error) {
	f32, f64 := powFloat32(vec.Best()), powFloat64()
	same := merge(floatPairs(f32, f64), byType{
		tensor.Int32: checkedKernel(intPow[int32](), noZeroPower[int32]),
		tensor.Int64: checkedKernel(intPow[int64](), noZeroPower[int64]),
	})
	// An exponent of another type becomes an int64 or a float64, which hold it exactly.
	byInt := byType{
		tensor.Int32:   checkedKernel(intPowWide[int32](), noZeroPowerWide[int32]),
		tensor.Int64:   checkedKernel(intPow[int64](), noZeroPower[int64]),
		tensor.Float32: powBy(f32, func(x float32, y int64) float32 { return float32(math.Pow(float64(x), float64(y))) }).kernel(),
		tensor.Float64: powBy(f64, func(x float64, y int64) float64 { return math.Pow(x, float64(y)) }).kernel(),
		tensor.Float16: pairOf(func(x tensor.F16, y int64) tensor.F16 {
			return tensor.F16Of64(math.Pow(float64(x.Float32()), float64(y)))
		}).kernel(),
		tensor.BFloat16: pairOf(func(x tensor.BF16, y int64) tensor.BF16 {
			return tensor.BF16Of64(math.Pow(float64(x.Float32()), float64(y)))
		}).kernel(),
	}
	byFloat := byType{
		tensor.Int32:   intPowFloat[int32]().kernel(),
		tensor.Int64:   intPowFloat[int64]().kernel(),
		tensor.Float32: powBy(f32, func(x float32, y float64) float32 { return float32(math.Pow(float64(x), y)) }).kernel(),
		tensor.Float64: f64.kernel(),
		tensor.Float16: pairOf(func(x tensor.F16, y float64) tensor.F16 { return tensor.F16Of64(math.Pow(float64(x.Float32()), y)) }).kernel(),
		tensor.BFloat16: pairOf(func(x tensor.BF16, y float64) tensor.BF16 {
			return tensor.BF16Of64(math.Pow(float64(x.Float32()), y))
		}).kernel(),
	}
	if d := b.In(0).DType; d != tensor.Undefined && same[d] == nil {
		return nil, unsupportedType(0, d)
	}
	return func(c *Call) error {
		x, y := c.T(0), c.T(1)
		if x == nil || y == nil {
			return fmt.Errorf("an input is absent")
		}
		dx, dy := x.DType(), y.DType()
		if same[dx] == nil {
			return unsupportedType(0, dx)
		}
		if dx == dy {
			return same[dx](c)
		}
		table, wide := byInt, tensor.Int64
		switch {
		case dy.IsInt() && !dy.IsPacked() && dy != tensor.Uint64:
		case dy.IsFloat() || dy == tensor.Uint64:
			table, wide = byFloat, tensor.Float64
		default:
			return unsupportedType(1, dy)
		}
		if dy == wide {
			return table[dx](c)
		}
		w := c.Lend(wide, y.Shape())
		if err := convertTensor(c, w, y, castRules{}); err != nil {
			return err
		}
		return c.with(1, w, table[dx])
	}, nil
}

// powBy makes the loops for exponents of another type: those of f for one exponent for all
// that X holds, too.
//
//go:noinline
func powBy[X float, Y int64 | float64](f pair[X, X, X], general func(x X, y Y) X) pair[X, Y, X] {
	p := pairOf(general)
	slow := p.vs
	p.vs = func(d, a []X, b Y) {
		// From 2^62 on integers might not come back from a float.
		if v := X(b); math.Abs(float64(v)) < 1<<62 && Y(v) == b {
			f.vs(d, a, v)
			return
		}
		slow(d, a, b)
	}
	return p
}

// powFloat64 knows small whole exponents, which math.Pow takes by the same products.
func powFloat64() pair[float64, float64, float64] {
	p := pairOf(math.Pow)
	general := p.vs
	p.vs = func(d, a []float64, b float64) {
		switch {
		case b == -1:
			zip(d, a, func(v float64) float64 { return 1 / v })
		case b == 2:
			zip(d, a, func(v float64) float64 { return v * v })
		case b == 3:
			zip(d, a, func(v float64) float64 { return v * v * v })
		case b == math.Trunc(b) && b > 0 && b <= 64:
			zip(d, a, func(v float64) float64 { return wholePower(v, uint(b)) })
		default:
			general(d, a, b)
		}
	}
	return p
}

// wholePower returns x to the power of n, which is not 0.
func wholePower(x float64, n uint) float64 {
	r := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			r *= x
		}
		x *= x
	}
	return r
}

// powFloat32 knows the exponents that models use most.
func powFloat32(t *vec.Table) pair[float32, float32, float32] {
	p := pairOf(pow32)
	if t.Float64[vec.Mul].VV != nil {
		p = powVectors(t)
	}
	general := p.vs
	p.vs = func(d, a []float32, b float32) {
		switch b {
		case 1:
			copy(d, a)
		case 2:
			t.Square(d, a)
		case 3:
			zip(d, a, func(v float32) float32 {
				x := float64(v)
				return float32(x * x * x)
			})
		case -1:
			t.Reciprocal(d, a)
		case 0.5:
			if !(t.Smallest(a) >= -math.MaxFloat32) { // of -Inf, which a NaN hides, it is +Inf, the root NaN
				general(d, a, b)
				return
			}
			t.Sqrt(d, a)
			t.AddScalar(d, d, 0) // no -0
		default:
			n := math.Abs(float64(b))
			if n != math.Trunc(n) || n > 64 || n == 0 {
				general(d, a, b)
				return
			}
			zip(d, a, func(v float32) float32 {
				r := wholePower(float64(v), uint(n))
				if b < 0 {
					r = 1 / r
				}
				return float32(r)
			})
		}
	}
	return p
}

// pow32 is x to the power of y. Of positive numbers double precision leaves the error of the
// logarithm, however large the exponent makes it, far below what float32 shows: both series
// are cut off below 2^-41.
func pow32(x, y float32) float32 {
	v := math.Abs(float64(x))
	if !(v > 0 && v <= math.MaxFloat32 && y >= -math.MaxFloat32 && y <= math.MaxFloat32) {
		return float32(math.Pow(float64(x), float64(y)))
	}
	sign := 1.0
	if x < 0 {
		sign = float64(powSign(float64(y)))
	}
	// v = 2^e·m with m from the root of 1/2 to that of 2
	b := math.Float64bits(v)
	e := (b - 0x3fe6a09e667f3bcd) & (0xfff << 52)
	m := math.Float64frombits(b - e)
	s := (m - 1) / (m + 1)
	z := s * s
	z2 := z * z // pairs of terms, and pairs of these, do not wait for each other
	log := s * ((2 + z*(2./3) + z2*(2./5+z*(2./7))) + z2*z2*((2./9+z*(2./11))+z2*(2./13+z*(2./15))))
	t := float64(y) * (log*math.Log2E + float64(int64(e)>>52))
	t = min(max(t, -160), 160) // beyond what float32 holds
	const shift = 3 << 51      // brings a whole number into the lowest bits
	n := t + shift
	u := (t - (n - shift)) * math.Ln2
	u2 := u * u
	u4 := u2 * u2
	p := (1 + u + u2*(1./2+u*(1./6))) + u4*((1./24+u*(1./120)+u2*(1./720+u*(1./5040)))+u4*(1./40320+u*(1./362880)))
	return float32(sign * math.Float64frombits(math.Float64bits(p)+math.Float64bits(n)<<52))
}

// powVectors is pow32 by the vectors of t.
func powVectors(t *vec.Table) pair[float32, float32, float32] {
	return pair[float32, float32, float32]{
		vv: func(d, a, b []float32) { powMany(t, d, a, b, 1, 1) },
		vs: func(d, a []float32, b float32) { powMany(t, d, a, []float32{b}, 1, 0) },
		sv: func(d []float32, a float32, b []float32) { powMany(t, d, []float32{a}, b, 0, 1) },
	}
}

// powMany sets d to a^b, of which steps of 0 say that one element is for all: e^(b·log|a|) with the sign
// of powers of negative numbers, and zeros and what is not finite by pow32.
func powMany(t *vec.Table, d, a, b []float32, sa, sb int) {
	w, pool := borrow[[2 * block]float64]()
	defer pool.Put(w)
	special := func(x, y float32) bool { return x == 0 || x-x != 0 || y-y != 0 }
	for i := 0; i < len(d); i += block {
		n := min(block, len(d)-i)
		x, y, signs := w[:n], w[block:][:n], uint32(0)
		for k := range x {
			signs |= math.Float32bits(a[(i+k)*sa])
			if u, v := a[(i+k)*sa], b[(i+k)*sb]; special(u, v) {
				x[k], y[k] = 1, 1
			} else {
				x[k], y[k] = math.Abs(float64(u)), float64(v)
			}
		}
		t.Log64(x, x)
		for k, v := range x {
			x[k] = v * y[k]
		}
		t.Exp64(x, x)
		for k, v := range x {
			u, e := a[(i+k)*sa], b[(i+k)*sb]
			if special(u, e) {
				d[i+k] = pow32(u, e)
				continue
			}
			sign := [2]float32{1, 1}
			if signs>>31 != 0 { // somewhere: which ones have no pattern
				sign[1] = powSign(y[k])
			}
			d[i+k] = float32(v) * sign[math.Float32bits(u)>>31]
		}
	}
}

// powSign is 1, -1 or NaN as negative numbers to the power of y are positive, negative or undefined.
func powSign(y float64) float32 {
	switch {
	case y != math.Trunc(y):
		return float32(math.NaN())
	case math.Trunc(y/2)*2 != y: // odd
		return -1
	}
	return 1
}

// power returns x^n for n >= 0, wrapping around.
func power[T int32 | int64](x T, n int64) T {
	r := T(1)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			r *= x
		}
		x *= x
	}
	return r
}

func signedPower[T int32 | int64](x T, n int64) T {
	switch {
	case n >= 0:
		return power(x, n)
	case x == 1 || x == -1:
		return power(x, n&1)
	}
	return 0
}

func intPow[T int32 | int64]() pair[T, T, T] {
	return knownPowers(pairOf(func(x, y T) T { return signedPower(x, int64(y)) }))
}

func intPowWide[T int32 | int64]() pair[T, int64, T] { return knownPowers(pairOf(signedPower[T])) }

// knownPowers gives p the squares and cubes.
func knownPowers[T, Y int32 | int64](p pair[T, Y, T]) pair[T, Y, T] {
	general := p.vs
	p.vs = func(d, a []T, b Y) {
		switch b {
		case 2:
			zip(d, a, func(v T) T { return v * v })
		case 3:
			zip(d, a, func(v T) T { return v * v * v })
		default:
			general(d, a, b)
		}
	}
	return p
}

// intPowFloat cuts off powers of integers. Small whole exponents math.Pow takes by the same products.
func intPowFloat[T int32 | int64]() pair[T, float64, T] {
	p := pairOf(func(x T, y float64) T { return T(cutOff(math.Pow(float64(x), y))) })
	general := p.vs
	p.vs = func(d, a []T, b float64) {
		if b != math.Trunc(b) || b < 1 || b > 64 {
			general(d, a, b)
			return
		}
		zip(d, a, func(v T) T { return T(cutOff(wholePower(float64(v), uint(b)))) })
	}
	return p
}

func noZeroPower[T int32 | int64](a, b []T) error {
	negative := false
	for _, v := range b {
		negative = negative || v < 0
	}
	return zeroBase(a, negative)
}

func noZeroPowerWide[T int32 | int64](a []T, b []int64) error {
	negative := false
	for _, v := range b {
		negative = negative || v < 0
	}
	return zeroBase(a, negative)
}

func zeroBase[T int32 | int64](a []T, negative bool) error {
	if !negative {
		return nil
	}
	for i, v := range a {
		if v == 0 {
			return fmt.Errorf("X is 0 at element %d, want another number as Y has negative integers", i)
		}
	}
	return nil
}

// cutOff returns x without its fraction; the least int64 if x is NaN or out of range.
func cutOff(x float64) int64 {
	if x >= -1<<63 && x < 1<<63 {
		return int64(x)
	}
	return math.MinInt64
}

// gradPow: dX = dZ·Y·X^(Y-1), 0 where Y is 0; dY = dZ·Z·ln X, 0 where X is 0 and Y
// is not negative, as in PyTorch.
func gradPow(c *GradContext) []*onnx.Value {
	x, y, d := c.X(0), c.X(1), c.DOut[0]
	zero := c.Scalar(0)
	out := make([]*onnx.Value, 2)
	if y.Type.DType != c.DType() {
		y = c.Op("Cast", onnx.NewAttrs("to", int(c.DType())), y)
	}
	if c.Needs(0) {
		v := c.Times(c.Times(d, y), c.Op("Pow", nil, x, c.Minus(y, c.Scalar(1))))
		if k, ok := scalarConst(y); !ok || k == 0 {
			v = c.Op("Where", nil, c.Op("Equal", nil, y, zero), zero, v)
		}
		out[0] = c.SumTo(v, x)
	}
	if c.Needs(1) {
		v := c.Times(c.Times(d, c.Y(0)), c.Op("Log", nil, x))
		flat := c.Op("And", nil, c.Op("Equal", nil, x, zero), c.Op("GreaterOrEqual", nil, y, zero))
		v = c.SumTo(c.Op("Where", nil, flat, zero, v), y)
		if to := c.X(1).Type.DType; to != c.DType() {
			v = c.Op("Cast", onnx.NewAttrs("to", int(to)), v)
		}
		out[1] = v
	}
	return out
}

// scalarConst returns the only element of a constant of a real type.
func scalarConst(v *onnx.Value) (float64, bool) {
	if v.Const == nil || v.Const.Len() != 1 {
		return 0, false
	}
	x, err := tensor.Float64s(v.Const)
	return x[0], err == nil
}
