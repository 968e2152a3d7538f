package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceProd: reduced = Π data over the axes.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The product of no elements is 1. Floats are multiplied in float64, integers wrap around.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceProd.html
func init() {
	register(&Op{Name: "ReduceProd", Numerics: Rounding, Versions: reduceVersions(18, buildReduceProd, onnx.Dim.Mul)})
}

func buildReduceProd(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, reduceProduct(reduceDone[float64, float32])),
		reduceKernel(p, reduceProduct(reduceDone[float64, float64])),
	).
		with(tensor.Int32, reduceKernel(p, reduceProduct(reduceDone[int64, int32]))).
		with(tensor.Int64, reduceKernel(p, reduceProduct(reduceDone[int64, int64]))).
		with(tensor.Uint32, reduceKernel(p, reduceProduct(reduceDone[uint64, uint32]))).
		with(tensor.Uint64, reduceKernel(p, reduceProduct(reduceDone[uint64, uint64]))))
}

// gradReduceProd: dX = dY times the product of the other elements. That is
// the product of all that are not 0 divided by the element, if there is no zero among
// the others: if there is none, or a single one which is the element itself.
func gradReduceProd(c *GradContext) []*onnx.Value {
	x := c.X(0)
	isZero := c.Op("Equal", nil, x, c.Scalar(0))
	y, zeros := c.unreduced(c.Y(0)), c.Mask(isZero)
	rest := c.Op("Where", nil, isZero, c.Scalar(1), x)
	product := c.Op("ReduceProd", onnx.NewAttrs("noop_with_empty_axes", c.Attr.Int("noop_with_empty_axes", 0)), rest, c.X(1))
	alone := c.Op("Equal", nil, zeros, c.SumTo(zeros, y))
	return []*onnx.Value{c.Pick(alone, c.Times(c.Over(product, rest), c.unreduced(c.DOut[0])))}
}
