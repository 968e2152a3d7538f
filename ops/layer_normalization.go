package ops

import (
	"errors"

	"github.com/gneiss-run/gneiss/tensor"
)

// LayerNormalization: Y = (X - Mean) * InvStdDev * Scale + B, the statistics
// over the dimensions from axis on: InvStdDev = 1 / sqrt(Var(X) + epsilon).
//
//	X: T[d0...]    Scale, B (optional): T, broadcast to X    Y: T[d0...]; may share X's storage
//	Mean, InvStdDev (optional): type stash_type, X's shape with the normalized dimensions as 1
//
// Statistics are made in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LayerNormalization.html (17). ONNX
// Runtime writes the same operator into models of older opsets.
func init() {
	register(&Op{Name: "LayerNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{2, 3}, Out: Arity{1, 3}, InPlace: []int{0}, Infer: inferLayerNormalization, Build: buildLayerNormalization},
	}})
}

func inferLayerNormalization(c *InferContext) error {
	return inferLayerNorm(c, c.Int("axis", -1), stashType(&c.attrs), 1, 2)
}

func buildLayerNormalization(b *BuildContext) (Kernel, error) {
	axis, stash := b.Int("axis", -1), stashType(&b.attrs)
	r := rowNorm{center: true, eps: float64(b.Float("epsilon", 1e-5))}
	return b.realKernels(0, layerNormKernel[float32](r, axis, stash, 0, 1, 2), layerNormKernel[float64](r, axis, stash, 0, 1, 2))
}

// layerNormKernel computes X, Scale, B to Y, which has the type of input like,
// and, at the given outputs, mean and inverse deviation (-1: not an output).
func layerNormKernel[T floating](r rowNorm, axis int, stash tensor.DType, like, mean, inv int) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		shape := xt.Shape()
		a, err := tensor.Axis(axis, len(shape))
		if err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		if c.T(1) == nil {
			return errors.New("Scale is absent")
		}
		scale, err := rowParam[T](c, 1, "Scale", shape, a)
		if err != nil {
			return err
		}
		bias, err := rowParam[T](c, 2, "B", shape, a)
		if err != nil {
			return err
		}
		n := 1
		stats := c.list(shape...)
		for i := a; i < len(shape); i++ {
			n *= shape[i]
			stats[i] = 1
		}
		var means, invs []T
		doneMean, doneInv := nothing, nothing
		if mean > 0 && c.Wants(mean) {
			means, doneMean = realsOut[T](c, mean, stash, stats...)
		}
		if inv > 0 && c.Wants(inv) {
			invs, doneInv = realsOut[T](c, inv, stash, stats...)
		}
		y, done := realsOut[T](c, 0, c.T(like).DType(), shape...)
		rowNormRows(c.P, r, y, x, n, scale, bias, means, invs)
		done()
		doneMean()
		doneInv()
		return nil
	}
}
