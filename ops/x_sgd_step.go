package ops

// x.SGDStep: one step of stochastic gradient descent with momentum. With G' =
// scale·G + weight_decay·W:
//
//	B' = momentum·B + (1-dampening)·G', or G' in the first step
//	W' = W - lr·(G' + momentum·B' with nesterov, else B')
//
//	inputs: W, G, B, lr, t, scale    outputs: W', B'
//
// This operator is private: training writes it.
//
// Spec: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html, after Sutskever
// et al., On the importance of initialization and momentum in deep learning, 2013.
func sgdStepOp() *Op {
	return &Op{Domain: Private, Name: "SGDStep", Numerics: Rounding, Flush: true, Versions: stepVersions(1, buildSGDStep)}
}

type sgdParams struct {
	momentum, dampening, decay float64
	nesterov                   bool
}

func buildSGDStep(b *BuildContext) (Kernel, error) {
	p := sgdParams{momentum: float64(b.Float("momentum", 0)), dampening: float64(b.Float("dampening", 0)),
		decay: float64(b.Float("weight_decay", 0)), nesterov: b.Bool("nesterov", false)}
	return stepFor(b, sgdStep[float32](p), sgdStep[float64](p))
}

func sgdStep[T float32 | float64](p sgdParams) Kernel {
	return stepKernel(1, func(lr float64, t int) func(w2, w, g []T, m2, m *[2][]T, scale T) {
		rate, mu, take, decay := T(lr), T(p.momentum), T(1-p.dampening), T(p.decay)
		first := t == 1
		return func(w2, w, g []T, m2, m *[2][]T, scale T) {
			n := len(w)
			w2, g = w2[:n], g[:n]
			b, next := m[0][:n], m2[0][:n]
			for i, x := range w {
				d := g[i]*scale + decay*x
				v := d
				if !first {
					v = mu*b[i] + take*d
				}
				next[i] = v
				if p.nesterov {
					v = d + mu*v
				}
				w2[i] = x - rate*v
			}
		}
	})
}
