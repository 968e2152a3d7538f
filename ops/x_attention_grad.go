package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// x.AttentionGrad: the gradients of Attention by Q, K, V and the mask. With P = softmax(S),
// S = softcap(scale·Q·Kᵀ) + mask, of which a block of queries at a time is made again:
//
//	dV = Pᵀ·dY
//	dS = P ⊙ (dP - Σ P ⊙ dP),  dP = dY·Vᵀ, the sum over the keys
//	dQ = scale·dS'·K,  dK = scale·dS'ᵀ·Q,  dS' = dS ⊙ (1 - tanh²(scale·Q·Kᵀ/softcap))
//
//	inputs 0 to 6 and the attributes as of Attention, but K and V hold the past,
//	of which past_key only tells the length, and past_value is absent    7: dL/dY
//	8 (optional): dL/dqk_matmul_output, Q's type [b, hq, lq, lk], of the stage that qk_matmul_output_mode
//	tells: added to scale·Q·Kᵀ's, that of the capped or masked S, or dP
//	dL/dQ, dL/dK, dL/dV, dS: Q's type [b, hq, lq, lk] (each optional)
//
// Memory is that of a block of queries, not of all scores, unless dS is asked for. A task is a head of
// the keys with all its queries, so the sums over queries have one order.
// This operator is private: the gradient of Attention writes it.
//
// Source: Dao, Fu, Ermon, Rudra and Ré, FlashAttention (2022), algorithm 4.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Attention.html
func attentionGradOp() *Op {
	return &Op{Domain: Private, Name: "AttentionGrad", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{8, 9}, Out: Arity{1, 4}, Infer: inferAttentionGrad, Build: buildAttentionGrad},
	}}
}

func inferAttentionGrad(c *InferContext) error {
	copy(c.Out, []onnx.Type{c.In(0), c.In(1), c.In(2)})
	if len(c.Out) < 4 {
		return nil
	}
	q, k := c.In(0), c.In(1)
	c.Out[3] = onnx.TensorType(q.DType, onnx.Dim{}, onnx.Dim{}, onnx.Dim{}, onnx.Dim{})
	if len(q.Dims) == 4 && len(k.Dims) == 4 {
		c.Out[3] = onnx.TensorType(q.DType, q.Dims[0], q.Dims[1], q.Dims[2], k.Dims[2])
	}
	return nil
}

func buildAttentionGrad(b *BuildContext) (Kernel, error) {
	a, err := readAttention(b)
	if err != nil {
		return nil, err
	}
	var wants [4]bool
	for i := range wants {
		wants[i] = b.Wants(i)
	}
	return b.realKernels(0, attentionGradKernel[float32](a, wants), attentionGradKernel[float64](a, wants))
}

// attentionBack is one execution: y is dL/dY, and the views of gradients that
// nobody asks for have no data.
type attentionBack[T floating] struct {
	attentionState[T]
	p          par.P
	dq, dk, dv headView[T]
	ds, dqk    []T // [batch, heads, lq, lk]
	run        func(lo, hi int)
}

func attentionGradKernel[T floating](at attentionAttrs, wants [4]bool) Kernel {
	return func(c *Call) error {
		g := State[attentionBack[T]](c)
		if g.run == nil {
			g.run = g.heads
		}
		defer func() {
			g.clear()
			g.p, g.dq, g.dk, g.dv, g.ds, g.dqk = par.P{}, headView[T]{}, headView[T]{}, headView[T]{}, nil, nil
		}()
		a := &g.attention
		rank, kl, err := g.sizes(c, at)
		if err != nil {
			return err
		}
		past := -1
		if t := c.T(4); t != nil {
			if past = 0; t.Rank() == 4 {
				past = t.Dim(2)
			}
			if past > kl {
				return fmt.Errorf("past_key has shape %v, want at most the %d keys of K", t.Shape(), kl)
			}
		}
		if c.Has(5) {
			return errors.New("past_value is given")
		}
		a.lk = kl
		if err := g.masks(c, past); err != nil {
			return err
		}
		shape := c.list(a.batch, a.heads, a.lq, a.dv)
		if rank == 3 {
			shape = c.list(a.batch, a.lq, a.heads*a.dv)
		}
		if t := c.T(7); t == nil || !slices.Equal(t.Shape(), shape) {
			return fmt.Errorf("dL/dY is %v, want shape %v", t, slices.Clone(shape))
		}
		if t := c.T(8); t != nil {
			if want := c.list(a.batch, a.heads, a.lq, a.lk); !slices.Equal(t.Shape(), want) {
				return fmt.Errorf("dL/dqk_matmul_output has shape %v, want %v", t.Shape(), slices.Clone(want))
			}
			if g.dqk, err = reals[T](c, 8); err != nil {
				return err
			}
		}
		view := func(data []T, heads, l, size int) headView[T] {
			if rank == 3 {
				return headsLast(data, heads, l, size)
			}
			return headsFirst(data, heads, l, size)
		}
		for i, v := range [4]struct {
			to       *headView[T]
			in       int
			heads, l int
			size     int
		}{{&a.q, 0, a.heads, a.lq, a.d}, {&a.k, 1, a.kvHeads, kl, a.d}, {&a.v, 2, a.kvHeads, kl, a.dv}, {&a.y, 7, a.heads, a.lq, a.dv}} {
			data, err := reals[T](c, v.in)
			if err != nil {
				return err
			}
			*v.to = view(data, v.heads, v.l, v.size)
			if i == 3 || !wants[i] {
				continue
			}
			out, done := realsOut[T](c, i, c.T(i).DType(), c.T(i).Shape()...)
			defer done()
			clear(out)
			*[3]*headView[T]{&g.dq, &g.dk, &g.dv}[i] = view(out, v.heads, v.l, v.size)
		}
		if wants[3] {
			out, done := realsOut[T](c, 3, c.T(0).DType(), a.batch, a.heads, a.lq, a.lk)
			defer done()
			clear(out)
			g.ds = out
		}
		if a.lq*a.lk*a.d > 0 && (a.dv > 0 || g.dqk != nil) {
			g.p = c.P
			c.P.For(a.batch*a.kvHeads, 1, g.run)
		}
		return c.Ctx().Err()
	}
}

// heads computes the heads [lo, hi) of the keys of all batches.
func (g *attentionBack[T]) heads(lo, hi int) {
	a := &g.attention
	const most = 1 << 17 // elements of a block of scores
	rows := min(max(most/a.lk, 16), 256, a.lq)
	group := a.heads / a.kvHeads
	gemm.Scratch((3*rows+1)*a.lk, func(s []T) {
		for ; lo < hi; lo++ {
			for h := lo % a.kvHeads * group; h < (lo%a.kvHeads+1)*group; h++ {
				for i := 0; i < a.lq; i += rows {
					g.block(s[a.lk:], s[:a.lk], lo/a.kvHeads, h, i, min(i+rows, a.lq))
				}
			}
		}
	})
}

// block adds what queries [i0, i1) of head h of batch b give. s and spare are memory.
func (g *attentionBack[T]) block(s, spare []T, b, h, i0, i1 int) {
	a := &g.attention
	lo, hi := 0, a.lk
	if a.span != nil && (g.dqk == nil || a.qkMode > 1) { // the scores of all keys are outputs
		lo, hi = a.lk, 0
		for i := i0; i < i1; i++ {
			if l, r := a.span(b, i); l < r {
				lo, hi = min(lo, l), max(hi, r)
			}
		}
	}
	if lo >= hi {
		return
	}
	kv, m, n := h/(a.heads/a.kvHeads), i1-i0, hi-lo
	p, dp := s[:m*n], s[m*n:2*m*n]
	scores := gemm.Args[T]{M: m, N: n, K: a.d, A: a.q.at(b, h, i0), ARS: a.q.l, ACS: 1, B: a.k.at(b, kv, lo), BRS: 1, BCS: a.k.l, C: p, LDC: n}
	gemm.Run(g.p, &scores)
	var slopes []T
	if a.softcap > 0 {
		slopes = s[2*m*n : 3*m*n]
		for j, v := range p {
			t := math.Tanh(float64(v) * a.scale / a.softcap)
			slopes[j] = T(1 - t*t)
		}
	}
	for i := range m {
		a.row(p[i*n:(i+1)*n], b, h, i0+i, lo)
	}
	dy := a.y.at(b, h, i0)
	if g.dv.data != nil {
		gemm.Run(g.p, &gemm.Args[T]{M: n, N: a.dv, K: m, A: p, ARS: 1, ACS: n, B: dy, BRS: a.y.l, BCS: 1,
			C: g.dv.at(b, kv, lo), LDC: g.dv.l, Epilogue: gemm.Epilogue[T]{Acc: true}})
	}
	if g.dq.data == nil && g.dk.data == nil && g.ds == nil {
		return
	}
	if a.dv == 0 {
		clear(dp)
	}
	gemm.Run(g.p, &gemm.Args[T]{M: m, N: n, K: a.dv, A: dy, ARS: a.y.l, ACS: 1, B: a.v.at(b, kv, lo), BRS: 1, BCS: a.v.l, C: dp, LDC: n})
	scale := T(a.scale)
	for i := range m {
		w, d := p[i*n:(i+1)*n], dp[i*n:(i+1)*n]
		given := g.given(b, h, i0+i, lo, hi, spare)
		if a.qkMode == 3 {
			addTo(d[:len(given)], given)
		}
		sum := T(0)
		for j, v := range w {
			sum += v * d[j]
		}
		if g.ds != nil {
			ds := g.ds[((b*a.heads+h)*a.lq+i0+i)*a.lk+lo:][:n]
			for j, v := range w {
				ds[j] = v * (d[j] - sum)
			}
			if a.qkMode == 2 {
				addTo(ds[:len(given)], given)
			}
		}
		for j, v := range w {
			d[j] = scale * v * (d[j] - sum)
		}
		if a.qkMode == 1 || a.qkMode == 2 {
			for j, v := range given {
				d[j] += scale * v
			}
		}
	}
	for j, v := range slopes {
		dp[j] *= v
	}
	if g.dqk != nil && a.qkMode == 0 {
		for i := range m {
			d := dp[i*n : (i+1)*n]
			for j, v := range g.given(b, h, i0+i, lo, hi, spare) {
				d[j] += scale * v
			}
		}
	}
	if g.dq.data != nil {
		gemm.Run(g.p, &gemm.Args[T]{M: m, N: a.d, K: n, A: dp, ARS: n, ACS: 1, B: a.k.at(b, kv, lo), BRS: a.k.l, BCS: 1, C: g.dq.at(b, h, i0), LDC: g.dq.l})
	}
	if g.dk.data != nil {
		gemm.Run(g.p, &gemm.Args[T]{M: n, N: a.d, K: m, A: dp, ARS: 1, ACS: n, B: a.q.at(b, h, i0), BRS: a.q.l, BCS: 1,
			C: g.dk.at(b, kv, lo), LDC: g.dk.l, Epilogue: gemm.Epilogue[T]{Acc: true}})
	}
}

// given returns dL/dqk_matmul_output of query i for the keys [lo, hi), nil without. Of the
// masked scores, those that are -∞ whatever the inputs are have none, and become 0 in it.
func (g *attentionBack[T]) given(b, h, i, lo, hi int, spare []T) []T {
	if g.dqk == nil {
		return nil
	}
	a := &g.attention
	d := g.dqk[((b*a.heads+h)*a.lq+i)*a.lk:][lo:hi]
	if a.qkMode != 2 {
		return d
	}
	spare = spare[:hi-lo]
	clear(spare)
	a.hide(spare, b, h, i, lo)
	for j, v := range spare {
		if spare[j] = 0; !math.IsInf(float64(v), -1) {
			spare[j] = d[j]
		}
	}
	return spare
}
