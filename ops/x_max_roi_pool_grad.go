package ops

import (
	"fmt"
	"slices"
)

// x.MaxRoiPoolGrad: the gradient of MaxRoiPool's X: each element of dY goes to the first largest
// element of its bin. The attributes are those of MaxRoiPool.
// This operator is private: the gradient of MaxRoiPool writes it.
//
//	dY: T[k, c, pooled_shape]    X: T[n, c, h, w]    rois: T[k, 5]    dX: T[n, c, h, w]
//
// T: float16, bfloat16 (both computed in float32), float32, float64. A task is a
// channel with all regions in their order, whatever the number of threads.
//
// Spec: https://onnx.ai/onnx/operators/onnx__MaxRoiPool.html
func maxRoiPoolGradOp() *Op {
	return &Op{
		Domain: Private, Name: "MaxRoiPoolGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: func(c *InferContext) error {
			c.Out[0] = c.In(1)
			_, _, _, err := parseMaxRoiPool(&c.attrs)
			return err
		}, Build: func(b *BuildContext) (Kernel, error) {
			h, w, scale, err := parseMaxRoiPool(&b.attrs)
			if err != nil {
				return nil, err
			}
			return b.realKernels(0, func(c *Call) error { return maxRoiPoolGrad[float32](c, h, w, scale) },
				func(c *Call) error { return maxRoiPoolGrad[float64](c, h, w, scale) })
		}}},
	}
}

func maxRoiPoolGrad[T floating](c *Call, ph, pw int, scale float64) error {
	dy, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	m, err := readMaxRoi[T](c, 1, ph, pw, scale)
	if err != nil {
		return err
	}
	if want := []int{m.k, m.ch, ph, pw}; !slices.Equal(c.T(0).Shape(), want) {
		return fmt.Errorf("dY has shape %v, want %v", c.T(0).Shape(), want)
	}
	dx, done := realsOut[T](c, 0, c.T(1).DType(), c.T(1).Shape()...)
	clear(dx)
	c.P.For(m.ch, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for k := range m.k {
				d := dy[(k*m.ch+i)*ph*pw:]
				m.bins(k, i, func(bin, at int) {
					if at >= 0 {
						dx[at] += d[bin]
					}
				})
			}
		}
	})
	done()
	return c.Ctx().Err()
}
