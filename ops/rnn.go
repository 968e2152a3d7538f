package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

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
	register(&Op{Name: "RNN", Numerics: Rounding, Versions: []Version{
		// 7 dropped output_sequence, 14 added layout, 22 bfloat16.
		{Since: 1, In: Arity{3, 6}, Out: Arity{0, 2}, Infer: inferRecurrent, Build: buildRNN},
	}})
}

func buildRNN(b *BuildContext) (Kernel, error) {
	r, err := readRecurrent(b, 1, "Tanh")
	if err != nil {
		return nil, err
	}
	return buildRecurrent(b, &r, newRNNCell[float32], newRNNCell[float64])
}

type rnnCell[T floating] struct{ *recurrentCall[T] }

func newRNNCell[T floating](q *recurrentCall[T], _ *Call) (recurrentCell[T], error) {
	return rnnCell[T]{q}, nil
}

func (r rnnCell[T]) products(p par.P, d, n int, gates, h []T) {
	gemm.Run(p, &gemm.Args[T]{M: n, N: r.h, K: r.h, A: h, ARS: r.h, ACS: 1, Packed: r.r[d][0], C: gates, LDC: r.h, Epilogue: gemm.Epilogue[T]{Acc: true}})
}

func (r rnnCell[T]) step(d int, gates, h, _ []T) {
	r.act(d, 0)(gates)
	copy(h, gates)
}
