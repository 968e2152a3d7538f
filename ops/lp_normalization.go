package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"

	"github.com/gneiss-run/gneiss/tensor"
)

// LpNormalization: output = input / ‖input‖p along axis, p 1 or 2; 0 where the
// norm is 0. Norms are made in float64.
//
//	input: T[...]    output: T[...], same shape; may share input's storage
//
// Spec: https://onnx.ai/onnx/operators/onnx__LpNormalization.html
func init() {
	register(&Op{Name: "LpNormalization", Numerics: Rounding, Versions: []Version{
		// 22 added bfloat16.
		{Since: 1, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildLpNormalization},
	}})
}

func buildLpNormalization(b *BuildContext) (Kernel, error) {
	axis, p := b.Int("axis", -1), b.Int("p", 2)
	if p != 1 && p != 2 {
		b.Fail("attribute \"p\" is %d, want 1 or 2", p)
	}
	return b.realKernels(0, lpNormKernel[float32](axis, p), lpNormKernel[float64](axis, p))
}

func lpNormKernel[T floating](axis, p int) Kernel {
	// Outside of the kernel, where it would be allocated at each call.
	line := func(dst, src []T) {
		norm := 0.0
		if p == 2 {
			norm = math.Sqrt(squaredDiff(src, 0))
		} else {
			for _, v := range src {
				norm += math.Abs(float64(v))
			}
		}
		if norm == 0 {
			clear(dst)
			return
		}
		for i, v := range src {
			dst[i] = T(float64(v) / norm)
		}
	}
	return func(c *Call) error {
		xt := c.T(0)
		a, err := tensor.Axis(axis, xt.Rank())
		if err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
		outer, n, inner := splitAxis(xt.Shape(), a)
		alongAxis(c.P, y, x, outer, n, inner, line)
		done()
		return nil
	}
}

// gradLpNormalization: with n the norm and y = x/n, dX = (dY - s·Σ dY·y) / n
// where s is the slope of n: y for p 2, sign(x) for p 1; 0 where n is 0.
func gradLpNormalization(c *GradContext) []*onnx.Value {
	x, d := c.X(0), c.DOut[0]
	axis, keep := c.Ints(c.Attr.Int("axis", -1)), onnx.NewAttrs("keepdims", 1)
	reduce, slope := "ReduceL2", c.Y(0)
	if c.Attr.Int("p", 2) == 1 {
		reduce, slope = "ReduceL1", c.Op("Sign", nil, x)
	}
	n := c.Op(reduce, keep, x, axis)
	sum := c.Op("ReduceSum", keep, c.Times(d, c.Y(0)), axis)
	dx := c.Over(c.Minus(d, c.Times(slope, sum)), n)
	return []*onnx.Value{c.Op("Where", nil, c.Op("Equal", nil, n, c.Scalar(0)), c.Scalar(0), dx)}
}
