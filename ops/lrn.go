package ops

import (
	"fmt"
	"math"
)

// LRN: Y = X / (bias + alpha/size * Σ X²)^beta, the sum over the channels from
// c - floor((size-1)/2) to c + ceil((size-1)/2) that exist.
//
//	X: T[n, c, ...]    Y: T[n, c, ...]
//
// Sums and powers are made in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LRN.html
func init() {
	register(&Op{Name: "LRN", Numerics: Rounding, Versions: []Version{
		// 13 added bfloat16.
		{Since: 1, In: N(1), Out: N(1), Infer: inferSame, Build: buildLRN},
	}})
}

type lrn struct {
	alpha, beta, bias float64
	size              int
}

func buildLRN(b *BuildContext) (Kernel, error) {
	l := lrn{
		alpha: float64(b.Float("alpha", 1e-4)), beta: float64(b.Float("beta", 0.75)),
		bias: float64(b.Float("bias", 1)), size: b.Int("size", 0),
	}
	if l.size < 1 {
		return nil, fmt.Errorf("attribute \"size\" is %d, want 1 or more", l.size)
	}
	return b.realKernels(0, lrnKernel[float32](l), lrnKernel[float64](l))
}

func lrnKernel[T floating](l lrn) Kernel {
	const block = 256
	return func(c *Call) error {
		xt := c.T(0)
		n, ch, d, err := channelShape(xt.Shape())
		if err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
		blocks := (d + block - 1) / block
		c.P.For(n*blocks, 1, func(lo, hi int) {
			sum := make([]float64, min(block, d))
			for t := lo; t < hi; t++ {
				at := t/blocks*ch*d + t%blocks*block
				m := min(block, d-t%blocks*block)
				for k := 0; k < ch; k++ {
					clear(sum)
					for j := max(0, k-(l.size-1)/2); j <= min(ch-1, k+l.size/2); j++ {
						for i, v := range x[at+j*d:][:m] {
							sum[i] += float64(v) * float64(v)
						}
					}
					src, dst := x[at+k*d:][:m], y[at+k*d:][:m]
					for i, v := range src {
						s := l.bias + l.alpha/float64(l.size)*sum[i]
						if l.beta == 0.75 {
							r := math.Sqrt(s)
							s = r * math.Sqrt(r)
						} else {
							s = math.Pow(s, l.beta)
						}
						dst[i] = T(float64(v) / s)
					}
				}
			}
		})
		done()
		return nil
	}
}
