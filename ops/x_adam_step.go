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
	return stepFor(b, adamVectors(p, vec.Best()), adamStep[float64](p))
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

// adamVectors is adamStep for float32, by vectors.
func adamVectors(p adamParams, t *vec.Table) Kernel {
	return stepKernel(2, func(lr float64, n int) func(w2, w, g []float32, m2, m *[2][]float32, scale float32) {
		rate := float32(lr / (1 - math.Pow(p.beta1, float64(n))))
		correct := float32(1 / math.Sqrt(1-math.Pow(p.beta2, float64(n))))
		b1, b2, a1, a2, eps := float32(p.beta1), float32(p.beta2), float32(1-p.beta1), float32(1-p.beta2), float32(p.eps)
		keep, decay := float32(1), float32(p.decay)
		if p.decoupled {
			keep, decay = float32(1-lr*p.decay), 0
		}
		return func(w2, w, g []float32, m2, m *[2][]float32, scale float32) {
			buf, pool := borrow[[2 * stepChunk]float32]()
			defer pool.Put(buf)
			d, e := buf[:len(w)], buf[stepChunk:][:len(w)]
			t.MulScalar(d, g, scale)
			if decay != 0 {
				t.MulScalar(e, w, decay)
				t.Add(d, d, e)
			}
			t.MulScalar(m2[0], m[0], b1)
			t.MulScalar(e, d, a1)
			t.Add(m2[0], m2[0], e)
			t.Square(d, d)
			t.MulScalar(d, d, a2)
			t.MulScalar(m2[1], m[1], b2)
			t.Add(m2[1], m2[1], d)
			t.Sqrt(d, m2[1])
			t.Affine(d, d, correct, eps)
			t.Div(d, m2[0], d)
			t.MulScalar(d, d, rate)
			t.MulScalar(e, w, keep)
			t.Sub(w2, e, d)
		}
	})
}
