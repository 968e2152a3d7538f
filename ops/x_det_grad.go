package ops

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// x.DetGrad: the gradient of Det: dX = dY·cof(X) for each matrix, cof the matrix of
// cofactors. With the singular value decomposition X = U·S·Vᵀ,
// cof(X) = det(U)·det(V)·U·cof(S)·Vᵀ, which singular matrices have too. Computed in float64.
// This operator is private: the gradient of Det writes it.
//
//	dY: T[…]    X: T[…, n, n]    dX: T[…, n, n]
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Det.html
func detGradOp() *Op {
	return &Op{
		Domain: Private, Name: "DetGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), Infer: func(c *InferContext) error {
			c.Out[0] = c.In(1)
			return nil
		}, Build: func(b *BuildContext) (Kernel, error) {
			return b.realKernels(0, detGradKernel[float32], detGradKernel[float64])
		}}},
	}
}

func detGradKernel[T floating](c *Call) error {
	dt, xt := c.T(0), c.T(1)
	if xt == nil || xt.Rank() < 2 || xt.Dim(-1) != xt.Dim(-2) || !slices.Equal(dt.Shape(), xt.Shape()[:xt.Rank()-2]) {
		return fmt.Errorf("dY is %v and X %v, want square matrices and a number for each", dt, xt)
	}
	d, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	x, err := reals[T](c, 1)
	if err != nil {
		return err
	}
	n := xt.Dim(-1)
	dx, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
	if n > 0 {
		c.P.For(len(d), max(1, moveGrain/max(1, 20*n*n*n)), func(lo, hi int) {
			m, out := make([]float64, n*n), make([]float64, n*n)
			for u := lo; u < hi; u++ {
				for i, v := range x[u*n*n:][:n*n] {
					m[i] = float64(v)
				}
				cofactors(out, m, n)
				for i, v := range out {
					dx[u*n*n+i] = T(float64(d[u]) * v)
				}
			}
		})
	}
	done()
	return c.Ctx().Err()
}

// cofactors sets out to the cofactors of m, a matrix of n rows; NaN if m has an element
// that is not finite. It may change m.
func cofactors(out, m []float64, n int) {
	fail := func() {
		for i := range out {
			out[i] = math.NaN()
		}
	}
	for _, v := range m {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			fail()
			return
		}
	}
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(n, n, m), mat.SVDFull) {
		fail()
		return
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	s := svd.Values(nil)
	sign := determinant(slices.Clone(u.RawMatrix().Data), n) * determinant(slices.Clone(v.RawMatrix().Data), n)
	for k := range s {
		f := math.Copysign(1, sign)
		for i, e := range s {
			if i != k {
				f *= e
			}
		}
		for i := range n {
			u.Set(i, k, u.At(i, k)*f)
		}
	}
	product := mat.NewDense(n, n, out)
	product.Mul(&u, v.T())
}
