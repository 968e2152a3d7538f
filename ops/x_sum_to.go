package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.SumTo: Y = Σ X over the dimensions along which a tensor of like's shape
// broadcasts to X's shape. It is the gradient of broadcasting; like's elements
// are not read. This operator is private: gradients write it.
//
//	X: T[...]    like: any type, of a shape that broadcasts to X's    Y: T, like's shape; X itself where that is X's
//
// T: float16, bfloat16 (both summed in float32), float32, float64.
//
// Spec: https://github.com/onnx/onnx/blob/main/docs/Broadcasting.md
func sumToOp() *Op {
	return &Op{
		Domain: Private, Name: "SumTo", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), Infer: inferSumTo, Build: buildSumTo}},
	}
}

func inferSumTo(c *InferContext) error {
	t := c.In(1)
	t.Kind, t.DType = onnx.TensorKind, c.In(0).DType
	c.Out[0] = t
	return nil
}

func buildSumTo(b *BuildContext) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		sumToKernel(vectorSum(reduceDone[float64, float32], sumAll)),
		sumToKernel(reduceSum(reduceDone[float64, float64])),
	))
}

func sumToKernel[T tensor.Element, A any](r reducer[T, A]) Kernel {
	return func(c *Call) error {
		x, like := c.T(0), c.T(1)
		shape := like.Shape()
		if slices.Equal(x.Shape(), shape) {
			return c.View(0, x, shape...)
		}
		w := State[reduceWalks](c)
		w.mask = slices.Grow(w.mask[:0], x.Rank())[:x.Rank()]
		lead := x.Rank() - len(shape)
		if lead < 0 {
			return fmt.Errorf("X has shape %v, to which %v does not broadcast", x.Shape(), shape)
		}
		for i, n := range x.Shape() {
			w.mask[i] = i < lead || shape[i-lead] != n
			if i >= lead && shape[i-lead] != n && shape[i-lead] != 1 {
				return fmt.Errorf("X has shape %v, to which %v does not broadcast", x.Shape(), shape)
			}
		}
		reduceInto(c.P, c.Output(0, tensor.DTypeOf[T](), shape...), x, w, &r)
		return nil
	}
}
