package ops

import "math"

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
func init() {
	register(&Op{Domain: Private, Name: "AdamStep", Numerics: Rounding, Versions: stepVersions(2, buildAdamStep)})
}

type adamParams struct {
	beta1, beta2, eps, decay float64
	decoupled                bool
}

func buildAdamStep(b *BuildContext) (Kernel, error) {
	p := adamParams{beta1: float64(b.Float("beta1", 0.9)), beta2: float64(b.Float("beta2", 0.999)), eps: float64(b.Float("epsilon", 1e-8)),
		decay: float64(b.Float("weight_decay", 0)), decoupled: b.Bool("decoupled", false)}
	return stepFor(b, adamStep[float32](p), adamStep[float64](p))
}

func adamStep[T float32 | float64](p adamParams) Kernel {
	return stepKernel(2, func(lr float64, t int) func(w2, w, g []T, m2, m *[2][]T, scale T) {
		rate := T(lr / (1 - math.Pow(p.beta1, float64(t))))
		correct := T(1 / math.Sqrt(1-math.Pow(p.beta2, float64(t))))
		b1, b2, a1, a2, eps := T(p.beta1), T(p.beta2), T(1-p.beta1), T(1-p.beta2), T(p.eps)
		keep, decay := T(1), T(p.decay)
		if p.decoupled {
			keep, decay = T(1-lr*p.decay), 0
		}
		return func(w2, w, g []T, m2, m *[2][]T, scale T) {
			n := len(w)
			w2, g = w2[:n], g[:n]
			m1, v1, m1n, v1n := m[0][:n], m[1][:n], m2[0][:n], m2[1][:n]
			for i, x := range w {
				d := g[i]*scale + decay*x
				a := b1*m1[i] + a1*d
				v := b2*v1[i] + a2*d*d
				m1n[i], v1n[i] = a, v
				w2[i] = x*keep - rate*a/(sqrtOf(v)*correct+eps)
			}
		}
	})
}
