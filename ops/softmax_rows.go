package ops

import (
	halves "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// softmaxVersions is the version table of Softmax, LogSoftmax and Hardmax: f32
// and f64 compute one line, where dst may be src; half, unless nil, computes a
// line of float16 or bfloat16 in float32, rounded where the type rounds.
func softmaxVersions(f32 func(t *vec.Table) lines, f64 lines64, half halfRow) []Version {
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

func buildSoftmax(b *BuildContext, axis int, matrix bool, f32 func(t *vec.Table) lines, f64 lines64, half halfRow) (Kernel, error) {
	k32 := softmaxKernel(axis, matrix, f32(vec.Best()))
	f16, bf16 := k32, k32
	if half != nil {
		f16 = softmaxKernel(axis, matrix, half.lines(halves.Float16))
		bf16 = softmaxKernel(axis, matrix, half.lines(halves.BFloat16))
	}
	return b.dispatch(0, byType{tensor.Float32: k32, tensor.Float64: linesKernel(axis, matrix, f64),
		tensor.Float16: throughFloat32(f16, 0), tensor.BFloat16: throughFloat32(bf16, 0)})
}

// lines computes all lines of x, which lie as splitAxis says, into y, which may be x.
type lines func(p par.P, y, x []float32, outer, n, inner int)

// lines64 is lines for float64.
type lines64 = func(p par.P, y, x []float64, outer, n, inner int)

// halfRow computes a line in float32 for elements of kind. It rounds by buf.
type halfRow func(dst, src []float32, kind halves.Kind, buf *[halfChunk]uint16)

const halfChunk = 512

func (f halfRow) lines(kind halves.Kind) lines {
	return eachLine(func(dst, src []float32) {
		buf, pool := borrow[[halfChunk]uint16]()
		defer pool.Put(buf)
		f(dst, src, kind, buf)
	})
}

// roundTo rounds x to numbers of kind.
func roundTo(x []float32, kind halves.Kind, buf *[halfChunk]uint16) {
	for len(x) > 0 {
		n := min(len(x), halfChunk)
		halves.Narrow(kind, buf[:n], x[:n])
		halves.Widen(kind, x[:n], buf[:n])
		x = x[n:]
	}
}

// eachLine calls f for each line.
func eachLine(f func(dst, src []float32)) lines {
	return func(p par.P, y, x []float32, outer, n, inner int) { alongAxis(p, y, x, outer, n, inner, f) }
}

func softmaxKernel(axis int, matrix bool, f lines) Kernel {
	return linesKernel(axis, matrix, f)
}

// eachLine64 calls f for each line of float64.
func eachLine64(f func(dst, src []float64)) lines64 {
	return func(p par.P, y, x []float64, outer, n, inner int) { alongAxis(p, y, x, outer, n, inner, f) }
}

func linesKernel[T floating](axis int, matrix bool, f func(p par.P, y, x []T, outer, n, inner int)) Kernel {
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
		f(c.P, tensor.Data[T](y), tensor.Data[T](x), outer, n, inner)
		return nil
	}
}

// maxOf returns the largest element of x, which is not empty; NaN if there is one.
func maxOf[T floating](x []T) T {
	if f, ok := any(x).([]float32); ok {
		return T(vec.Best().Largest(f))
	}
	m := x[0]
	for _, v := range x {
		if v > m || v != v {
			m = v
		}
	}
	return m
}

// expShifted sets dst[i] = exp(src[i] - shift), where shift is the largest
// element of src, and returns the sum. dst may be src.
func expShifted[T floating](dst, src []T, shift T) float64 {
	switch s := any(src).(type) {
	case []float32:
		d := any(dst).([]float32)
		return vec.Best().ExpSum(d, s, 1, float32(shift))
	case []float64:
		d, m := any(dst).([]float64), float64(shift)
		for i, v := range s {
			d[i] = v - m
		}
		vec.Best().Exp64(d, d)
	}
	return sumOf(dst)
}
