package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
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
	register(&Op{Name: "LSTM", Numerics: Rounding, Flush: true, Versions: []Version{v}})
}

func gradLSTM(c *GradContext) []*onnx.Value {
	return gradRecurrent("LSTMGrad", "LSTMTrain")(c)
}

func buildLSTM(b *BuildContext) (Kernel, error) { return buildLSTMAs(b, false) }

func buildLSTMAs(b *BuildContext, keep bool) (Kernel, error) {
	r, err := readRecurrent(b, 4, "Sigmoid", "Tanh", "Tanh")
	if err != nil {
		return nil, err
	}
	r.hasCell, r.keep = true, keep
	couple := b.Bool("input_forget", false)
	return buildRecurrent(b, &r, newLSTMCell[float32](couple), newLSTMCell[float64](couple))
}

type lstmCell[T floating] struct {
	couple   bool
	peephole []T // [d, 3h] or nil
}

func newLSTMCell[T floating](couple bool) func() recurrentCell[T] {
	return func() recurrentCell[T] { return &lstmCell[T]{couple: couple} }
}

func (l *lstmCell[T]) start(c *Call, q *recurrentCall[T]) error {
	l.peephole = nil
	t := c.T(7)
	if t == nil {
		return nil
	}
	if want := c.list(len(q.dirs), 3*q.h); !slices.Equal(t.Shape(), want) {
		return fmt.Errorf("P has shape %v, want %v", t.Shape(), want)
	}
	var err error
	l.peephole, err = reals[T](c, 7)
	return err
}

func (l *lstmCell[T]) shares(q *recurrentCall[T]) bool { return l.fast(q) }

// fast reports whether steps are computed in vectors.
func (l *lstmCell[T]) fast(q *recurrentCall[T]) bool {
	return q.vec != nil && !l.couple && l.peephole == nil
}

func (l *lstmCell[T]) step(q *recurrentCall[T], w *recurrentStep[T], t, from, to int) {
	q.multiply(w, t, 0, w.h[w.b0*q.h:], 0, from, to)
	l.finishStep(q, w, t, from, to)
}

// finishStep does what comes after the products of a step.
func (l *lstmCell[T]) finishStep(q *recurrentCall[T], w *recurrentStep[T], t, from, to int) {
	fast := l.fast(q)
	for b := w.b0; b < w.b1; b++ {
		pre, rec, _, next, c, live := q.row(w, t, b)
		switch {
		case !live:
		case fast && q.cells != nil:
			cells := q.cells[(w.d*q.s*q.n+q.rowOf(w, t, b))*q.h:][:q.h]
			q.vec.LSTMKeep(singles(next[from:to]), singles(c[from:]), singles(cells[from:]), singles(pre[from:]), singles(rec[from:]), q.h)
		case fast:
			q.vec.LSTM(singles(next[from:to]), singles(c[from:]), singles(pre[from:]), singles(rec[from:]), q.h)
		default:
			addTo(pre, rec)
			l.finish(q, w.d, pre, next, c)
			if q.cells != nil {
				copy(q.cells[(w.d*q.s*q.n+q.rowOf(w, t, b))*q.h:][:q.h], c)
			}
		}
	}
}

// finish computes a row of the state from the gates before their functions.
func (l *lstmCell[T]) finish(q *recurrentCall[T], d int, gates, h, c []T) {
	k := q.h
	i, o, f, g := gates[:k], gates[k:2*k], gates[2*k:3*k], gates[3*k:4*k]
	act := q.act(d, 0)
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
	q.act(d, 1)(g)
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
	q.act(d, 2)(h)
	for j, v := range o {
		h[j] *= v
	}
}
