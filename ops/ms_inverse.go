package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Inverse (com.microsoft): the inverse of each matrix, by elimination with row pivots in float64. That of a
// singular matrix has infinite elements and NaN.
//
//	X, Y: T[..., n, n]
//
// T is float16, float32 or float64.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Inverse
func init() {
	register(&Op{Domain: "com.microsoft", Name: "Inverse", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(1), Out: N(1), Infer: inferSame, Build: func(b *BuildContext) (Kernel, error) {
			return b.dispatch(0, byType{
				tensor.Float32: inverseKernel[float32], tensor.Float64: inverseKernel[float64], tensor.Float16: throughFloat32(inverseKernel[float32], 0),
			})
		}},
	}})
}

// gradMSInverse: -Yᵀ·dY·Yᵀ.
func gradMSInverse(c *GradContext) []*onnx.Value {
	y := c.Y(0)
	if !y.Type.Ranked {
		c.Fail(fmt.Errorf("Y is %v, want a known rank", y.Type))
		return nil
	}
	t := c.transposed(y)
	return []*onnx.Value{c.Negated(c.Op("MatMul", nil, c.Op("MatMul", nil, t, c.DOut[0]), t))}
}

func inverseKernel[T float32 | float64](c *Call) error {
	x := c.T(0)
	s := x.Shape()
	if len(s) < 2 || s[len(s)-1] != s[len(s)-2] {
		return fmt.Errorf("X has shape %v, want square matrices", s)
	}
	n := s[len(s)-1]
	y := c.Output(0, x.DType(), s...)
	d, out := tensor.Data[T](x), tensor.Data[T](y)
	if n == 0 {
		return nil
	}
	work := Scratch[float64](c, 2*n*n)
	for u := 0; u < len(d); u += n * n {
		m, inv := work[:n*n], work[n*n:]
		clear(inv)
		for i, v := range d[u:][:n*n] {
			m[i] = float64(v)
		}
		for i := range n {
			inv[i*n+i] = 1
		}
		invert(m, inv, n)
		for i, v := range inv {
			out[u+i] = T(v)
		}
	}
	return nil
}

// invert multiplies inv by the inverse of m from the left, and destroys m. Both have n rows of n.
func invert(m, inv []float64, n int) {
	for k := range n {
		p := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[p*n+k]) {
				p = i
			}
		}
		for _, a := range [...][]float64{m, inv} {
			top, row := a[k*n:][:n], a[p*n:][:n]
			if p != k {
				for j := range top {
					top[j], row[j] = row[j], top[j]
				}
			}
		}
		pivot := m[k*n+k]
		for _, a := range [...][]float64{m, inv} {
			for j := range n {
				a[k*n+j] /= pivot
			}
		}
		for i := range n {
			f := m[i*n+k]
			if i == k || f == 0 {
				continue
			}
			for _, a := range [...][]float64{m, inv} {
				row, top := a[i*n:][:n], a[k*n:][:n]
				for j, v := range top {
					row[j] -= f * v
				}
			}
		}
	}
}
