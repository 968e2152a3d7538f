package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
)

// x.CrossEntropyGrad: the gradient of the scores of SoftmaxCrossEntropyLoss,
// w·g·(e^log_prob - onehot(labels)), or with softmax 0 that of the log-probabilities
// of NegativeLogLikelihoodLoss, -w·g·onehot(labels), in one pass. w is the weight of a
// position's class, 0 where the label is ignore_index; g is dY, with reduction mean
// divided by the sum of all w. This operator is private: gradients write it.
//
//	log_prob: T[n, c, ...]    labels: int32 or int64[n, ...]    weights: T[c], optional
//	dY: T[n, ...] with reduction none, else T[]    dX: T[n, c, ...]; may share log_prob's storage
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__SoftmaxCrossEntropyLoss.html; Bishop,
// Pattern Recognition and Machine Learning, 2006, equation 4.109.
func crossEntropyGradOp() *Op {
	return &Op{
		Domain: Private, Name: "CrossEntropyGrad", Numerics: Rounding, Flush: true,
		Versions: []Version{{Since: 1, In: N(4), Out: N(1), InPlace: []int{0}, Infer: inferFirst, Build: buildCrossEntropyGrad}},
	}
}

func buildCrossEntropyGrad(b *BuildContext) (Kernel, error) {
	l := readLoss(&b.attrs)
	softmax := b.Bool("softmax", true)
	t := vec.Best()
	return b.realKernels(0,
		crossEntropyGradKernel(l, softmax, t.Exp, t.Mul, t.MulScalar),
		crossEntropyGradKernel(l, softmax, mapLoop(math.Exp), mulPair[float64]().vv, mulPair[float64]().vs))
}

func crossEntropyGradKernel[T floating](l loss, softmax bool, exp func(d, x []T), mul func(d, a, b []T), scale func(d, a []T, s T)) Kernel {
	return func(c *Call) error {
		xt, dt := c.T(0), c.T(3)
		if xt == nil || dt == nil {
			return fmt.Errorf("log_prob or dY is absent")
		}
		s := xt.Shape()
		logp, classes, weight, err := lossInputs[T](c, l)
		if err != nil {
			return err
		}
		d, err := reals[T](c, 3)
		if err != nil {
			return err
		}
		want := 1
		if l.reduction == "none" {
			want = len(classes)
		}
		if len(d) != want {
			return fmt.Errorf("dY has shape %v, want %d elements", dt.Shape(), want)
		}
		factors, total := Scratch[T](c, len(classes)), 0.0
		for i, k := range classes {
			w := T(1)
			switch {
			case l.hasIgnore && k == l.ignore:
				w = 0
			case weight != nil:
				w = weight[k]
			}
			factors[i] = w
			total += float64(w)
		}
		for i, w := range factors {
			switch {
			case w == 0: // also where the total is 0
			case l.reduction == "none":
				factors[i] = w * d[i]
			case l.reduction == "sum":
				factors[i] = w * d[0]
			default:
				factors[i] = T(float64(w) * float64(d[0]) / total)
			}
		}
		y, done := realsOut[T](c, 0, xt.DType(), s...)
		if len(y) > 0 {
			inner := sizeOf(s[2:])
			g := crossEntropyGrads[T]{y, logp, factors, classes, s[1], inner, softmax, exp, mul, scale}
			par.Each(c.P, s[0], max(1, (1<<13)/(s[1]*inner)), g, (*crossEntropyGrads[T]).run)
		}
		done()
		return nil
	}
}

// crossEntropyGrads are those of the scores of n classes, inner positions side by
// side, for each entry of a batch.
type crossEntropyGrads[T floating] struct {
	y, logp, factors []T
	classes          []int
	n, inner         int
	softmax          bool
	exp              func(d, x []T)
	mul              func(d, a, b []T)
	scale            func(d, a []T, s T)
}

func (g *crossEntropyGrads[T]) run(lo, hi int) {
	n, inner := g.n, g.inner
	for b := lo; b < hi; b++ {
		y, f := g.y[b*n*inner:][:n*inner], g.factors[b*inner:][:inner]
		switch {
		case !g.softmax:
			clear(y)
		case inner == 1:
			g.exp(y, g.logp[b*n:][:n])
			g.scale(y, y, f[0])
		default:
			g.exp(y, g.logp[b*n*inner:][:n*inner])
			for k := range n {
				row := y[k*inner:][:inner]
				g.mul(row, row, f)
			}
		}
		for i, v := range f {
			if v != 0 { // the label of others may be none
				y[g.classes[b*inner+i]*inner+i] -= v
			}
		}
	}
}
