package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Det: the determinant of each matrix, by elimination with row pivots in
// float64.
//
//	X: T[..., n, n]    Y: T[...]
//
// T is float16, bfloat16, float32 or float64. Spec: https://onnx.ai/onnx/operators/onnx__Det.html
func init() {
	register(&Op{
		Name:     "Det",
		Numerics: Rounding,
		Versions: []Version{{Since: 11, In: N(1), Out: N(1), Infer: inferDet, Build: buildDet}},
	})
}

func inferDet(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if x.Ranked {
		if len(x.Dims) < 2 {
			return fmt.Errorf("X has rank %d, want at least 2", len(x.Dims))
		}
		c.Out[0] = onnx.TensorType(x.DType, x.Dims[:len(x.Dims)-2]...)
	}
	return nil
}

func detKernel[T floating](c *Call) error {
	x := c.T(0)
	s := x.Shape()
	if len(s) < 2 || s[len(s)-1] != s[len(s)-2] {
		return fmt.Errorf("X has shape %v, want square matrices", s)
	}
	n := s[len(s)-1]
	y := c.Output(0, x.DType(), s[:len(s)-2]...)
	d, out := tensor.Data[T](x), tensor.Data[T](y)
	par.Run(c.P, len(out), max(1, moveGrain/max(1, n*n*n)), par.With(detRun[T]{out, d, n}))
	return nil
}

// detRun computes the determinants of matrices of n rows.
type detRun[T floating] struct {
	out, x []T
	n      int
}

func (a *detRun[T]) Chunk(lo, hi int) {
	mem, pool := borrow[[]float64]()
	defer pool.Put(mem)
	size := a.n * a.n
	*mem = slices.Grow((*mem)[:0], size)[:size]
	m := *mem
	for u := lo; u < hi; u++ {
		for i, v := range a.x[u*size:][:size] {
			m[i] = float64(v)
		}
		a.out[u] = T(determinant(m, a.n))
	}
}

// determinant destroys m, a matrix of n rows.
func determinant(m []float64, n int) float64 {
	det := 1.0
	for k := range n {
		p := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[p*n+k]) {
				p = i
			}
		}
		if p != k {
			det = -det
			for j := k; j < n; j++ {
				m[k*n+j], m[p*n+j] = m[p*n+j], m[k*n+j]
			}
		}
		pivot := m[k*n+k]
		det *= pivot
		if pivot == 0 {
			return det
		}
		for i := k + 1; i < n; i++ {
			f := m[i*n+k] / pivot
			if f == 0 {
				continue
			}
			row, top := m[i*n+k:i*n+n], m[k*n+k:k*n+n]
			for j, v := range top {
				row[j] -= f * v
			}
		}
	}
	return det
}

func buildDet(b *BuildContext) (Kernel, error) {
	half := throughFloat32(detKernel[float32], 0)
	return b.dispatch(0, byType{
		tensor.Float32: detKernel[float32], tensor.Float64: detKernel[float64],
		tensor.Float16: half, tensor.BFloat16: half,
	})
}

// gradDet: by x.DetGrad.
func gradDet(c *GradContext) []*onnx.Value {
	return c.Ops(Private, "DetGrad", nil, 1, c.DOut[0], c.X(0))
}
