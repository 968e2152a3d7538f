package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// SoftmaxCrossEntropyLoss: with log_prob = log(softmax(scores)) over dimension 1,
// output = -weights[labels]·log_prob[n, labels, ...].
//
//	scores: T[n, c, ...]    labels: int32 or int64[n, ...]    weights (optional): T[c]
//	output: T[n, ...] with reduction none, else a scalar: sum, or mean, which is the sum divided by that of the weights
//	log_prob (optional): T[n, c, ...]
//
// Positions whose label is ignore_index count nothing. Sums are made in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__SoftmaxCrossEntropyLoss.html
func init() {
	register(&Op{Name: "SoftmaxCrossEntropyLoss", Numerics: Rounding, Versions: []Version{
		// 13 changed types.
		{Since: 12, In: Arity{2, 3}, Out: Arity{1, 2}, Infer: inferLoss, Build: buildSoftmaxCrossEntropyLoss},
	}})
}

func buildSoftmaxCrossEntropyLoss(b *BuildContext) (Kernel, error) {
	l := readLoss(&b.attrs)
	return b.realKernels(0, crossEntropyKernel(l, logSoftmaxLines(vec.Best())), crossEntropyKernel(l, logSoftmaxLines64))
}

func crossEntropyKernel[T floating](l loss, logSoftmax func(p par.P, y, x []T, outer, n, inner int)) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		x, classes, weight, err := lossInputs[T](c, l)
		if err != nil {
			return err
		}
		var logp []T
		done := func() {}
		if c.Wants(1) {
			logp, done = realsOut[T](c, 1, xt.DType(), xt.Shape()...)
		} else {
			logp = Scratch[T](c, len(x))
		}
		outer, n, inner := splitAxis(xt.Shape(), 1)
		logSoftmax(c.P, logp, x, outer, n, inner)
		pickLoss(c, l, logp, xt.Shape(), classes, weight, xt.DType())
		done()
		return nil
	}
}

// gradSoftmaxCrossEntropyLoss: dscores = (softmax(scores) - onehot(labels))·w, from
// log_prob; see x.CrossEntropyGrad. What log_prob itself gets comes on top as for LogSoftmax.
func gradSoftmaxCrossEntropyLoss(c *GradContext) []*onnx.Value {
	out := make([]*onnx.Value, 3)
	logp := c.Save(1)
	if d := c.DOut[0]; d != nil {
		out[0], out[2] = c.crossEntropyGrad(logp, d, 1), c.classWeightGrad(logp, d)
	}
	if len(c.DOut) > 1 && c.DOut[1] != nil {
		d := c.DOut[1]
		d = c.Minus(d, c.Times(c.Op("Exp", nil, logp), c.Op("ReduceSum", nil, d, c.Ints(1))))
		if out[0] != nil {
			d = c.Plus(out[0], d)
		}
		out[0] = d
	}
	return out
}
