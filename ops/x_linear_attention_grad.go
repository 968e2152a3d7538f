package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// x.LinearAttentionGrad: the gradients of LinearAttention. With D = exp(g)·S of the state S before a
// token, u = β·(v - Dᵀ·k) (v without delta), S' = D + k ⊗ u and o = scale · S'ᵀ·q, from the last token
// to the first:
//
//	dS' += scale · q ⊗ do,  dq = scale · S'·do
//	du = dS'ᵀ·k,  dk = dS'·u
//	with delta: dβ = du·(v - Dᵀ·k),  dv = β·du,  dk -= D·dv,  dD = dS' - k ⊗ dv    else: dv = du,  dD = dS'
//	dg = Σ D ⊙ dD, over the row or all of it,  dS = exp(g)·dD
//
//	inputs 0 to 5 and the attributes as of LinearAttention    6, 7 (optional): dL/doutput, dL/dpresent_state
//	dL/dinput 0 to 5, of its type and shape (each optional)
//
// Of the states, every √t-th is kept, and those between are made again; dS becomes dL/dpast_state. A task
// is a key head with all its queries, so sums have one order.
// This operator is private: the gradient of LinearAttention writes it.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LinearAttention.html
func linearAttentionGradOp() *Op {
	return &Op{Domain: Private, Name: "LinearAttentionGrad", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{7, 8}, Out: Arity{1, 6}, Infer: func(c *InferContext) error {
			for i := range c.Out {
				if c.Has(i) {
					c.Out[i] = c.In(i)
				}
			}
			return nil
		}, Build: buildLinearAttentionGrad},
	}}
}

func buildLinearAttentionGrad(b *BuildContext) (Kernel, error) {
	l, err := readLinearAttention(b)
	if err != nil {
		return nil, err
	}
	var wants [6]bool
	for i := range wants {
		if wants[i] = b.Wants(i); wants[i] && !b.Has(i) {
			return nil, fmt.Errorf("the gradient of input %d is asked for, which is absent", i)
		}
	}
	return b.realKernels(0, linearAttentionGradKernel[float32](l, wants), linearAttentionGradKernel[float64](l, wants))
}

// linearAttentionBack is one execution: what nobody asks for has no data.
type linearAttentionBack[T floating] struct {
	linearAttention[T]
	dy                        headView[T]
	dend                      []T // nil: zeros
	qGrad, kGrad, vGrad       headView[T]
	dpast, ddecay, dbetaHeads []T // dbetaHeads: [b, t, hk]
	every                     int // tokens between kept states
}

func linearAttentionGradKernel[T floating](rule linearRule, wants [6]bool) Kernel {
	return func(c *Call) error {
		var g linearAttentionBack[T]
		l := &g.linearAttention
		err := l.read(c, rule)
		if err != nil {
			return err
		}
		if d := c.T(6); d != nil {
			if want := []int{l.batch, l.t, l.hq * l.dv}; !slices.Equal(d.Shape(), want) {
				return fmt.Errorf("dL/doutput has shape %v, want %v", d.Shape(), want)
			}
			data, err := reals[T](c, 6)
			if err != nil {
				return err
			}
			g.dy = headsLast(data, l.hq, l.t, l.dv)
		}
		if d := c.T(7); d != nil {
			if want := l.stateShape(c); !slices.Equal(d.Shape(), want) {
				return fmt.Errorf("dL/dpresent_state has shape %v, want %v", d.Shape(), want)
			}
			if g.dend, err = reals[T](c, 7); err != nil {
				return err
			}
		}
		var out [6][]T
		for i, want := range wants {
			if want {
				data, done := realsOut[T](c, i, c.T(i).DType(), c.T(i).Shape()...)
				defer done()
				clear(data)
				out[i] = data
			}
		}
		g.qGrad, g.kGrad, g.vGrad = headsLast(out[0], l.hq, l.t, l.dk), headsLast(out[1], l.hk, l.t, l.dk), headsLast(out[2], l.hk, l.t, l.dv)
		g.dpast, g.ddecay, g.dbetaHeads = out[3], out[4], out[5]
		if wants[5] && l.betaHeads != l.hk {
			g.dbetaHeads = Scratch[T](c, l.batch*l.t*l.hk)
			clear(g.dbetaHeads)
		}
		g.every = max(1, int(math.Sqrt(float64(l.t))))
		c.P.For(l.batch*l.hk, 1, func(lo, hi int) {
			size := l.dk * l.dv
			kept := (l.t + g.every - 1) / g.every
			gemm.Scratch((kept+g.every+2)*size+2*l.dv, func(s []T) {
				w := newLinearWork(l)
				for u := lo; u < hi && c.Ctx().Err() == nil; u++ {
					g.head(w, s, u/l.hk, u%l.hk)
				}
			})
		})
		if wants[5] && l.betaHeads != l.hk {
			for i := range out[5] {
				for _, v := range g.dbetaHeads[i*l.hk:][:l.hk] {
					out[5][i] += v
				}
			}
		}
		return c.Ctx().Err()
	}
}

// head computes what key head h of batch b gives. s is memory: the kept states, those of a
// stretch of tokens, D, dS, u and the difference v - Dᵀ·k.
func (g *linearAttentionBack[T]) head(w *linearWork[T], s []T, b, h int) {
	size := g.dk * g.dv
	kept := (g.t + g.every - 1) / g.every
	starts, s := s[:kept*size], s[kept*size:]
	states, s := s[:g.every*size], s[g.every*size:]
	d, ds, u, diff := s[:size], s[size:2*size], s[2*size:][:g.dv], s[2*size+g.dv:]
	first := (b*g.hk + h) * size
	clear(ds)
	if g.dend != nil {
		copy(ds, g.dend[first:][:size])
	}
	clear(d)
	if g.past != nil {
		copy(d, g.past[first:][:size])
	}
	for i := range g.t {
		if i%g.every == 0 {
			copy(starts[i/g.every*size:], d)
		}
		g.step(w, d, b, h, i)
	}
	for part := kept - 1; part >= 0; part-- {
		from, to := part*g.every, min((part+1)*g.every, g.t)
		start := starts[part*size:][:size]
		copy(d, start)
		for i := from; i < to; i++ {
			g.step(w, d, b, h, i)
			copy(states[(i-from)*size:], d)
		}
		for i := to - 1; i >= from; i-- {
			before := start
			if i > from {
				before = states[(i-1-from)*size:][:size]
			}
			copy(d, before)
			g.token(w, d, states[(i-from)*size:][:size], ds, u, diff, b, h, i)
		}
	}
	if g.dpast != nil {
		copy(g.dpast[first:], ds)
	}
}

// token takes ds, the gradient of the state after token i, to that of the state before it,
// which d holds; d, u and diff are written over.
func (g *linearAttentionBack[T]) token(w *linearWork[T], d, after, ds, u, diff []T, b, h, i int) {
	l := &g.linearAttention
	dk, dv, scale := l.dk, l.dv, T(l.scale)
	if g.dy.data != nil {
		group := l.hq / l.hk
		for q := h * group; q < (h+1)*group; q++ {
			do, qv := g.dy.at(b, q, i)[:dv], l.q.at(b, q, i)[:dk]
			for m, v := range do {
				w.found[m] = scale * v
			}
			w.addOuter(ds, qv, w.found)
			if g.qGrad.data != nil {
				w.timesColumn(g.qGrad.at(b, q, i)[:dk], after, w.found)
			}
		}
	}
	k := l.k.at(b, h, i)[:dk]
	var decay []T
	if l.gated {
		decay = l.decayOf(b, h, i)
		decayState(d, decay, dv)
	}
	copy(diff, l.v.at(b, h, i)[:dv])
	copy(u, diff)
	if l.delta {
		w.rowTimes(w.found, k, d, 1)
		beta := l.beta[l.betaOf(b, h, i)]
		for m, v := range w.found {
			diff[m] -= v
			u[m] = beta * diff[m]
		}
	}
	var gk []T
	if g.kGrad.data != nil {
		gk = g.kGrad.at(b, h, i)[:dk]
		w.timesColumn(gk, ds, u)
	}
	w.rowTimes(u, k, ds, 1) // du from here on
	if l.delta {
		if g.dbetaHeads != nil {
			g.dbetaHeads[(b*l.t+i)*l.hk+h] = dotSame(u, diff)
		}
		beta := l.beta[l.betaOf(b, h, i)]
		for m := range u {
			u[m] *= beta
			w.fresh[m] = -u[m]
		}
		for j := range gk {
			gk[j] += dotSame(d[j*dv:(j+1)*dv], w.fresh)
		}
		w.addOuter(ds, k, w.fresh)
	}
	if g.vGrad.data != nil {
		copy(g.vGrad.at(b, h, i)[:dv], u)
	}
	if !l.gated {
		return
	}
	if g.ddecay != nil {
		to := g.ddecay[((b*l.t+i)*l.hk+h)*l.decayEach:][:l.decayEach]
		for j := range dk {
			to[j%len(to)] += dotSame(d[j*dv:(j+1)*dv], ds[j*dv:(j+1)*dv])
		}
	}
	decayState(ds, decay, dv)
}

// timesColumn sets y to s·x, s a matrix of len(y) rows.
func (w *linearWork[T]) timesColumn(y, s, x []T) {
	n := len(x)
	if n == 0 {
		clear(y)
		return
	}
	w.args = gemm.Args[T]{M: 1, N: len(y), K: n, A: x, ARS: n, ACS: 1, B: s, BRS: 1, BCS: n, C: y, LDC: len(y)}
	gemm.Run(par.P{}, &w.args)
}

// dotSame returns the sum of the products of a and b, in four partial sums.
func dotSame[T floating](a, b []T) T {
	b = b[:len(a)]
	var s [4]T
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s[0] += a[i] * b[i]
		s[1] += a[i+1] * b[i+1]
		s[2] += a[i+2] * b[i+2]
		s[3] += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s[0] += a[i] * b[i]
	}
	return s[0] + s[1] + (s[2] + s[3])
}
