package ops

// x.RNNGrad: the gradients of RNN (see recurrent_grad.go). With dh of the state
// after a step: G = dh ⊙ f', dh of the state before = G·R.
//
// This operator is private: the gradient of RNN writes it.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RNN.html
func rnnGradOp() *Op {
	return &Op{Domain: Private, Name: "RNNGrad", Numerics: Rounding, Flush: true, Versions: recurrentGradVersions(buildRNNGrad)}
}

func buildRNNGrad(b *BuildContext) (Kernel, error) {
	r, err := readRecurrent(b, 1, "Tanh")
	if err != nil {
		return nil, err
	}
	return buildRecurrentGrad(b, &r, newRNNBack[float32], newRNNBack[float64])
}

type rnnBack[T floating] struct{}

func newRNNBack[T floating]() recurrentBack[T] { return rnnBack[T]{} }

func (rnnBack[T]) start(*Call, *recurrentGrad[T]) error { return nil }
func (rnnBack[T]) rows(*recurrentGrad[T], int)          {}
func (rnnBack[T]) finish(*recurrentGrad[T])             {}

func (rnnBack[T]) step(g *recurrentGrad[T], w *backTask[T], t int) {
	h, pitch, slope := g.h, g.pitch(), g.slope(w.d, 0)
	for b := w.b0; b < w.b1; b++ {
		if t >= g.length(b) {
			continue
		}
		row := g.place(w.d, t, b)
		dg := g.row(w.d, row)
		copy(dg, w.dh[(b-w.b0)*h:])
		slope(dg, g.yState[g.inY(w.d, row):])
		copy(w.compact[(b-w.b0)*pitch:][:h], dg)
	}
	g.stepBefore(w, t)
}
