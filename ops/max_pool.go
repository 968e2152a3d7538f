package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MaxPool: Y is the largest element of X in each window of kernel_shape (NaN if
// there is one), Indices where it is in X as a flat index; with storage_order 1
// the spatial part of the index counts the first dimension fastest.
//
//	X: T[n, c, d…]    Y: T[n, c, o…]    Indices: int64[n, c, o…], optional from 8
//
// T: float16, bfloat16, float32, float64, int8, uint8. Padding is never the largest.
//
// Spec: https://onnx.ai/onnx/operators/onnx__MaxPool.html
func init() {
	version := func(since, outs int, read func(*attrs) maxPoolParams) Version {
		return Version{Since: since, In: N(1), Out: Arity{1, outs},
			Infer: func(c *InferContext) error { return inferMaxPool(c, read(&c.attrs)) },
			Build: func(b *BuildContext) (Kernel, error) { return buildMaxPool(b, read(&b.attrs)) },
		}
	}
	register(&Op{
		Name: "MaxPool",
		Versions: []Version{
			version(1, 1, func(a *attrs) maxPoolParams { return maxPoolParams{windowParams: readWindow(a)} }),
			version(8, 2, func(a *attrs) maxPoolParams {
				return maxPoolParams{readWindow(a), a.Bool("storage_order", false)}
			}),
			// 11 says what the defaults are, 12 added int8 and uint8, 22 bfloat16.
			version(10, 2, func(a *attrs) maxPoolParams {
				p := maxPoolParams{readWindow(a).withDilations(a), a.Bool("storage_order", false)}
				p.ceil = a.Bool("ceil_mode", false)
				return p
			}),
		},
	})
}

type maxPoolParams struct {
	windowParams
	columns bool
}

func inferMaxPool(c *InferContext, p maxPoolParams) error {
	if err := inferPool(c, p.windowParams); err != nil {
		return err
	}
	if len(c.Out) > 1 {
		c.Out[1] = onnx.Type{Kind: onnx.TensorKind, DType: tensor.Int64, Ranked: c.Out[0].Ranked, Dims: c.Out[0].Dims}
	}
	return nil
}

func buildMaxPool(b *BuildContext, p maxPoolParams) (Kernel, error) {
	f32 := maxPoolKernel(p, float32(math.Inf(-1)), maxPlanes32())
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{
		tensor.Float32: f32, tensor.Float64: maxPoolKernel(p, math.Inf(-1), nil), tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int8: maxPoolKernel(p, int8(math.MinInt8), maxPlanes8(true)), tensor.Uint8: maxPoolKernel(p, uint8(0), maxPlanes8(false)),
	})
}

func maxPoolKernel[T conv.Pooled](p maxPoolParams, least T, planes planesKernel) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		if x.Rank() < 3 {
			return fmt.Errorf("X has shape %v, want [n c d…]", x.Shape())
		}
		w, err := p.keptWindow(c, x.Shape()[2:], false)
		if err != nil {
			return err
		}
		shape := append(append(c.Dims(x.Rank())[:0], x.Shape()[:2]...), w.Out...)
		y := c.Output(0, x.DType(), shape...)
		if planes != nil && !c.Wants(1) && y.Len() > 0 && x.Len() > 0 && separates(&w.Window) {
			planes(c, &w.Window, x.Dim(0)*x.Dim(1), 1, nil, x, y)
			return nil
		}
		var index []int64
		if c.Wants(1) {
			index = tensor.Data[int64](c.Output(1, tensor.Int64, shape...))
		}
		conv.MaxPool(c.P, x.Dim(0)*x.Dim(1), &w.Window, tensor.Data[T](x), tensor.Data[T](y), index, p.columns, least)
		return nil
	}
}

// gradMaxPool: each element of dY goes to the first of the largest elements.
func gradMaxPool(c *GradContext) []*onnx.Value {
	as := onnx.NewAttrs("storage_order", c.Attr.Int("storage_order", 0))
	return c.Ops(Private, "MaxPoolGrad", as, 1, c.DOut[0], c.Save(1), c.X(0))
}
