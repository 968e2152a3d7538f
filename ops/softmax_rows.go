package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/tensor"
)

// softmaxVersions is the version table of Softmax, LogSoftmax and Hardmax: f32
// and f64 compute one line, where dst may be src.
func softmaxVersions(f32 func(dst, src []float32), f64 func(dst, src []float64)) []Version {
	v := Version{In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame}
	// Before 13 the input is taken as a matrix whose columns are all dimensions
	// from axis on. 11 allowed negative axes.
	old, cur := v, v
	old.Since, cur.Since = 1, 13
	old.Build = func(b *BuildContext) (Kernel, error) { return buildSoftmax(b, b.Int("axis", 1), true, f32, f64) }
	cur.Build = func(b *BuildContext) (Kernel, error) { return buildSoftmax(b, b.Int("axis", -1), false, f32, f64) }
	return []Version{old, cur}
}

func buildSoftmax(b *BuildContext, axis int, matrix bool, f32 func(dst, src []float32), f64 func(dst, src []float64)) (Kernel, error) {
	k32 := softmaxKernel(axis, matrix, f32)
	half := throughFloat32(k32, 0)
	return b.dispatch(0, byType{tensor.Float32: k32, tensor.Float64: softmaxKernel(axis, matrix, f64), tensor.Float16: half, tensor.BFloat16: half})
}

func softmaxKernel[T real](axis int, matrix bool, f func(dst, src []T)) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		a, err := tensor.Axis(axis, x.Rank())
		if err != nil {
			return err
		}
		outer, n, inner := splitAxis(x.Shape(), a)
		if matrix {
			n, inner = n*inner, 1
		}
		y := c.Output(0, x.DType(), x.Shape()...)
		alongAxis(c.P, tensor.Data[T](y), tensor.Data[T](x), outer, n, inner, f)
		return nil
	}
}

// maxOf returns the largest element of x, which is not empty; NaN if there is one.
func maxOf[T real](x []T) T {
	m := x[0]
	for _, v := range x {
		if v > m || v != v {
			m = v
		}
	}
	return m
}

// expShifted sets dst[i] = exp(src[i] - shift) and returns the sum. dst may be src.
func expShifted[T real](dst, src []T, shift T) float64 {
	sum := 0.0
	switch s := any(src).(type) {
	case []float32:
		d, sh := any(dst).([]float32), float32(shift)
		for i, v := range s {
			e := exp32(v - sh)
			d[i] = e
			sum += float64(e)
		}
	case []float64:
		d, sh := any(dst).([]float64), float64(shift)
		for i, v := range s {
			e := math.Exp(v - sh)
			d[i] = e
			sum += e
		}
	}
	return sum
}

// exp32 returns exp(x) to about one unit in the last place: 2^k times the
// Taylor series of the rest, which is at most ln(2)/2.
func exp32(x float32) float32 {
	const (
		log2e = 1.44269504088896341
		ln2Hi = 0.693359375 // few bits, so that k*ln2Hi is exact
		ln2Lo = -2.12194440054690583e-4
		magic = 3 << 22 // adding it rounds to an integer
	)
	if !(x > -87 && x < 88) {
		if x < -104 {
			return 0
		}
		return float32(math.Exp(float64(x)))
	}
	t := x*log2e + magic
	k := int32(math.Float32bits(t)) - int32(math.Float32bits(magic))
	n := t - magic
	r := x - n*ln2Hi
	r -= n * ln2Lo
	p := float32(1.0 / 5040)
	p = p*r + 1.0/720
	p = p*r + 1.0/120
	p = p*r + 1.0/24
	p = p*r + 1.0/6
	p = p*r + 0.5
	p = p*r + 1
	p = p*r + 1
	return p * math.Float32frombits(uint32(127+k)<<23)
}
