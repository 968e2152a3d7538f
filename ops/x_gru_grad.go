package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// x.GRUGrad: the gradients of GRU (see recurrent_grad.go). With dh of the state
// after a step, H that before it, and G of a gate what its function was applied to:
//
//	Gz = dh ⊙ (H - ht) ⊙ f',  Gh = dh ⊙ (1 - z) ⊙ g'
//	u = Gh·Rh,  Gr = u ⊙ H ⊙ f',  dh of H = dh ⊙ z + u ⊙ r + Gz·Rz + Gr·Rr,  dRh = Ghᵀ·(r ⊙ H)
//
// and with linear_before_reset, where q = H·Rhᵀ + Rbh:
//
//	Gq = Gh ⊙ r,  Gr = Gh ⊙ q ⊙ f',  dh of H = dh ⊙ z + Gq·Rh + Gz·Rz + Gr·Rr,  dRh = Gqᵀ·H,  dRbh = Σ Gq
//
// This operator is private: the gradient of GRU writes it.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GRU.html
func gruGradOp() *Op {
	return &Op{Domain: Private, Name: "GRUGrad", Numerics: Rounding, Flush: true, Versions: recurrentGradVersions(buildGRUGrad)}
}

func buildGRUGrad(b *BuildContext) (Kernel, error) {
	r, err := readRecurrent(b, 3, "Sigmoid", "Tanh")
	if err != nil {
		return nil, err
	}
	r.lateBias = b.Bool("linear_before_reset", false)
	r.split = true
	return buildRecurrentGrad(b, &r, newGRUBack[float32], newGRUBack[float64])
}

type gruBack[T floating] struct {
	// other is r ⊙ H, or with linear_before_reset q and then Gq: [d, rows of X, h].
	other []T
}

func newGRUBack[T floating]() recurrentBack[T] { return &gruBack[T]{} }

func (u *gruBack[T]) start(c *Call, g *recurrentGrad[T]) error {
	u.other = Scratch[T](c, len(g.dirs)*g.s*g.n*g.h)
	return nil
}

// others returns other of direction d.
func (u *gruBack[T]) others(g *recurrentGrad[T], d int) []T {
	size := g.s * g.n * g.h
	return u.other[d*size : (d+1)*size]
}

func (u *gruBack[T]) rows(g *recurrentGrad[T], d int) {
	rows, h := g.s*g.n, g.h
	if g.lateBias {
		g.multiply(&gemm.Args[T]{M: rows, N: h, K: h, A: g.prev[d*rows*h:], ARS: h, ACS: 1, Packed: g.r[d][1], C: u.others(g, d), LDC: h,
			Epilogue: gemm.Epilogue[T]{Col: g.late[d*h : (d+1)*h]}})
		return
	}
	par.Run(g.c.P, rows, par.Grain(rows, 2*float64(h)), par.With(gruRows[T]{u, g, d}))
}

// gruRows computes r ⊙ H of rows of X in direction d.
type gruRows[T floating] struct {
	u *gruBack[T]
	g *recurrentGrad[T]
	d int
}

func (a *gruRows[T]) Chunk(lo, hi int) {
	g, h := a.g, a.g.h
	for row := lo; row < hi; row++ {
		r, to := g.keptRow(a.d, row)[h:2*h], a.u.others(g, a.d)[row*h:][:h]
		for j, v := range g.prevRow(a.d, row) {
			to[j] = r[j] * v
		}
	}
}

func (u *gruBack[T]) step(g *recurrentGrad[T], w *backTask[T], t int) {
	h, pitch, width := g.h, g.pitch(), g.rowWidth()
	for b := w.b0; b < w.b1; b++ {
		at, row := b-w.b0, g.place(w.d, t, b)
		other := u.others(g, w.d)[row*h:][:h]
		if t >= g.length(b) {
			clear(other)
			continue
		}
		gates, prev, dh := g.gatesAt(w.d, row), g.prevRow(w.d, row), w.dh[at*h:][:h]
		z, r, in := gates[:h], gates[h:2*h], gates[2*h:3*h]
		c := w.compact[at*pitch:][:3*h]
		dz, dr, dn := c[:h], c[h:2*h], c[2*h:]
		for j, v := range z {
			dz[j] = dh[j] * (prev[j] - in[j])
			dn[j] = dh[j] * (1 - v)
			dh[j] *= v
		}
		g.slope(w.d, 0)(dz, z)
		g.slope(w.d, 1)(dn, in)
		copy(in, dn)
		copy(z, dz)
		if g.lateBias {
			for j, v := range dn {
				dr[j] = v * other[j]
				dn[j] = v * r[j]
			}
			copy(other, dn)
			g.slope(w.d, 0)(dr, r)
			copy(r, dr)
		}
	}
	g.toState(w.prod, w, t, 1, 2*h)
	for b := w.b0; b < w.b1; b++ {
		if t >= g.length(b) {
			continue
		}
		at, row := b-w.b0, g.place(w.d, t, b)
		dh, prod := w.dh[at*h:][:h], w.prod[at*width:][:h]
		if g.lateBias {
			addTo(dh, prod)
			continue
		}
		r, prev, dr := g.row(w.d, row)[h:2*h], g.prevRow(w.d, row), w.compact[at*pitch+h:][:h]
		for j, v := range prod {
			dr[j] = v * prev[j]
			dh[j] += v * r[j]
		}
		g.slope(w.d, 0)(dr, r)
		copy(r, dr)
	}
	g.toState(w.prod, w, t, 0, 0)
	for b := w.b0; b < w.b1; b++ {
		if t < g.length(b) {
			addTo(w.dh[(b-w.b0)*h:][:h], w.prod[(b-w.b0)*width:])
		}
	}
}

func (u *gruBack[T]) finish(g *recurrentGrad[T]) {
	rows, h, all := g.s*g.n, g.h, len(g.dirs)*3*g.h
	for d := range g.dirs {
		other := u.others(g, d)
		if g.dR != nil {
			if g.lateBias {
				g.states(d, 2, 3, other, h, g.prev[d*rows*h:])
			} else {
				g.states(d, 2, 3, g.pre[(d*3+2)*h:], all, other)
			}
		}
		if g.dB != nil && g.lateBias {
			g.columns(g.dB[(d*6+5)*h:][:h], other, h)
		}
	}
	u.other = nil
}
