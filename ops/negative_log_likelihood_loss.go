package ops

import "github.com/gneiss-run/gneiss/onnx"

// NegativeLogLikelihoodLoss: loss = -weight[target]·input[n, target, ...].
//
//	input: T[n, c, ...] of log-probabilities    target: int32 or int64[n, ...]    weight (optional): T[c]
//	loss: T[n, ...] with reduction none, else a scalar: sum, or mean, which is the sum divided by that of the weights
//
// Positions whose target is ignore_index count nothing. Sums are made in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__NegativeLogLikelihoodLoss.html
func init() {
	register(&Op{Name: "NegativeLogLikelihoodLoss", Numerics: Rounding, Versions: []Version{
		// 13 and 22 changed wording and types.
		{Since: 12, In: Arity{2, 3}, Out: N(1), Infer: inferLoss, Build: buildNegativeLogLikelihoodLoss},
	}})
}

func gradNegativeLogLikelihoodLoss(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.crossEntropyGrad(c.X(0), c.DOut[0], 0), nil, c.classWeightGrad(c.X(0), c.DOut[0])}
}

func buildNegativeLogLikelihoodLoss(b *BuildContext) (Kernel, error) {
	l := readLoss(&b.attrs)
	return b.realKernels(0, nllKernel[float32](l), nllKernel[float64](l))
}

func nllKernel[T floating](l loss) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		x, classes, weight, err := lossInputs[T](c, l)
		if err != nil {
			return err
		}
		pickLoss(c, l, x, xt.Shape(), classes, weight, xt.DType())
		return nil
	}
}
