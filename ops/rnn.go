package ops

import "github.com/gneiss-run/gneiss/onnx"

// RNN: Ht = f(Xt·Wᵀ + Ht-1·Rᵀ + Wb + Rb), f by default Tanh.
//
//	X: T[s, n, i] (layout 1: [n, s, i])    W: T[d, h, i]    R: T[d, h, h]    B (optional): T[d, 2h]
//	sequence_lens (optional): int32[n]    initial_h (optional): T[d, n, h] (layout 1: [n, d, h])
//	Y (optional): T[s, d, n, h] (layout 1: [n, s, d, h]), 0 after the end of a sequence
//	Y_h (optional): like initial_h, the state after the last step of each sequence
//
// d is 2 for direction = bidirectional, else 1. A reverse direction starts at
// the end of each sequence. clip bounds the inputs of activation functions.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RNN.html
func init() {
	register(&Op{Name: "RNN", Numerics: Rounding, Flush: true, Versions: []Version{
		// 7 dropped output_sequence, 14 added layout, 22 bfloat16.
		{Since: 1, In: Arity{3, 6}, Out: Arity{0, 2}, Infer: inferRecurrent, Build: buildRNN},
	}})
}

func gradRNN(c *GradContext) []*onnx.Value {
	return gradRecurrent("RNNGrad", "")(c)
}

func buildRNN(b *BuildContext) (Kernel, error) {
	r, err := readRecurrent(b, 1, "Tanh")
	if err != nil {
		return nil, err
	}
	return buildRecurrent(b, &r, newRNNCell[float32], newRNNCell[float64])
}

type rnnCell[T floating] struct{}

func newRNNCell[T floating]() recurrentCell[T] { return &rnnCell[T]{} }

func (*rnnCell[T]) start(*Call, *recurrentCall[T]) error { return nil }
func (*rnnCell[T]) shares(*recurrentCall[T]) bool        { return true }

func (*rnnCell[T]) step(q *recurrentCall[T], w *recurrentStep[T], t, from, to int) {
	q.multiply(w, t, 0, w.h[w.b0*q.h:], 0, from, to)
	act := q.act(w.d, 0)
	for b := w.b0; b < w.b1; b++ {
		pre, rec, _, next, _, live := q.row(w, t, b)
		if !live {
			continue
		}
		next = next[from:to]
		addInto(next, pre[from:to], rec[from:to])
		act(next)
	}
}
