package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// MoE (com.microsoft), a mixture of experts: each row x of input becomes the sum
// over its k experts of weight · (fc2·f(fc1·x + b1) + b2). The experts are the k
// largest of router_probs, the weights its softmax over all experts, or, with
// normalize_routing_weights, over those k.
//
//	input, output: T[n, h] or [b, t, h]    router_probs: T[rows, e]
//	fc1: T[e, i, h], or [e, 2i, h]    b1 (optional): T[e, i or 2i]    fc2: T[e, h, i]    b2 (optional): T[e, h]
//	fc3 (optional): T[e, i, h]    b3 (optional): T[e, i]
//
// f is relu, gelu (by tanh), silu, identity or swiglu: min(g, limit) ·
// sigmoid(alpha·g) · (clip(l, ±limit) + beta), where swiglu_fusion says where g and
// l are: in turn (1) or one after the other (2) in the rows of fc1, or from fc1 and
// fc3 (0). Other functions with fc3, use_sparse_mixer and limits after the
// activation are not supported. Computed in float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MoE
func init() {
	register(&Op{Domain: "com.microsoft", Name: "MoE", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{5, 8}, Absent: []int{3}, Out: N(1), Infer: inferSame, Build: buildMoE},
	}})
}

// moe are the attributes that MoE and QMoE share.
type moe struct {
	k                  int
	normalize          bool
	act                string
	fusion             int
	alpha, beta, limit float32
	gated              bool // fc3 is there
	overChosen         bool // softmax is over the k experts in any case
}

func readMoE(a *attrs, fc3 bool) (*moe, error) {
	m := &moe{k: a.Int("k", 1), normalize: a.Bool("normalize_routing_weights", false), act: a.OneOf("activation_type", "relu", "gelu", "silu", "swiglu", "identity"),
		fusion: a.Int("swiglu_fusion", 0), alpha: a.Float("activation_alpha", 1), beta: a.Float("activation_beta", 0),
		limit: a.Float("swiglu_limit", float32(math.Inf(1))), gated: fc3}
	swiglu := m.act == "swiglu"
	switch {
	case m.k < 1:
		return nil, fmt.Errorf("attribute \"k\" is %d, want 1 or more", m.k)
	case a.Int("use_sparse_mixer", 0) != 0 || a.Int("swiglu_limit_after_activation", 0) != 0:
		return nil, fmt.Errorf("%w: use_sparse_mixer or swiglu_limit_after_activation", ErrUnsupported)
	case swiglu && (m.fusion < 0 || m.fusion > 2):
		return nil, fmt.Errorf("attribute \"swiglu_fusion\" is %d, want 0, 1 or 2", m.fusion)
	case fc3 != (swiglu && m.fusion == 0):
		return nil, fmt.Errorf("%w: activation_type %q with swiglu_fusion %d, fc3: %t", ErrUnsupported, m.act, m.fusion, fc3)
	}
	return m, nil
}

// fused reports whether fc1 has rows for g and for l.
func (m *moe) fused() bool { return m.act == "swiglu" && m.fusion > 0 }

// experts are the matrices of one layer of all experts.
type experts interface {
	// sizes returns how many there are, and how many rows and columns each has.
	sizes() (e, n, k int)
	// multiply sets y [m, n] to x [m, k] times expert e's matrix, transposed, plus bias, which may be nil.
	multiply(c *Call, e int, x []float32, m int, bias, y []float32)
}

func buildMoE(b *BuildContext) (Kernel, error) {
	m, err := readMoE(&b.attrs, b.Has(6))
	if err != nil {
		return nil, err
	}
	var packed [3][]*gemm.Packed[float32]
	for i, in := range []int{2, 4, 6} {
		if packed[i], err = packExperts(b, in); err != nil {
			return nil, err
		}
	}
	run := func(c *Call) error {
		var fc [3]experts
		var bias [3][]float32
		for i, in := range []int{2, 4, 6} {
			if in == 6 && !m.gated {
				continue
			}
			w := &realExperts{packed: packed[i]}
			if w.packed == nil {
				t := c.T(in)
				if t == nil || t.Rank() != 3 {
					return fmt.Errorf("input %d is %v, want three dimensions", in, t)
				}
				if w.data, err = reals[float32](c, in); err != nil {
					return err
				}
				w.e, w.n, w.k = t.Dim(0), t.Dim(1), t.Dim(2)
			}
			fc[i] = w
			var err error
			if bias[i], err = reals[float32](c, in+1); err != nil {
				return err
			}
		}
		return m.run(c, fc, bias, nil)
	}
	return b.dispatch(0, byType{tensor.Float32: run, tensor.Float16: run, tensor.BFloat16: run})
}

// packExperts packs the constant input i, a stack of matrices [n, k].
func packExperts(b *BuildContext, i int) ([]*gemm.Packed[float32], error) {
	t := b.Const(i)
	if t == nil || t.Rank() != 3 || t.Len() == 0 {
		return nil, nil
	}
	p, err := b.Pack(i, "gemm/experts", func() (any, error) {
		data, err := realsOf[float32](t)
		if err != nil {
			return nil, err
		}
		n, k := t.Dim(1), t.Dim(2)
		out := make([]*gemm.Packed[float32], t.Dim(0))
		for e := range out {
			out[e] = gemm.Pack(par.P{}, data[e*n*k:(e+1)*n*k], k, n, 1, k)
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	return p.([]*gemm.Packed[float32]), nil
}

// realExperts are matrices of floating-point numbers, packed or as they are.
type realExperts struct {
	packed  []*gemm.Packed[float32]
	data    []float32
	e, n, k int
}

func (w *realExperts) sizes() (e, n, k int) {
	if w.packed != nil {
		return len(w.packed), w.packed[0].N, w.packed[0].K
	}
	return w.e, w.n, w.k
}

func (w *realExperts) multiply(c *Call, e int, x []float32, m int, bias, y []float32) {
	_, n, k := w.sizes()
	g := gemm.Args[float32]{M: m, N: n, K: k, A: x, ARS: k, ACS: 1, C: y, LDC: n}
	if w.packed != nil {
		g.Packed = w.packed[e]
	} else {
		g.B, g.BRS, g.BCS = w.data[e*n*k:(e+1)*n*k], 1, k
	}
	g.Col = bias
	gemm.Run(c.P, &g)
}

// run computes the mixture. The rows of each expert are multiplied together.
// weights, where it is not nil, weighs the experts that input 1 chooses.
func (m *moe) run(c *Call, fc [3]experts, bias [3][]float32, weights []float32) error {
	xt, pt := c.T(0), c.T(1)
	count, n1, hidden := fc[0].sizes()
	e2, n2, inner := fc[1].sizes()
	want := inner
	if m.fused() {
		want = 2 * inner
	}
	switch {
	case (xt.Rank() != 2 && xt.Rank() != 3) || xt.Dim(-1) != hidden || n2 != hidden || n1 != want || e2 != count:
		return fmt.Errorf("input has shape %v, the experts %v and %v: they do not fit", xt.Shape(), []int{count, n1, hidden}, []int{e2, n2, inner})
	case m.gated:
		if e3, n3, k3 := fc[2].sizes(); e3 != count || n3 != inner || k3 != hidden {
			return fmt.Errorf("fc3 has shape %v, want %v", []int{e3, n3, k3}, []int{count, inner, hidden})
		}
	}
	rows := xt.Len() / max(hidden, 1)
	if pt == nil || !slices.Equal(pt.Shape(), c.list(rows, count)) {
		return fmt.Errorf("router_probs is %v, want [%d %d]", pt, rows, count)
	}
	if m.k > count {
		return fmt.Errorf("attribute \"k\" is %d, want no more than the %d experts", m.k, count)
	}
	for i, b := range bias {
		if b == nil {
			continue
		}
		if e, n, _ := fc[i].sizes(); len(b) != e*n {
			return fmt.Errorf("the bias of fc%d has %d elements, want %d", i+1, len(b), e*n)
		}
	}
	x, err := reals[float32](c, 0)
	if err != nil {
		return err
	}
	probs, err := reals[float32](c, 1)
	if err != nil {
		return err
	}
	chosen, share := m.route(c, probs, weights, rows, count)
	y, done := realsOut[float32](c, 0, xt.DType(), xt.Shape()...)
	clear(y)
	if len(y) > 0 {
		in, mid, act, out := Scratch[float32](c, rows*hidden), Scratch[float32](c, rows*n1), Scratch[float32](c, rows*inner), Scratch[float32](c, rows*hidden)
		var up []float32
		if m.gated {
			up = Scratch[float32](c, rows*inner)
		}
		at := c.Dims(rows) // which rows the expert has, and which of their choices it is
		for e := range count {
			n := 0
			for t, who := range chosen {
				if who == e {
					at[n] = t
					copy(in[n*hidden:(n+1)*hidden], x[t/m.k*hidden:])
					n++
				}
			}
			if n == 0 {
				continue
			}
			part := func(i, size int) []float32 {
				if bias[i] == nil {
					return nil
				}
				return bias[i][e*size : (e+1)*size]
			}
			fc[0].multiply(c, e, in[:n*hidden], n, part(0, n1), mid[:n*n1])
			if m.gated {
				fc[2].multiply(c, e, in[:n*hidden], n, part(2, inner), up[:n*inner])
			}
			par.Run(c.P, n, 1+(1<<12)/max(inner, 1), par.With(expertRows{m, act, mid, up, inner, n1}))
			fc[1].multiply(c, e, act[:n*inner], n, part(1, hidden), out[:n*hidden])
			for r, t := range at[:n] {
				f, dst := share[t], y[t/m.k*hidden:][:hidden]
				for j, v := range out[r*hidden : (r+1)*hidden] {
					dst[j] += f * v
				}
			}
		}
	}
	done()
	return nil
}

// expertRows are the activations of rows of an expert.
type expertRows struct {
	*moe
	act, mid, up []float32
	inner, n1    int
}

func (a *expertRows) Chunk(lo, hi int) {
	for r := lo; r < hi; r++ {
		var l []float32
		if a.gated {
			l = a.up[r*a.inner : (r+1)*a.inner]
		}
		a.activate(a.act[r*a.inner:(r+1)*a.inner], a.mid[r*a.n1:(r+1)*a.n1], l)
	}
}

// route returns the k experts of each row and their weights.
func (m *moe) route(c *Call, probs, weights []float32, rows, count int) (chosen []int, share []float32) {
	chosen, share = c.Dims(rows*m.k), Scratch[float32](c, rows*m.k)
	for t := range rows {
		p, who, f := probs[t*count:(t+1)*count], chosen[t*m.k:(t+1)*m.k], share[t*m.k:(t+1)*m.k]
		n := 0
		for e, v := range p { // of equal ones the first
			if n == m.k && !(v > p[who[n-1]]) {
				continue
			}
			at := n
			if n < m.k {
				n++
			} else {
				at--
			}
			for ; at > 0 && v > p[who[at-1]]; at-- {
				who[at] = who[at-1]
			}
			who[at] = e
		}
		top, sum := float64(p[who[0]]), 0.0
		switch {
		case weights != nil:
			for i, e := range who {
				f[i] = weights[t*count+e]
				sum += float64(f[i])
			}
			if !m.normalize || sum == 0 {
				sum = 1
			}
		case m.normalize || m.overChosen:
			for i, e := range who {
				v := math.Exp(float64(p[e]) - top)
				f[i] = float32(v)
				sum += v
			}
		default:
			for _, v := range p {
				sum += math.Exp(float64(v) - top)
			}
			for i, e := range who {
				f[i] = float32(math.Exp(float64(p[e]) - top))
			}
		}
		for i := range f {
			f[i] = float32(float64(f[i]) / sum)
		}
	}
	return chosen, share
}

// activate sets dst to f of row, products of fc1, and of up, those of fc3. It
// may write to both.
func (m *moe) activate(dst, row, up []float32) {
	t := vec.Best()
	switch m.act {
	case "relu":
		for i, v := range row {
			dst[i] = max(v, 0)
		}
	case "silu":
		t.Swish(dst, row, 1)
	case "gelu":
		for i, v := range row {
			x := float64(v)
			dst[i] = float32(x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))))
		}
	case "swiglu":
		n := len(dst)
		g := row[:n]
		switch m.fusion {
		case 1:
			for i := range n {
				dst[i], row[i] = row[2*i+1], row[2*i]
			}
			up = dst
		case 2:
			up = row[n:]
		}
		for i, v := range g {
			g[i], dst[i] = min(v, m.limit), max(-m.limit, min(up[i], m.limit))+m.beta
		}
		t.Swish(g, g, m.alpha)
		t.Mul(dst, dst, g)
	default:
		copy(dst, row)
	}
}
