package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// floatLoops holds the loops of a function over float32 and float64.
type floatLoops struct {
	f32 loop[float32, float32]
	f64 loop[float64, float64]
}

func geluLoops(t *vec.Table) floatLoops     { return floatLoops{t.Gelu, mapLoop(gelu64)} }
func geluTanhLoops(t *vec.Table) floatLoops { return floatLoops{t.GeluTanh, mapLoop(geluTanh64)} }

// biasKernels are the kernels of f(input 0 + input 1), where input 1, called
// name, is absent or a vector as long as the last dimension of input 0.
func biasKernels(name string, loops func(*vec.Table) floatLoops) byType {
	t := vec.Best()
	f := loops(t)
	return halfThrough(byType{
		tensor.Float32: biasKernel(name, f.f32, addFloat32(t)),
		tensor.Float64: biasKernel(name, f.f64, addPair[float64]()),
	})
}

func biasKernel[T tensor.Element](name string, f loop[T, T], add pair[T, T, T]) Kernel {
	plain := unaryKernel(f)
	return func(c *Call) error {
		x, bias := c.T(0), c.T(1)
		if x == nil {
			return fmt.Errorf("input 0 is absent")
		}
		if bias == nil {
			return plain(c)
		}
		if bias.DType() != x.DType() {
			return fmt.Errorf("%s is %v, want %v as input 0", name, bias.DType(), x.DType())
		}
		if x.Rank() == 0 || bias.Rank() != 1 || bias.Len() != x.Dim(-1) {
			return fmt.Errorf("%s has shape %v, want the last dimension of %v", name, bias.Shape(), x.Shape())
		}
		src, b := tensor.Data[T](x), tensor.Data[T](bias)
		dst := tensor.Data[T](c.Output(0, x.DType(), x.Shape()...))
		n := len(b)
		if len(dst) == 0 {
			return nil
		}
		par.Run(c.P, len(dst)/n, max(1, grain/n), par.With(biasRows[T]{dst, src, b, add.vv, f}))
		return nil
	}
}

// biasRows are rows of dst = f(src + bias).
type biasRows[T tensor.Element] struct {
	dst, src, bias []T
	add            func(dst, a, b []T)
	f              loop[T, T]
}

func (a *biasRows[T]) Chunk(lo, hi int) {
	n := len(a.bias)
	for r := lo; r < hi; r++ {
		row := a.dst[r*n : (r+1)*n]
		a.add(row, a.src[r*n:(r+1)*n], a.bias)
		a.f(row, row)
	}
}
