package ops

import (
	"fmt"
	"math"
	"slices"

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
// Query head h reads the state of key head h / (hq/hk). Computed in float32.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LinearAttention.html (27)
func init() {
	register(&Op{Name: "LinearAttention", Numerics: Rounding, Versions: []Version{
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
		c.Out[0] = onnx.TensorType(q.DType, q.Dims[0], q.Dims[1], dv.Mul(onnx.Size(hq)))
		c.Out[1] = onnx.TensorType(state, q.Dims[0], onnx.Size(hk), dk, dv)
	}
	return nil
}

type linearAttention struct {
	hq, hk       int
	scale        float64
	gated, delta bool
}

func buildLinearAttention(b *BuildContext) (Kernel, error) {
	rule := b.Str("update_rule", "gated_delta")
	l := linearAttention{hq: b.Int("q_num_heads", 0), hk: b.Int("kv_num_heads", 0), scale: float64(b.Float("scale", 0))}
	b.Ignore("chunk_size") // a hint for other algorithms
	switch rule {
	case "linear":
	case "gated":
		l.gated = true
	case "delta":
		l.delta = true
	case "gated_delta":
		l.gated, l.delta = true, true
	default:
		return nil, fmt.Errorf("attribute \"update_rule\" is %q, want linear, gated, delta or gated_delta", rule)
	}
	if l.hk < 1 || l.hq < 1 || l.hq%l.hk != 0 {
		return nil, fmt.Errorf("attribute \"q_num_heads\" is %d, want a multiple of \"kv_num_heads\", %d", l.hq, l.hk)
	}
	if b.Has(4) != l.gated || b.Has(5) != l.delta {
		return nil, fmt.Errorf("update_rule %q wants decay: %t, beta: %t; given are %t, %t", rule, l.gated, l.delta, b.Has(4), b.Has(5))
	}
	return b.dispatch(0, byType{tensor.Float32: l.run, tensor.Float16: l.run, tensor.BFloat16: l.run})
}

func (l linearAttention) run(c *Call) error {
	qt, kt, vt := c.T(0), c.T(1), c.T(2)
	batch, _, t, dk, err := splitHeads(qt, "query", 3, l.hq)
	if err != nil {
		return err
	}
	kb, _, ktime, kd, err := splitHeads(kt, "key", 3, l.hk)
	if err != nil {
		return err
	}
	vb, _, vtime, dv, err := splitHeads(vt, "value", 3, l.hk)
	if err != nil {
		return err
	}
	if kb != batch || vb != batch || ktime != t || vtime != t || kd != dk {
		return fmt.Errorf("shapes of query, key, value are %v, %v, %v: they do not fit", qt.Shape(), kt.Shape(), vt.Shape())
	}
	var in [6][]float32
	for i := range in {
		if in[i], err = reals[float32](c, i); err != nil {
			return err
		}
	}
	stateShape, stateType := []int{batch, l.hk, dk, dv}, qt.DType()
	if s := c.T(3); s != nil {
		if !slices.Equal(s.Shape(), stateShape) {
			return fmt.Errorf("past_state has shape %v, want %v", s.Shape(), stateShape)
		}
		stateType = s.DType()
	}
	perHead, perKey := []int{batch, t, l.hk}, []int{batch, t, l.hk * dk}
	decayEach := 1 // elements of decay per head
	if g := c.T(4); g != nil {
		switch {
		case slices.Equal(g.Shape(), perHead):
		case slices.Equal(g.Shape(), perKey):
			decayEach = dk
		default:
			return fmt.Errorf("decay has shape %v, want %v or %v", g.Shape(), perHead, perKey)
		}
	}
	betaHeads := l.hk
	if b := c.T(5); b != nil && !slices.Equal(b.Shape(), perHead) {
		if !slices.Equal(b.Shape(), []int{batch, t, 1}) {
			return fmt.Errorf("beta has shape %v, want %v or [%d %d 1]", b.Shape(), perHead, batch, t)
		}
		betaHeads = 1
	}
	scale := l.scale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(dk))
	}
	y, done := realsOut[float32](c, 0, qt.DType(), batch, t, l.hq*dv)
	state, stateDone := realsOut[float32](c, 1, stateType, stateShape...)
	if in[3] != nil {
		copy(state, in[3])
	} else {
		clear(state)
	}
	q, k, v := headsLast(in[0], l.hq, t, dk), headsLast(in[1], l.hk, t, dk), headsLast(in[2], l.hk, t, dv)
	out, group := headsLast(y, l.hq, t, dv), l.hq/l.hk
	c.P.For(batch*l.hk, 1, func(lo, hi int) {
		fresh := make([]float32, dv)
		for u := lo; u < hi; u++ {
			b, h := u/l.hk, u%l.hk
			s := state[u*dk*dv : (u+1)*dk*dv]
			for i := 0; i < t; i++ {
				if l.gated {
					decayState(s, in[4][((b*t+i)*l.hk+h)*decayEach:][:decayEach], dk, dv)
				}
				kr := k.at(b, h, i)[:dk]
				copy(fresh, v.at(b, h, i)[:dv])
				if l.delta {
					beta := in[5][(b*t+i)*betaHeads+h%betaHeads]
					for j, kv := range kr {
						for m, e := range s[j*dv : (j+1)*dv] {
							fresh[m] -= e * kv
						}
					}
					for m := range fresh {
						fresh[m] *= beta
					}
				}
				for j, kv := range kr {
					row := s[j*dv : (j+1)*dv]
					for m, e := range fresh {
						row[m] += kv * e
					}
				}
				for g := h * group; g < (h+1)*group; g++ {
					o := out.at(b, g, i)[:dv]
					clear(o)
					for j, qv := range q.at(b, g, i)[:dk] {
						qv *= float32(scale)
						for m, e := range s[j*dv : (j+1)*dv] {
							o[m] += qv * e
						}
					}
				}
			}
		}
	})
	done()
	stateDone()
	return nil
}

// decayState multiplies the rows of s by exp of decay, one value or one per row.
func decayState(s, decay []float32, dk, dv int) {
	for j := 0; j < dk; j++ {
		f := float32(math.Exp(float64(decay[j%len(decay)])))
		row := s[j*dv : (j+1)*dv]
		for m := range row {
			row[m] *= f
		}
	}
}
