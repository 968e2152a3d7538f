package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/onnx"
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
	register(&Op{Name: "GRU", Numerics: Rounding, Flush: true, Versions: []Version{v}})
}

func gradGRU(c *GradContext) []*onnx.Value {
	return gradRecurrent("GRUGrad", "GRUTrain")(c)
}

func buildGRU(b *BuildContext) (Kernel, error) { return buildGRUAs(b, false) }

func buildGRUAs(b *BuildContext, keep bool) (Kernel, error) {
	r, err := readRecurrent(b, 3, "Sigmoid", "Tanh")
	if err != nil {
		return nil, err
	}
	r.lateBias = b.Bool("linear_before_reset", false)
	r.split, r.keep = !r.lateBias, keep
	return buildRecurrent(b, &r, newGRUCell[float32], newGRUCell[float64])
}

type gruCell[T floating] struct{}

func newGRUCell[T floating]() recurrentCell[T] { return &gruCell[T]{} }

func (*gruCell[T]) start(*Call, *recurrentCall[T]) error { return nil }

// With linear_before_reset a unit needs nothing of the others' gates.
func (*gruCell[T]) shares(q *recurrentCall[T]) bool { return q.lateBias && q.vec != nil }

func (g *gruCell[T]) step(q *recurrentCall[T], w *recurrentStep[T], t, from, to int) {
	k := q.h
	q.multiply(w, t, 0, w.h[w.b0*k:], 0, from, to)
	if q.lateBias {
		late := q.late[w.d*k : (w.d+1)*k]
		for b := w.b0; b < w.b1; b++ {
			pre, rec, h, next, _, live := q.row(w, t, b)
			switch {
			case !live:
			case q.vec != nil:
				q.vec.GRU(singles(next[from:to]), singles(h[from:]), singles(pre[from:]), singles(rec[from:]), singles(late[from:]), k)
			default:
				addTo(pre[:2*k], rec)
				q.act(w.d, 0)(pre[:2*k])
				r, hg := pre[k:2*k], pre[2*k:]
				for i, v := range rec[2*k : 3*k] {
					hg[i] += r[i] * (v + late[i])
				}
				g.blend(q, w, pre, h, next)
			}
		}
		return
	}
	for b := w.b0; b < w.b1; b++ {
		pre, rec, h, _, _, live := q.row(w, t, b)
		if !live {
			continue
		}
		reset := w.reset[(b-w.b0)*k:][:k]
		if q.vec != nil {
			q.vec.GRUReset(singles(reset), singles(h), singles(pre[k:]), singles(rec[k:]))
			continue
		}
		addTo(pre[:2*k], rec)
		q.act(w.d, 0)(pre[:2*k])
		for i, v := range h {
			reset[i] = pre[k+i] * v
		}
	}
	second := gemm.Panels(2*k) * gemm.Panel // where the second part is
	q.multiply(w, t, 1, w.reset, second, 0, k)
	for b := w.b0; b < w.b1; b++ {
		pre, rec, h, next, _, live := q.row(w, t, b)
		switch {
		case !live:
		case q.vec != nil:
			q.vec.GRUBlend(singles(next), singles(h), singles(pre), singles(rec), singles(pre[2*k:]), singles(rec[second:]))
		default:
			addTo(pre[2*k:], rec[second:])
			g.blend(q, w, pre, h, next)
		}
	}
}

// blend finishes a row whose gates z and h are complete but for g of h.
func (*gruCell[T]) blend(q *recurrentCall[T], w *recurrentStep[T], gates, h, next []T) {
	k := q.h
	z, hg := gates[:k], gates[2*k:3*k]
	q.act(w.d, 1)(hg)
	for i, v := range h {
		next[i] = (1-z[i])*hg[i] + z[i]*v
	}
}
