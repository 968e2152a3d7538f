package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// LSTM, with gates in the order i, o, f, c and by default f = Sigmoid, g = h = Tanh:
//
//	it = f(Xt·Wiᵀ + Ht-1·Riᵀ + Pi ⊙ Ct-1 + Wbi + Rbi)
//	ft = f(Xt·Wfᵀ + Ht-1·Rfᵀ + Pf ⊙ Ct-1 + Wbf + Rbf), or 1 - it with input_forget
//	ct = g(Xt·Wcᵀ + Ht-1·Rcᵀ + Wbc + Rbc)
//	Ct = ft ⊙ Ct-1 + it ⊙ ct
//	ot = f(Xt·Woᵀ + Ht-1·Roᵀ + Po ⊙ Ct + Wbo + Rbo)
//	Ht = ot ⊙ h(Ct)
//
//	X: T[s, n, i] (layout 1: [n, s, i])    W: T[d, 4h, i]    R: T[d, 4h, h]    B (optional): T[d, 8h]
//	sequence_lens (optional): int32[n]    initial_h, initial_c (optional): T[d, n, h] (layout 1: [n, d, h])
//	P (optional): T[d, 3h] in the order i, o, f
//	Y (optional): T[s, d, n, h] (layout 1: [n, s, d, h]), 0 after the end of a sequence
//	Y_h, Y_c (optional): like initial_h, the state after the last step of each sequence
//
// Directions, lengths and clip are as in RNN.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LSTM.html
func init() {
	v := Version{Since: 1, In: Arity{3, 8}, Out: Arity{0, 3}, Infer: inferRecurrent, Build: buildLSTM}
	// 7 dropped output_sequence, 14 added layout, 22 bfloat16.
	register(&Op{Name: "LSTM", Numerics: Rounding, Versions: []Version{v}})
}

func buildLSTM(b *BuildContext) (Kernel, error) {
	r, err := readRecurrent(b, 4, "Sigmoid", "Tanh", "Tanh")
	if err != nil {
		return nil, err
	}
	r.cell = true
	couple := b.Bool("input_forget", false)
	return buildRecurrent(b, &r, newLSTMCell[float32](couple), newLSTMCell[float64](couple))
}

type lstmCell[T floating] struct {
	*recurrentCall[T]
	couple   bool
	peephole []T // [d, 3h] or nil
}

func newLSTMCell[T floating](couple bool) func(*recurrentCall[T], *Call) (recurrentCell[T], error) {
	return func(q *recurrentCall[T], c *Call) (recurrentCell[T], error) {
		cell := lstmCell[T]{q, couple, nil}
		if t := c.T(7); t != nil {
			if want := []int{len(q.dirs), 3 * q.h}; !slices.Equal(t.Shape(), want) {
				return nil, fmt.Errorf("P has shape %v, want %v", t.Shape(), want)
			}
			var err error
			if cell.peephole, err = reals[T](c, 7); err != nil {
				return nil, err
			}
		}
		return cell, nil
	}
}

func (l lstmCell[T]) products(p par.P, d, n int, gates, h []T) {
	gemm.Run(p, &gemm.Args[T]{M: n, N: 4 * l.h, K: l.h, A: h, ARS: l.h, ACS: 1, Packed: l.r[d][0], C: gates, LDC: 4 * l.h, Epilogue: gemm.Epilogue[T]{Acc: true}})
}

func (l lstmCell[T]) step(d int, gates, h, c []T) {
	k := l.h
	i, o, f, g := gates[:k], gates[k:2*k], gates[2*k:3*k], gates[3*k:4*k]
	act := l.act(d, 0)
	var po []T
	if l.peephole != nil {
		p := l.peephole[d*3*k:][:3*k]
		po = p[k : 2*k]
		for j, v := range c {
			i[j] += p[j] * v
			f[j] += p[2*k+j] * v
		}
		act(i)
		act(f)
	} else {
		act(gates[:3*k])
	}
	if l.couple {
		for j, v := range i {
			f[j] = 1 - v
		}
	}
	l.act(d, 1)(g)
	for j, v := range c {
		c[j] = f[j]*v + i[j]*g[j]
	}
	if po != nil {
		for j, v := range c {
			o[j] += po[j] * v
		}
		act(o)
	}
	copy(h, c)
	l.act(d, 2)(h)
	for j, v := range o {
		h[j] *= v
	}
}
