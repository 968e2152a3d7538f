package ops

// x.LSTMGrad: the gradients of LSTM (see recurrent_grad.go). With dh and dc of the
// states after a step, and G of a gate what its function was applied to:
//
//	Go = dh ⊙ h(C) ⊙ f'
//	dc += dh ⊙ o ⊙ h' + Po ⊙ Go
//	Gi = dc ⊙ g ⊙ f'      (input_forget: dc ⊙ (g - Cprev) ⊙ f')
//	Gf = dc ⊙ Cprev ⊙ f'  (input_forget: 0)
//	Gc = dc ⊙ i ⊙ g'
//	dc of the state before = dc ⊙ f + Pi ⊙ Gi + Pf ⊙ Gf,  dh of it = G·R
//
// This operator is private: the gradient of LSTM writes it.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LSTM.html
func lstmGradOp() *Op {
	return &Op{Domain: Private, Name: "LSTMGrad", Numerics: Rounding, Flush: true, Versions: recurrentGradVersions(buildLSTMGrad)}
}

func buildLSTMGrad(b *BuildContext) (Kernel, error) {
	r, err := readRecurrent(b, 4, "Sigmoid", "Tanh", "Tanh")
	if err != nil {
		return nil, err
	}
	r.hasCell = true
	couple := b.Bool("input_forget", false)
	return buildRecurrentGrad(b, &r, newLSTMBack[float32](couple), newLSTMBack[float64](couple))
}

type lstmBack[T floating] struct {
	lstmCell[T]
	cells []T // the cell states after all steps, [d, rows of X, h]
	temp  []T // 2h by sequence
	sums  []T // dP by sequence, [3h]
}

func newLSTMBack[T floating](couple bool) func() recurrentBack[T] {
	return func() recurrentBack[T] { return &lstmBack[T]{lstmCell: lstmCell[T]{couple: couple}} }
}

func (l *lstmBack[T]) start(c *Call, g *recurrentGrad[T]) error {
	d, h := len(g.dirs), g.h
	var err error
	if l.cells, err = g.saved(c, 13, "cells", d, g.s*g.n, h); err != nil {
		return err
	}
	l.temp, l.sums = Scratch[T](c, d*g.n*2*h), nil
	if err := l.lstmCell.start(c, &g.recurrentCall); err != nil {
		return err
	}
	if l.peephole != nil {
		l.sums = Scratch[T](c, d*g.n*3*h)
		clear(l.sums)
	}
	return nil
}

func (l *lstmBack[T]) rows(*recurrentGrad[T], int) {}

// cell returns the cell state after the step of a row of X.
func (l *lstmBack[T]) cell(g *recurrentGrad[T], d, row int) []T {
	return l.cells[(d*g.s*g.n+row)*g.h:][:g.h]
}

// before returns the cell state before step t of sequence b.
func (l *lstmBack[T]) before(g *recurrentGrad[T], d, t, b int) []T {
	if t == 0 {
		return g.state[1][(d*g.n+b)*g.h:][:g.h]
	}
	return l.cell(g, d, g.place(d, t-1, b))
}

func (l *lstmBack[T]) step(g *recurrentGrad[T], w *backTask[T], t int) {
	h, pitch := g.h, g.pitch()
	fast := l.fast(&g.recurrentCall)
	for b := w.b0; b < w.b1; b++ {
		if t >= g.length(b) {
			continue
		}
		row, at := g.place(w.d, t, b), b-w.b0
		c, cp, compact := l.cell(g, w.d, row), l.before(g, w.d, t, b), w.compact[at*pitch:][:4*h]
		if fast {
			dh, dc := w.dh[at*h:][:h], w.dc[at*h:][:h]
			g.vec.LSTMBack(singles(g.row(w.d, row)), singles(compact), singles(dc), singles(dh), singles(c), singles(cp), singles(g.keptRow(w.d, row)), h)
			continue
		}
		gates := g.gatesAt(w.d, row)
		l.units(g, w, b, gates, c, cp)
		copy(compact, gates)
	}
	g.stepBefore(w, t)
}

// units turns the gates of sequence b into G and dc into that of the state before.
func (l *lstmBack[T]) units(g *recurrentGrad[T], w *backTask[T], b int, gates, c, cp []T) {
	h := g.h
	i, o, f, in := gates[:h], gates[h:2*h], gates[2*h:3*h], gates[3*h:4*h]
	dh, dc := w.dh[(b-w.b0)*h:][:h], w.dc[(b-w.b0)*h:][:h]
	temp := l.temp[(w.d*g.n+b)*2*h:][:2*h]
	out, d := temp[:h], temp[h:] // h(C) and one gradient at a time
	act, slope := g.act(w.d, 2), g.slope(w.d, 0)
	c, cp = c[:h], cp[:h]
	copy(out, c)
	act(out)
	for j, v := range o {
		d[j] = dh[j] * v
	}
	g.slope(w.d, 2)(d, out)
	addTo(dc, d)
	for j, v := range out {
		d[j] = dh[j] * v
	}
	slope(d, o)
	copy(o, d)
	if l.peephole != nil {
		for j, p := range l.peephole[(w.d*3+1)*h:][:h] {
			dc[j] += p * o[j]
		}
	}
	forget := out // f is needed once more
	copy(forget, f)
	for j, v := range cp {
		d[j] = dc[j] * v
	}
	if l.couple {
		clear(f)
	} else {
		slope(d, f)
		copy(f, d)
	}
	for j, v := range i {
		d[j] = dc[j] * v
	}
	g.slope(w.d, 1)(d, in)
	for j, v := range in { // of i, while d is of the candidate
		if l.couple {
			v -= cp[j]
		}
		in[j] = dc[j] * v
	}
	slope(in, i)
	copy(i, in)
	copy(in, d)
	for j, v := range forget {
		dc[j] *= v
	}
	if l.peephole == nil {
		return
	}
	pi, pf := l.peephole[w.d*3*h:][:h], l.peephole[(w.d*3+2)*h:][:h]
	sums := l.sums[(w.d*g.n+b)*3*h:][:3*h]
	for j := range dc {
		dc[j] += pi[j]*i[j] + pf[j]*f[j]
		sums[j] += i[j] * cp[j]
		sums[h+j] += o[j] * c[j]
		sums[2*h+j] += f[j] * cp[j]
	}
}

// finish drops what belongs to the call.
func (l *lstmBack[T]) finish(g *recurrentGrad[T]) {
	if dP := g.dP; dP != nil {
		clear(dP)
		for k := range len(g.dirs) * g.n {
			addTo(dP[k/g.n*3*g.h:][:3*g.h], l.sums[k*3*g.h:])
		}
	}
	l.cells, l.temp, l.sums, l.peephole = nil, nil, nil, nil
}
