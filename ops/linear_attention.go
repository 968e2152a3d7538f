package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// LinearAttention keeps a state S per key head and updates it token by token;
// o = scale · Sᵀ·q. With g of decay and β of beta, the update_rules are
//
//	linear:      S += k ⊗ v
//	gated:       S = exp(g)·S + k ⊗ v
//	delta:       S += β · k ⊗ (v - Sᵀ·k)
//	gated_delta: S = exp(g)·S, then as delta
//
//	query: T[b, t, hq*dk]    key: T[b, t, hk*dk]    value: T[b, t, hk*dv]
//	past_state (optional): S[b, hk, dk, dv]    decay: T[b, t, hk] or [b, t, hk*dk]    beta: T[b, t, hk] or [b, t, 1]
//	output: T[b, t, hq*dv]    present_state: S[b, hk, dk, dv], of query's type without past_state
//
// Query head h reads the state of key head h / (hq/hk). Computed in float32, of float64 in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LinearAttention.html (27)
func init() {
	register(&Op{Name: "LinearAttention", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 27, In: Arity{3, 6}, Out: N(2), Infer: inferLinearAttention, Build: buildLinearAttention},
	}})
}

func inferLinearAttention(c *InferContext) error {
	q, v, s := c.In(0), c.In(2), c.In(3)
	hq, hk := c.Int("q_num_heads", 0), c.Int("kv_num_heads", 0)
	state := q.DType
	if c.Has(3) {
		state = s.DType
	}
	c.Out[0], c.Out[1] = onnx.UnrankedType(q.DType), onnx.UnrankedType(state)
	if len(q.Dims) == 3 && len(v.Dims) == 3 && hq > 0 && hk > 0 {
		dk, dv := q.Dims[2].FloorDiv(onnx.Size(hq)), v.Dims[2].FloorDiv(onnx.Size(hk))
		c.Out[0] = onnx.TensorType(q.DType, q.Dims[0], q.Dims[1], dv.Mul(onnx.Size(max(hq, hk))))
		c.Out[1] = onnx.TensorType(state, q.Dims[0], onnx.Size(hk), dk, dv)
	}
	return nil
}

// linearRule is what the attributes of LinearAttention say.
type linearRule struct {
	hq, hk       int
	scale        float64 // 0: 1/√dk
	gated, delta bool
	microsoft    bool // heads may be fewer than hk in key, too
}

func readLinearAttention(b *BuildContext) (linearRule, error) {
	rule := b.Str("update_rule", "gated_delta")
	l := linearRule{hq: b.Int("q_num_heads", 0), hk: b.Int("kv_num_heads", 0), scale: float64(b.Float("scale", 0))}
	b.Ignore("chunk_size") // a hint for other algorithms
	l.microsoft = b.Node.Domain == "com.microsoft"
	switch rule {
	case "linear":
	case "gated":
		l.gated = true
	case "delta":
		l.delta = true
	case "gated_delta":
		l.gated, l.delta = true, true
	default:
		return l, fmt.Errorf("attribute \"update_rule\" is %q, want linear, gated, delta or gated_delta", rule)
	}
	if l.hk < 1 || l.hq < 1 || l.hq%l.hk != 0 && (!l.microsoft || l.hk%l.hq != 0) {
		return l, fmt.Errorf("attribute \"q_num_heads\" is %d, want a multiple of \"kv_num_heads\", %d", l.hq, l.hk)
	}
	if b.Has(4) != l.gated || b.Has(5) != l.delta {
		return l, fmt.Errorf("update_rule %q wants decay: %t, beta: %t; given are %t, %t", rule, l.gated, l.delta, b.Has(4), b.Has(5))
	}
	return l, nil
}

func buildLinearAttention(b *BuildContext) (Kernel, error) {
	l, err := readLinearAttention(b)
	if err != nil {
		return nil, err
	}
	return b.realKernels(0, linearAttentionKernel[float32](l), linearAttentionKernel[float64](l))
}

// linearAttention is one execution.
type linearAttention[T floating] struct {
	linearRule
	batch, t, dk, dv     int
	decayEach, betaHeads int // elements of decay per head, of beta per token
	keyHeads             int // of key: each is that of hk/keyHeads states
	q, k, v              headView[T]
	past, decay, beta    []T // nil if absent
	stateType            tensor.DType
}

func (l *linearAttention[T]) read(c *Call, rule linearRule) (err error) {
	*l = linearAttention[T]{linearRule: rule}
	qt, kt, vt := c.T(0), c.T(1), c.T(2)
	if l.batch, _, l.t, l.dk, err = splitHeads(qt, "query", 3, l.hq); err != nil {
		return err
	}
	l.keyHeads = l.hk
	if l.microsoft && kt.Rank() == 3 && l.dk > 0 {
		if n := kt.Dim(2) / l.dk; n > 0 && l.hk%n == 0 {
			l.keyHeads = n
		}
	}
	kb, _, ktime, kd, err := splitHeads(kt, "key", 3, l.keyHeads)
	if err != nil {
		return err
	}
	vb, _, vtime, dv, err := splitHeads(vt, "value", 3, l.hk)
	if err != nil {
		return err
	}
	if kb != l.batch || vb != l.batch || ktime != l.t || vtime != l.t || kd != l.dk {
		return fmt.Errorf("shapes of query, key, value are %v, %v, %v: they do not fit", qt.Shape(), kt.Shape(), vt.Shape())
	}
	l.dv = dv
	var in [6][]T
	for i := range in {
		if in[i], err = reals[T](c, i); err != nil {
			return err
		}
	}
	l.stateType = qt.DType()
	if s := c.T(3); s != nil {
		if want := l.stateShape(c); !slices.Equal(s.Shape(), want) {
			return fmt.Errorf("past_state has shape %v, want %v", s.Shape(), want)
		}
		l.stateType = s.DType()
	}
	perHead, perKey := c.list(l.batch, l.t, l.hk), c.list(l.batch, l.t, l.hk*l.dk)
	l.decayEach = 1
	if g := c.T(4); g != nil {
		switch {
		case slices.Equal(g.Shape(), perHead):
		case slices.Equal(g.Shape(), perKey):
			l.decayEach = l.dk
		default:
			return fmt.Errorf("decay has shape %v, want %v or %v", g.Shape(), perHead, perKey)
		}
	}
	l.betaHeads = l.hk
	if b := c.T(5); b != nil && !slices.Equal(b.Shape(), perHead) {
		if !slices.Equal(b.Shape(), c.list(l.batch, l.t, 1)) {
			return fmt.Errorf("beta has shape %v, want %v or [%d %d 1]", b.Shape(), perHead, l.batch, l.t)
		}
		l.betaHeads = 1
	}
	if l.scale == 0 {
		l.scale = 1 / math.Sqrt(float64(l.dk))
	}
	l.q, l.k, l.v = headsLast(in[0], l.hq, l.t, l.dk), headsLast(in[1], l.keyHeads, l.t, l.dk), headsLast(in[2], l.hk, l.t, l.dv)
	l.past, l.decay, l.beta = in[3], in[4], in[5]
	return nil
}

func (l *linearAttention[T]) clear() { *l = linearAttention[T]{} }

func (l *linearAttention[T]) stateShape(c *Call) []int { return c.list(l.batch, l.hk, l.dk, l.dv) }

// decayOf returns the decay of token i for key head h of batch b: one, or one per row of the state.
func (l *linearAttention[T]) decayOf(b, h, i int) []T {
	return l.decay[((b*l.t+i)*l.hk+h)*l.decayEach:][:l.decayEach]
}

// betaOf returns where beta of that token is.
func (l *linearAttention[T]) betaOf(b, h, i int) int {
	return (b*l.t+i)*l.betaHeads + h%l.betaHeads
}

// step makes of s, the state before token i of key head h of batch b, the state after it.
func (l *linearAttention[T]) step(w *linearWork[T], s []T, b, h, i int) {
	if l.gated {
		decayState(s, l.decayOf(b, h, i), l.dv)
	}
	k, fresh := l.k.at(b, h*l.keyHeads/l.hk, i)[:l.dk], l.v.at(b, h, i)[:l.dv]
	if l.delta {
		w.rowTimes(w.found, k, s, 1)
		beta := l.beta[l.betaOf(b, h, i)]
		for m, v := range w.found {
			w.fresh[m] = beta * (fresh[m] - v)
		}
		fresh = w.fresh
	}
	w.addOuter(s, k, fresh)
}

// linearWork is the memory of a goroutine.
type linearWork[T floating] struct {
	fresh, found []T // dv each
	args         gemm.Args[T]
}

func newLinearWork[T floating](l *linearAttention[T]) *linearWork[T] {
	return &linearWork[T]{fresh: make([]T, l.dv), found: make([]T, l.dv)}
}

// linearLoop runs the key heads of all batches.
type linearLoop[T floating] struct {
	l     *linearAttention[T]
	y     headView[T]
	state []T
	heads int // of y
}

// Chunk runs heads [lo, hi).
func (a *linearLoop[T]) Chunk(lo, hi int) {
	l, group, size := a.l, a.heads/a.l.hk, a.l.dk*a.l.dv
	w, pool := borrow[linearWork[T]]()
	w.fresh, w.found = slices.Grow(w.fresh[:0], l.dv)[:l.dv], slices.Grow(w.found[:0], l.dv)[:l.dv]
	for u := lo; u < hi; u++ {
		b, h := u/l.hk, u%l.hk
		s := a.state[u*size : (u+1)*size]
		for i := range l.t {
			l.step(w, s, b, h, i)
			for g := h * group; g < (h+1)*group; g++ {
				w.rowTimes(a.y.at(b, g, i)[:l.dv], l.q.at(b, g*l.hq/a.heads, i)[:l.dk], s, T(l.scale))
			}
		}
	}
	w.args = gemm.Args[T]{}
	pool.Put(w)
}

// rowTimes sets y to scale · xᵀ·s, s a matrix of len(x) rows.
func (w *linearWork[T]) rowTimes(y, x, s []T, scale T) {
	if len(x) == 0 {
		clear(y)
		return
	}
	if n := len(y); n > 0 {
		w.args = gemm.Args[T]{M: 1, N: n, K: len(x), A: x, ARS: len(x), ACS: 1, B: s, BRS: n, BCS: 1, C: y, LDC: n, Epilogue: gemm.Epilogue[T]{Scale: scale}}
		gemm.Run(par.P{}, &w.args)
	}
}

// addOuter adds x·yᵀ to s, a matrix of len(x) rows.
func (w *linearWork[T]) addOuter(s, x, y []T) {
	if n := len(y); len(x)*n > 0 {
		w.args = gemm.Args[T]{M: len(x), N: n, K: 1, A: x, ARS: 1, ACS: 1, B: y, BRS: n, BCS: 1, C: s, LDC: n, Epilogue: gemm.Epilogue[T]{Acc: true}}
		gemm.Run(par.P{}, &w.args)
	}
}

func linearAttentionKernel[T floating](rule linearRule) Kernel {
	return func(c *Call) error {
		l := State[linearAttention[T]](c)
		defer l.clear()
		if err := l.read(c, rule); err != nil {
			return err
		}
		heads := max(l.hq, l.hk)
		y, done := realsOut[T](c, 0, c.T(0).DType(), l.batch, l.t, heads*l.dv)
		state, stateDone := realsOut[T](c, 1, l.stateType, l.stateShape(c)...)
		if l.past != nil {
			copy(state, l.past)
		} else {
			clear(state)
		}
		par.Run(c.P, l.batch*l.hk, 1, par.With(linearLoop[T]{l, headsLast(y, heads, l.t, l.dv), state, heads}))
		done()
		stateDone()
		return nil
	}
}

// decayState multiplies the rows of s by exp of decay, one value or one per row.
func decayState[T floating](s, decay []T, dv int) {
	if len(decay) == 1 {
		dv = len(s)
	}
	for j, g := range decay {
		row, f := s[j*dv:(j+1)*dv], T(math.Exp(float64(g)))
		if row, ok := any(row).([]float32); ok {
			vec.Best().MulScalar(row, row, float32(f))
			continue
		}
		for m := range row {
			row[m] *= f
		}
	}
}

// gradLinearAttention: by x.LinearAttentionGrad.
func gradLinearAttention(c *GradContext) []*onnx.Value {
	in := append(slices.Clone(c.Node().In), nil, nil, nil)[:8]
	for i := len(c.Node().In); i < 6; i++ {
		in[i] = nil
	}
	copy(in[6:], c.DOut)
	if len(c.DOut) < 2 {
		in[7] = nil
	}
	n := c.G.NewNodeIn(Private, "LinearAttentionGrad", c.Node().Attrs, in, 6)
	n.TrimInputs()
	some := false
	for i := range n.Out {
		if c.Needs(i) && (i > 0 || c.DOut[0] != nil) { // the state does not depend on queries
			some = true
		} else {
			n.Out[i] = nil
		}
	}
	if !some {
		return nil
	}
	return c.Add(n)
}
