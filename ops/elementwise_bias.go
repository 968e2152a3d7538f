package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
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
		c.P.For(len(dst)/n, max(1, grain/n), func(lo, hi int) {
			for r := lo; r < hi; r++ {
				row := dst[r*n : (r+1)*n]
				add.vv(row, src[r*n:(r+1)*n], b)
				f(row, row)
			}
		})
		return nil
	}
}
