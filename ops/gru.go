package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// GRU, with gates in the order z, r, h and by default f = Sigmoid, g = Tanh:
//
//	zt = f(Xt·Wzᵀ + Ht-1·Rzᵀ + Wbz + Rbz)
//	rt = f(Xt·Wrᵀ + Ht-1·Rrᵀ + Wbr + Rbr)
//	ht = g(Xt·Whᵀ + (rt ⊙ Ht-1)·Rhᵀ + Rbh + Wbh), or with linear_before_reset
//	ht = g(Xt·Whᵀ + rt ⊙ (Ht-1·Rhᵀ + Rbh) + Wbh)
//	Ht = (1 - zt) ⊙ ht + zt ⊙ Ht-1
//
//	X: T[s, n, i] (layout 1: [n, s, i])    W: T[d, 3h, i]    R: T[d, 3h, h]    B (optional): T[d, 6h]
//	sequence_lens (optional): int32[n]    initial_h (optional): T[d, n, h] (layout 1: [n, d, h])
//	Y (optional): T[s, d, n, h] (layout 1: [n, s, d, h]), 0 after the end of a sequence
//	Y_h (optional): like initial_h, the state after the last step of each sequence
//
// Directions, lengths and clip are as in RNN.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GRU.html
func init() {
	v := Version{Since: 1, In: Arity{3, 6}, Out: Arity{0, 2}, Infer: inferRecurrent, Build: buildGRU}
	// 3 added linear_before_reset, 7 dropped output_sequence, 14 added layout, 22 bfloat16.
	register(&Op{Name: "GRU", Numerics: Rounding, Versions: []Version{v}})
}

func buildGRU(b *BuildContext) (Kernel, error) {
	r, err := readRecurrent(b, 3, "Sigmoid", "Tanh")
	if err != nil {
		return nil, err
	}
	r.split, r.lateBias = true, b.Bool("linear_before_reset", false)
	return buildRecurrent(b, &r, newGRUCell[float32], newGRUCell[float64])
}

type gruCell[T floating] struct {
	*recurrentCall[T]
	hidden []T // [d, n, h]: with linear_before_reset what the reset gate multiplies, else scratch
}

func newGRUCell[T floating](q *recurrentCall[T], c *Call) (recurrentCell[T], error) {
	return gruCell[T]{q, Scratch[T](c, len(q.dirs)*q.n*q.h)}, nil
}

func (g gruCell[T]) products(p par.P, d, n int, gates, h []T) {
	k, gh := g.h, 3*g.h
	hidden := g.hidden[d*n*k : (d+1)*n*k]
	run := func(a []T, part int, c []T, ldc int, e gemm.Epilogue[T]) {
		m := g.r[d][part]
		gemm.Run(p, &gemm.Args[T]{M: n, N: m.N, K: k, A: a, ARS: k, ACS: 1, Packed: m, C: c, LDC: ldc, Epilogue: e})
	}
	if n == 0 || k == 0 {
		return
	}
	run(h, 0, gates, gh, gemm.Epilogue[T]{Acc: true})
	if g.lateBias {
		var col []T
		if g.bias != nil {
			col = g.bias[d*6*k+5*k:][:k]
		}
		run(h, 1, hidden, k, gemm.Epilogue[T]{Col: col})
		for b := 0; b < n; b++ {
			row := gates[b*gh : (b+1)*gh]
			g.act(d, 0)(row[:2*k])
			r, hg := row[k:2*k], row[2*k:]
			for i, v := range hidden[b*k : (b+1)*k] {
				hg[i] += r[i] * v
			}
		}
		return
	}
	for b := 0; b < n; b++ {
		row := gates[b*gh : (b+1)*gh]
		g.act(d, 0)(row[:2*k])
		r, hb := row[k:2*k], h[b*k:(b+1)*k]
		for i, v := range hb {
			hidden[b*k+i] = r[i] * v
		}
	}
	run(hidden, 1, gates[2*k:], gh, gemm.Epilogue[T]{Acc: true})
}

func (g gruCell[T]) step(d int, gates, h, _ []T) {
	k := g.h
	z, hg := gates[:k], gates[2*k:3*k]
	g.act(d, 1)(hg)
	for i, v := range h {
		h[i] = (1-z[i])*hg[i] + z[i]*v
	}
}
