package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// inferGlobalPool gives output 0 the type of input 0 with spatial dimensions of 1.
func inferGlobalPool(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked {
		return nil
	}
	if len(x.Dims) < 2 {
		return fmt.Errorf("X is %v, want [n c d…]", x)
	}
	dims := append([]onnx.Dim(nil), x.Dims[:2]...)
	for range x.Dims[2:] {
		dims = append(dims, onnx.Size(1))
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

// buildGlobalPool builds a pooling over each whole plane.
func buildGlobalPool(b *BuildContext, f32 func([]float32) float32, f64 func([]float64) float64) (Kernel, error) {
	k := globalPoolKernel(f32)
	half := throughFloat32(k, 0)
	return b.dispatch(0, byType{tensor.Float32: k, tensor.Float64: globalPoolKernel(f64), tensor.Float16: half, tensor.BFloat16: half})
}

func globalPoolKernel[T conv.Float](f func([]T) T) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		if x.Rank() < 2 {
			return fmt.Errorf("X has shape %v, want [n c d…]", x.Shape())
		}
		shape := c.list(x.Shape()...)
		for i := range shape[2:] {
			shape[2+i] = 1
		}
		planes, err := tensor.Count(x.Shape()[:2])
		if err != nil {
			return err
		}
		size, err := tensor.Count(x.Shape()[2:])
		if err != nil {
			return err
		}
		if size == 0 && planes > 0 {
			return fmt.Errorf("X has shape %v, want elements to pool", x.Shape())
		}
		xs, ys := tensor.Data[T](x), tensor.Data[T](c.Output(0, x.DType(), shape...))
		par.Run(c.P, planes, max(1, (1<<15)/max(size, 1)), par.With(globalPools[T]{xs, ys, size, f}))
		return nil
	}
}

type globalPools[T conv.Float] struct {
	xs, ys []T
	size   int
	f      func([]T) T
}

// Chunk pools some planes.
func (a *globalPools[T]) Chunk(lo, hi int) {
	for i := lo; i < hi; i++ {
		a.ys[i] = a.f(a.xs[i*a.size : (i+1)*a.size])
	}
}
