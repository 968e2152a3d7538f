package ops

import (
	"fmt"
	"slices"
)

// x.CumProdGrad: the gradient of the x of CumProd, without a division, so that
// zeros are right: along axis, from the end where products begin,
//
//	dX[i] = P[i]·S[i],  P[i] = x[0]·…·x[i-1],  S[i] = dY[i] + x[i+1]·S[i+1]
//
// and with exclusive S[i] = dY[i+1] + x[i+1]·S[i+1]. The attributes are those of
// CumProd. Floats accumulate in float64. This operator is private: gradients write it.
//
//	dY, x: T[...], axis: int32 or int64[]    dX: T, same shape
//
// T: float16, bfloat16 (both computed from float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__CumProd.html
func cumProdGradOp() *Op {
	return &Op{
		Domain: Private, Name: "CumProdGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: inferFirst, Build: buildCumProdGrad}},
	}
}

func buildCumProdGrad(b *BuildContext) (Kernel, error) {
	exclusive, reverse := b.Bool("exclusive", false), b.Bool("reverse", false)
	return b.realKernels(0, cumProdGrad[float32](exclusive, reverse), cumProdGrad[float64](exclusive, reverse))
}

func cumProdGrad[T floating](exclusive, reverse bool) Kernel {
	return func(c *Call) error {
		s := c.T(0).Shape()
		if t := c.T(1); t == nil || !slices.Equal(t.Shape(), s) {
			return fmt.Errorf("x is %v, want the shape of dY, %v", t, s)
		}
		axis, err := c.axisOf(2, len(s))
		if err != nil {
			return err
		}
		d, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		x, err := reals[T](c, 1)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, c.T(0).DType(), s...)
		outer, n, inner := splitAxis(s, axis)
		if len(y) > 0 {
			c.P.For(outer*inner, max(1, moveGrain/(4*n)), func(lo, hi int) {
				before := make([]float64, n)
				for u := lo; u < hi; u++ {
					at, step := u/inner*n*inner+u%inner, inner
					if reverse {
						at, step = at+(n-1)*inner, -inner
					}
					product := 1.0
					for i := range n {
						before[i] = product
						product *= float64(x[at+i*step])
					}
					sum := 0.0
					for i := n - 1; i >= 0; i-- {
						p := at + i*step
						if !exclusive {
							sum += float64(d[p])
						}
						y[p] = T(before[i] * sum)
						sum *= float64(x[p])
						if exclusive {
							sum += float64(d[p])
						}
					}
				}
			})
		}
		done()
		return nil
	}
}
