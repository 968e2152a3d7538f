package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.ClipGrad: dX = dY where min <= X <= max, else 0, element-wise: the gradient of
// Clip. A NaN counts as inside. This operator is private: gradients write it.
//
//	dY, X: T[...], of one shape    min, max: T[], optional    dX: T, their shape; may share the storage of dY
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Clip.html
func clipGradOp() *Op {
	return &Op{
		Domain: Private, Name: "ClipGrad",
		Versions: []Version{{Since: 1, In: Arity{2, 4}, Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildClipGrad}},
	}
}

func buildClipGrad(b *BuildContext) (Kernel, error) {
	f32 := clipGradKernel(float32(math.Inf(-1)), float32(math.Inf(1)))
	half := throughFloat32(f32, 0)
	return b.need(0, byType{
		tensor.Float32: f32, tensor.Float64: clipGradKernel(math.Inf(-1), math.Inf(1)),
		tensor.Float16: half, tensor.BFloat16: half,
	})
}

func clipGradKernel[T interface {
	float
	tensor.Element
}](least, most T) Kernel {
	return func(c *Call) error {
		d, x, err := operands(c, tensor.DTypeOf[T](), tensor.DTypeOf[T]())
		if err != nil {
			return err
		}
		if !slices.Equal(d.Shape(), x.Shape()) {
			return fmt.Errorf("dY has shape %v, X %v, want the same", d.Shape(), x.Shape())
		}
		lo, err := bound(c, 2, "min", least)
		if err != nil {
			return err
		}
		hi, err := bound(c, 3, "max", most)
		if err != nil {
			return err
		}
		y := c.Output(0, d.DType(), d.Shape()...)
		par.Each(c.P, y.Len(), grain, clipGradLoop[T]{tensor.Data[T](y), tensor.Data[T](d), tensor.Data[T](x), lo, hi}, (*clipGradLoop[T]).run)
		return nil
	}
}

type clipGradLoop[T float] struct {
	y, d, x []T
	lo, hi  T
}

func (l *clipGradLoop[T]) run(from, to int) {
	least, most := l.lo, l.hi
	zipVV(l.y[from:to], l.d[from:to], l.x[from:to], func(d, x T) T {
		if x < least || x > most {
			return 0
		}
		return d
	})
}
