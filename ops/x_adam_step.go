package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// x.AdamStep: one step of Adam, or of AdamW with decoupled. With G' = scale·G +
// weight_decay·W (Adam) or scale·G (AdamW):
//
//	M' = beta1·M + (1-beta1)·G'
//	V' = beta2·V + (1-beta2)·G'²
//	W' = W·(1 - lr·weight_decay if decoupled) - lr/(1-beta1^t) · M' / (sqrt(V'/(1-beta2^t)) + epsilon)
//
//	inputs: W, G, M, V, lr, t, scale    outputs: W', M', V'
//
// This operator is private: training writes it.
//
// Spec: https://arxiv.org/abs/1412.6980 (Kingma and Ba, Adam: a method for stochastic
// optimization, 2015, algorithm 1) and https://arxiv.org/abs/1711.05101 (Loshchilov and
// Hutter, Decoupled weight decay regularization, 2019, algorithm 2).
func adamStepOp() *Op {
	return &Op{Domain: Private, Name: "AdamStep", Numerics: Rounding, Flush: true, Versions: stepVersions(2, buildAdamStep)}
}

type adamParams struct {
	beta1, beta2, eps, decay float64
	decoupled                bool
}

func buildAdamStep(b *BuildContext) (Kernel, error) {
	p := &adamParams{beta1: float64(b.Float("beta1", 0.9)), beta2: float64(b.Float("beta2", 0.999)), eps: float64(b.Float("epsilon", 1e-8)),
		decay: float64(b.Float("weight_decay", 0)), decoupled: b.Bool("decoupled", false)}
	return stepFor(b, adamStep32(p), adamStep64(p))
}

// adamRates are the numbers of one step.
type adamRates[T float32 | float64] struct {
	rate, correct  T // lr/(1-beta1^t), 1/sqrt(1-beta2^t)
	b1, a1, b2, a2 T // beta1, 1-beta1, beta2, 1-beta2
	eps            T
	keep, decay    T // what of W stays, and what of it counts as gradient
}

func adamRatesAt[T float32 | float64](p *adamParams, lr float64, t int) adamRates[T] {
	r := adamRates[T]{
		rate: T(lr / (1 - math.Pow(p.beta1, float64(t)))), correct: T(1 / math.Sqrt(1-math.Pow(p.beta2, float64(t)))),
		b1: T(p.beta1), a1: T(1 - p.beta1), b2: T(p.beta2), a2: T(1 - p.beta2), eps: T(p.eps), keep: 1, decay: T(p.decay),
	}
	if p.decoupled {
		r.keep, r.decay = T(1-lr*p.decay), 0
	}
	return r
}

func adamStep64(p *adamParams) Kernel {
	return stepKernel(2, func(lr float64, t int) func(w2, w, g []float64, m2, m *[2][]float64, scale float64) {
		r := adamRatesAt[float64](p, lr, t)
		return func(w2, w, g []float64, m2, m *[2][]float64, scale float64) {
			for i, x := range w {
				d := g[i]*scale + r.decay*x
				a := r.b1*m[0][i] + r.a1*d
				v := r.b2*m[1][i] + r.a2*d*d
				m2[0][i], m2[1][i] = a, v
				w2[i] = x*r.keep - r.rate*a/(math.Sqrt(v)*r.correct+r.eps)
			}
		}
	})
}

// adamStep32 works by vectors.
func adamStep32(p *adamParams) Kernel {
	v := vec.Best()
	return stepKernel(2, func(lr float64, t int) func(w2, w, g []float32, m2, m *[2][]float32, scale float32) {
		r := adamRatesAt[float32](p, lr, t)
		if v.Adam != nil {
			rates := &vec.AdamRates{Decay: r.decay, B1: r.b1, A1: r.a1, B2: r.b2, A2: r.a2, Correct: r.correct, Eps: r.eps, Rate: r.rate, Keep: r.keep}
			return func(w2, w, g []float32, m2, m *[2][]float32, scale float32) {
				v.Adam(w2, w, g, m2[0], m[0], m2[1], m[1], scale, rates)
			}
		}
		return func(w2, w, g []float32, m2, m *[2][]float32, scale float32) {
			buf, pool := borrow[[2 * stepChunk]float32]()
			defer pool.Put(buf)
			d, e := buf[:len(w)], buf[stepChunk:][:len(w)]
			v.MulScalar(d, g, scale)
			if r.decay != 0 {
				v.MulScalar(e, w, r.decay)
				v.Add(d, d, e)
			}
			v.MulScalar(m2[0], m[0], r.b1)
			v.MulScalar(e, d, r.a1)
			v.Add(m2[0], m2[0], e)
			v.Square(d, d)
			v.MulScalar(d, d, r.a2)
			v.MulScalar(m2[1], m[1], r.b2)
			v.Add(m2[1], m2[1], d)
			v.Sqrt(d, m2[1])
			v.Affine(d, d, r.correct, r.eps)
			v.Div(d, m2[0], d)
			v.MulScalar(d, d, r.rate)
			v.MulScalar(e, w, r.keep)
			v.Sub(w2, e, d)
		}
	})
}
