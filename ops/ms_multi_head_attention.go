package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MultiHeadAttention (com.microsoft): output = softmax(scale·Q·Kᵀ + masks)·V
// for num_heads heads h.
//
//	query: T[b, lq, h*d]    key: T[b, lk, h*d] or [b, h, lk, d]    value: T[b, lk, h*dv] or [b, h, lk, dv]
//	bias (optional): T[h*d + h*d + h*dv], added to query and, where these have 3 dimensions, key and value
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
	register(&Op{Domain: "com.microsoft", Name: "MultiHeadAttention", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{1, 10}, Out: Arity{1, 4}, Infer: inferMultiHeadAttention, Build: buildMultiHeadAttention, Expand: expandMultiHeadAttention},
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
			q = withBias(q, bias[:hd])
			for i, x := range []**tensor.Tensor{&kt, &vt} {
				if kt.Rank() != 3 {
					break
				}
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
			if bias, err = newAttentionMask[T](c, t, "attention_bias", a.batch, a.heads, a.lq, a.lk); err != nil {
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

// expandMultiHeadAttention: Attention, with the masks as one that is added.
func expandMultiHeadAttention(c *ExpandContext) ([]*onnx.Value, error) {
	q, k, v := c.value(0), c.value(1), c.value(2)
	heads, rank := c.Int("num_heads", 0), c.In(1)
	if k == nil || v == nil || c.Has(8) || c.Has(9) || heads < 1 || !rank.Ranked {
		return nil, fmt.Errorf("%w: the expansion with key %v, %d heads, or a past_sequence_length", ErrUnsupported, rank, heads)
	}
	if bias := c.value(3); bias != nil {
		n := c.sizeAt(q, 2)
		two, zero, end := c.Op("Add", nil, n, n), c.Builder.Ints(0), c.Builder.Ints(math.MaxInt32)
		part := func(x, from, to *onnx.Value) *onnx.Value {
			return c.Op("Add", nil, x, c.Op("Slice", nil, bias, from, to, zero))
		}
		q = part(q, zero, n)
		if len(rank.Dims) == 3 { // heads of their own come from a cache, and have theirs
			k, v = part(k, n, two), part(v, two, end)
		}
	}
	keys := c.sizeAt(k, 1)
	if len(rank.Dims) == 4 {
		keys = c.sizeAt(k, 2)
		q = c.headsFirst(q, heads)
	}
	if past := c.value(6); past != nil {
		keys = c.Op("Add", nil, keys, c.sizeAt(past, 2))
	}
	mask, err := c.paddingBias(4, q, keys, float64(c.attrs.Float("mask_filter_value", -10000)))
	if err != nil {
		return nil, err
	}
	if b := c.value(5); b != nil && mask != nil {
		mask = c.Op("Add", nil, mask, b)
	} else if b != nil {
		mask = b
	}
	as := onnx.NewAttrs("q_num_heads", heads, "kv_num_heads", heads, "is_causal", c.Int("unidirectional", 0))
	if s := c.attrs.Float("scale", 0); s != 0 {
		as = as.Set("scale", s)
	}
	outs := 3
	if len(c.node.Out) > 3 && c.node.Out[3] != nil { // the scores
		outs = 4
	}
	out := slices.Clone(c.Ops("", "Attention", as, outs, q, k, v, mask, c.value(6), c.value(7)))
	if len(rank.Dims) == 4 {
		out[0] = c.Op("Reshape", nil, c.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), out[0]), c.Builder.Ints(0, 0, -1))
	}
	return append(out, nil)[:4], nil
}

// sizeAt returns dimension i of v, int64[1].
func (c *ExpandContext) sizeAt(v *onnx.Value, i int) *onnx.Value {
	return c.Op("Shape", onnx.NewAttrs("start", i, "end", i+1), v)
}

// headsFirst returns v [b, l, heads*d] as [b, heads, l, d].
func (c *ExpandContext) headsFirst(v *onnx.Value, heads int) *onnx.Value {
	return c.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), c.Op("Reshape", nil, v, c.Builder.Ints(0, 0, heads, -1)))
}

// paddingBias returns what the padding mask of input i adds to scores of that many
// keys: filter where it says no; see paddingMask. Nil without the input.
func (c *ExpandContext) paddingBias(i int, q, keys *onnx.Value, filter float64) (*onnx.Value, error) {
	mask := c.value(i)
	if mask == nil {
		return nil, nil
	}
	mask = c.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), mask)
	d, batch := c.In(i).Dims, c.In(0).Dims
	var keep *onnx.Value
	switch {
	case len(d) == 2 || len(d) == 3:
		axes := []int{1, 2}[:4-len(d)]
		keep = c.Op("Unsqueeze", nil, c.Op("Cast", onnx.NewAttrs("to", int(tensor.Bool)), mask), c.Builder.Ints(axes...))
	case len(d) == 1 && len(batch) > 0:
		zero, one := c.Const(tensor.Scalar(int64(0))), c.Const(tensor.Scalar(int64(1)))
		at := c.Op("Range", nil, zero, c.Op("Squeeze", nil, keys), one)
		ends := mask
		two := d[0].Equal(batch[0].Add(batch[0])) && !d[0].Equal(batch[0])
		if !two && !d[0].Equal(batch[0]) {
			return nil, fmt.Errorf("%w: the expansion with a mask of shape %v for a batch of %v", ErrUnsupported, d, batch[0])
		}
		column := func(v *onnx.Value) *onnx.Value { return c.Op("Reshape", nil, v, c.Builder.Ints(-1, 1, 1, 1)) }
		if two {
			n := c.sizeAt(q, 0)
			ends = c.Op("Slice", nil, mask, c.Builder.Ints(0), n)
			keep = c.Op("GreaterOrEqual", nil, at, column(c.Op("Slice", nil, mask, n, c.Builder.Ints(math.MaxInt32))))
		}
		before := c.Op("Less", nil, at, column(ends))
		if keep == nil {
			keep = before
		} else {
			keep = c.Op("And", nil, keep, before)
		}
	default:
		return nil, fmt.Errorf("%w: the expansion with a mask of %v", ErrUnsupported, c.In(i))
	}
	return c.Op("Where", nil, keep, c.Builder.Float(q.Type.DType, 0), c.Builder.Float(q.Type.DType, filter)), nil
}
