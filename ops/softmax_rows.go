package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/tensor"
)

// softmaxVersions is the version table of Softmax, LogSoftmax and Hardmax: f32
// and f64 compute one line, where dst may be src; half, unless nil, computes a
// line of float16 or bfloat16 in float32 with round where the type rounds.
func softmaxVersions(f32 func(dst, src []float32), f64 func(dst, src []float64), half func(dst, src []float32, round func(float32) float32)) []Version {
	v := Version{In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame}
	// Before 13 the input is taken as a matrix whose columns are all dimensions
	// from axis on. 11 allowed negative axes.
	old, cur := v, v
	old.Since, cur.Since = 1, 13
	old.Build = func(b *BuildContext) (Kernel, error) { return buildSoftmax(b, b.Int("axis", 1), true, f32, f64, half) }
	cur.Build = func(b *BuildContext) (Kernel, error) {
		return buildSoftmax(b, b.Int("axis", -1), false, f32, f64, half)
	}
	return []Version{old, cur}
}

func buildSoftmax(b *BuildContext, axis int, matrix bool, f32 func(dst, src []float32), f64 func(dst, src []float64), half func(dst, src []float32, round func(float32) float32)) (Kernel, error) {
	k32 := softmaxKernel(axis, matrix, f32)
	f16, bf16 := k32, k32
	if half != nil {
		f16 = softmaxKernel(axis, matrix, func(dst, src []float32) {
			half(dst, src, func(x float32) float32 { return tensor.F16Of(x).Float32() })
		})
		bf16 = softmaxKernel(axis, matrix, func(dst, src []float32) {
			half(dst, src, func(x float32) float32 { return tensor.BF16Of(x).Float32() })
		})
	}
	return b.dispatch(0, byType{tensor.Float32: k32, tensor.Float64: softmaxKernel(axis, matrix, f64),
		tensor.Float16: throughFloat32(f16, 0), tensor.BFloat16: throughFloat32(bf16, 0)})
}

func softmaxKernel[T floating](axis int, matrix bool, f func(dst, src []T)) Kernel {
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
func maxOf[T floating](x []T) T {
	m := x[0]
	for _, v := range x {
		if v > m || v != v {
			m = v
		}
	}
	return m
}

// expShifted sets dst[i] = exp(src[i] - shift) and returns the sum. dst may be src.
func expShifted[T floating](dst, src []T, shift T) float64 {
	switch s := any(src).(type) {
	case []float32:
		d := any(dst).([]float32)
		t := vec.Best()
		t.AddScalar(d, s, -float32(shift))
		t.Exp(d, d)
	case []float64:
		for i, v := range s {
			dst[i] = T(math.Exp(v - float64(shift)))
		}
	}
	return sumOf(dst)
}
