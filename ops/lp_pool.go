package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// LpPool: Y = (Σ |x|^p)^(1/p) over each window of kernel_shape.
//
//	X: T[n, c, d…]    Y: T[n, c, o…]
//
// T: float16, bfloat16, float32, float64; sums in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LpPool.html
func init() {
	version := func(since int, read func(*attrs) lpPoolParams) Version {
		return Version{Since: since, In: N(1), Out: N(1),
			Infer: func(c *InferContext) error { return inferPool(c, read(&c.attrs).windowParams) },
			Build: func(b *BuildContext) (Kernel, error) { return buildLpPool(b, read(&b.attrs)) },
		}
	}
	register(&Op{
		Name:     "LpPool",
		Numerics: Rounding,
		Versions: []Version{
			version(1, func(a *attrs) lpPoolParams { return lpPoolParams{readWindow(a), float64(a.Float("p", 2))} }),
			// 11 says what the defaults are.
			version(2, func(a *attrs) lpPoolParams { return lpPoolParams{readWindow(a), float64(a.Int("p", 2))} }),
			// 22 added bfloat16.
			version(18, func(a *attrs) lpPoolParams {
				p := lpPoolParams{readWindow(a).withDilations(a), float64(a.Int("p", 2))}
				p.ceil = a.Bool("ceil_mode", false)
				return p
			}),
		},
	})
}

type lpPoolParams struct {
	windowParams
	p float64
}

func buildLpPool(b *BuildContext, p lpPoolParams) (Kernel, error) {
	if p.p <= 0 {
		b.Fail("p is %v, want more than 0", p.p)
	}
	f32 := lpPoolKernel[float32](p)
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: lpPoolKernel[float64](p), tensor.Float16: half, tensor.BFloat16: half})
}

func lpPoolKernel[T conv.Float](p lpPoolParams) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		if x.Rank() < 3 {
			return fmt.Errorf("X has shape %v, want [n c d…]", x.Shape())
		}
		w, err := p.keptWindow(c, x.Shape()[2:], false)
		if err != nil {
			return err
		}
		y := c.Output(0, x.DType(), lastFirst(c, x.Dim(0), x.Dim(1), w.Out)...)
		conv.LpPool(c.P, x.Dim(0)*x.Dim(1), &w.Window, tensor.Data[T](x), tensor.Data[T](y), p.p)
		return nil
	}
}

// gradLpPool: dX = sign(x)·|x|^(p-1) · Σ dY·Y^(1-p) over the windows that see x.
func gradLpPool(c *GradContext) []*onnx.Value {
	f, slope := c.normSlope(c.DOut[0], c.X(0), c.Y(0), c.Attr.Int("p", 2))
	as := c.Node().Attrs.Without("p").Set("sum", int64(1))
	return []*onnx.Value{c.Times(slope, c.Ops(Private, "AveragePoolGrad", as, 1, f, c.X(0))[0])}
}
