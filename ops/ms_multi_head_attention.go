package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MultiHeadAttention (com.microsoft): output = softmax(scale·Q·Kᵀ + masks)·V
// for num_heads heads h.
//
//	query: T[b, lq, h*d]    key: T[b, lk, h*d] or [b, h, lk, d]    value: T[b, lk, h*dv] or [b, h, lk, dv]
//	bias (optional): T[h*d + h*d + h*dv], added to query, key and value
//	key_padding_mask (optional): int32[b], [2b], [b, t] or [b, lq, t]; mask_filter_value is added where it says no
//	attention_bias (optional): T, broadcasts to [b, h, lq, t]
//	past_key, past_value (optional, both): T[b, h, p, d]
//	output: T[b, lq, h*dv]    present_key, present_value (optional): T[b, h, t, d], t = p + lk
//
// With unidirectional = 1 query i attends keys up to p + i. Packed queries, keys
// and values, past_sequence_length and cache_indirection are not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{Domain: "com.microsoft", Name: "MultiHeadAttention", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{1, 10}, Out: Arity{1, 4}, Infer: inferMultiHeadAttention, Build: buildMultiHeadAttention},
	}})
}

func inferMultiHeadAttention(c *InferContext) error {
	q, v := c.In(0), c.In(2)
	for i := range c.Out {
		c.Out[i] = onnx.UnrankedType(q.DType)
	}
	if len(q.Dims) == 3 && len(v.Dims) == 3 {
		c.Out[0] = onnx.TensorType(q.DType, q.Dims[0], q.Dims[1], v.Dims[2])
	}
	return nil
}

type multiHead struct {
	heads         int
	scale, filter float64 // scale 0: 1/sqrt(d)
	causal        bool
}

func buildMultiHeadAttention(b *BuildContext) (Kernel, error) {
	m := multiHead{b.Int("num_heads", 0), float64(b.Float("scale", 0)), float64(b.Float("mask_filter_value", -10000)), b.Bool("unidirectional", false)}
	if m.heads < 1 {
		return nil, fmt.Errorf("attribute \"num_heads\" is %d, want 1 or more", m.heads)
	}
	if b.Has(8) || b.Has(9) || !b.Has(1) || !b.Has(2) {
		return nil, fmt.Errorf("%w: packed key and value, past_sequence_length or cache_indirection", ErrUnsupported)
	}
	return b.realKernels(0, multiHeadKernel[float32](m), multiHeadKernel[float64](m))
}

// withBias returns x, whose last dimension has len(bias) elements, plus bias.
func withBias[T floating](x, bias []T) []T {
	if bias == nil {
		return x
	}
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = v + bias[i%len(bias)]
	}
	return y
}

func multiHeadKernel[T floating](m multiHead) Kernel {
	return func(c *Call) error {
		qt, kt, vt := c.T(0), c.T(1), c.T(2)
		a := &attention[T]{heads: m.heads, kvHeads: m.heads, scale: m.scale, qkMode: 0}
		if qt.Rank() != 3 || kt == nil || vt == nil || kt.Rank() != vt.Rank() {
			return fmt.Errorf("%w: query, key, value are %v, %v, %v", ErrUnsupported, qt, kt, vt)
		}
		var err error
		if a.batch, _, a.lq, a.d, err = splitHeads(qt, "query", 3, m.heads); err != nil {
			return err
		}
		kb, kh, kl, kd, err := splitHeads(kt, "key", kt.Rank(), m.heads)
		if err != nil {
			return err
		}
		vb, vh, vl, dv, err := splitHeads(vt, "value", vt.Rank(), m.heads)
		if err != nil {
			return err
		}
		if kb != a.batch || vb != a.batch || kh != m.heads || vh != m.heads || kd != a.d || kl != vl || kt.DType() != qt.DType() || vt.DType() != qt.DType() {
			return fmt.Errorf("query, key, value are %v, %v, %v: they do not fit", qt, kt, vt)
		}
		a.dv = dv
		if a.scale == 0 {
			a.scale = 1 / math.Sqrt(float64(a.d))
		}
		q, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		if c.Has(3) {
			hd := m.heads * a.d
			bias, err := vectorParam[T](c, 3, "bias", 2*hd+m.heads*dv)
			if err != nil {
				return err
			}
			if kt.Rank() != 3 {
				return fmt.Errorf("%w: bias with key of shape %v", ErrUnsupported, kt.Shape())
			}
			q = withBias(q, bias[:hd])
			for i, x := range []**tensor.Tensor{&kt, &vt} {
				data, err := realsOf[T](*x)
				if err != nil {
					return err
				}
				part := bias[hd : 2*hd]
				if i == 1 {
					part = bias[2*hd:]
				}
				sum := tensor.New((*x).DType(), (*x).Shape()...)
				storeReals(sum, withBias(data, part))
				*x = sum
			}
		}
		// The cache has the inputs 6 and 7 where Attention has 4 and 5.
		cache := *c
		cache.In = make([]tensor.Value, 6)
		for i := 0; i < 2; i++ {
			if c.Has(6 + i) {
				cache.In[4+i] = c.In[6+i]
			}
		}
		past, err := attentionCache(&cache, a, kt, vt, kt.Rank(), kl)
		if err != nil {
			return err
		}
		if m.causal {
			keys := &keyRange{attentionAttrs: attentionAttrs{causal: true, left: -1, right: -1}, lq: a.lq, lk: a.lk, offset: max(past, 0)}
			a.span = keys.span
		}
		pad, err := paddingMask(c, 4, "key_padding_mask", a, m.filter)
		if err != nil {
			return err
		}
		var bias *attentionMask[T]
		if t := c.T(5); t != nil {
			if bias, err = newAttentionMask[T](t, "attention_bias", a.batch, a.heads, a.lq, a.lk); err != nil {
				return err
			}
		}
		if a.mask, err = joinMasks(a, pad, bias); err != nil {
			return err
		}
		qkDone := func() {}
		if c.Wants(3) {
			a.qk, qkDone = realsOut[T](c, 3, qt.DType(), a.batch, a.heads, a.lq, a.lk)
		}
		y, done := realsOut[T](c, 0, qt.DType(), a.batch, a.lq, m.heads*dv)
		a.q, a.y = headsLast(q, m.heads, a.lq, a.d), headsLast(y, m.heads, a.lq, dv)
		if a.lk == 0 {
			clear(y)
		} else {
			a.run(c.P)
		}
		done()
		qkDone()
		return nil
	}
}
