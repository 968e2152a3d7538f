package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// GroupQueryAttention (com.microsoft): causal attention with a cache of keys and
// values that is kept per sequence.
//
//	query: T[b, l, hq*d], or packed with key and value: T[b, l, (hq+2hk)*d]
//	key, value (optional): T[b, l, hk*d]    past_key, past_value (optional): T[b, hk, p, d]
//	seqlens_k: int32[b], the keys of each sequence less 1    total_sequence_length: int32 scalar
//	cos_cache, sin_cache (optional): T[positions, r/2]
//	position_ids (optional): int64[b, l], of which a first prompt uses the first element alone
//	attention_bias (optional): T, broadcasts to [b, hq, l, keys]
//	output: T[b, l, hq*d]    present_key, present_value: T[b, hk, max(p, total_sequence_length), d]
//	output_qk: T[b, hq, l, total_sequence_length], the scores before (qk_output 1) or after (2) softmax
//
// The new keys are put at seqlens_k + 1 - l, or at 0 where l is
// total_sequence_length. With do_rotary query and key are turned as in
// RotaryEmbedding. local_window_size bounds how many keys a query attends.
// head_sink, T[hq], adds its exponential to the sum of each softmax of a head;
// with smooth_softmax it is 0. With sliding_window_cache the caches have room for
// p >= local_window_size keys and keep the last ones, see slidingCache. Caches may
// be quantized, see quantCache. Without causal each query attends all keys of its
// sequence. What is beyond a sequence's length in present_key and present_value is 0,
// and so are scores of keys that are not attended in output_qk.
// Normalized queries and keys, query_seqlens and caches in float8 are not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{Domain: "com.microsoft", Name: "GroupQueryAttention", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{7, 17}, Absent: []int{1, 2, 3, 4}, Out: Arity{1, 4}, Infer: inferGroupQueryAttention, Build: buildGroupQueryAttention, Expand: expandGroupQueryAttention},
	}})
}

func inferGroupQueryAttention(c *InferContext) error {
	q := c.In(0)
	for i := range c.Out {
		c.Out[i] = onnx.UnrankedType(q.DType)
		if c.Has(2+i) && (i == 1 || i == 2) {
			c.Out[i].DType = c.In(2 + i).DType
		}
	}
	if len(q.Dims) == 3 && c.Has(1) {
		c.Out[0] = q
	}
	return nil
}

type groupQuery struct {
	heads, kvHeads, window int
	scale, softcap         float64
	rotary, interleaved    bool
	smooth, sliding        bool
	causal                 bool
	quant                  [2]cacheQuant // of keys and values
	qk                     int           // which scores go to output_qk, 0: none
}

func buildGroupQueryAttention(b *BuildContext) (Kernel, error) {
	g := groupQuery{
		heads: b.Int("num_heads", 0), kvHeads: b.Int("kv_num_heads", 0), window: b.Int("local_window_size", -1),
		scale: float64(b.Float("scale", 0)), softcap: float64(b.Float("softcap", 0)),
		rotary: b.Bool("do_rotary", false), interleaved: b.Bool("rotary_interleaved", false),
		smooth: b.Int("smooth_softmax", 0) > 0, sliding: b.Bool("sliding_window_cache", false),
		causal: b.Bool("causal", true), qk: b.Int("qk_output", 0),
	}
	if g.heads < 1 || g.kvHeads < 1 || g.heads%g.kvHeads != 0 {
		return nil, fmt.Errorf("attribute \"num_heads\" is %d, want a multiple of \"kv_num_heads\", %d", g.heads, g.kvHeads)
	}
	if err := plainGroupQuery(b); err != nil {
		return nil, err
	}
	switch {
	case g.sliding && (g.window < 1 || !b.Has(3)):
		return nil, fmt.Errorf("attribute \"sliding_window_cache\" asks for local_window_size, which is %d, and past_key", g.window)
	case g.sliding && b.Has(10):
		return nil, fmt.Errorf("%w: attention_bias with sliding_window_cache", ErrUnsupported)
	}
	if err := g.quantized(b); err != nil {
		return nil, err
	}
	switch {
	case !g.causal && (g.window >= 0 || g.sliding):
		return nil, fmt.Errorf("attribute \"local_window_size\" is %d, want -1 where causal is 0", g.window)
	case g.qk < 0 || g.qk > 2:
		return nil, fmt.Errorf("attribute \"qk_output\" is %d, want 0 to 2", g.qk)
	case b.Wants(3) && (g.qk == 0 || g.sliding):
		return nil, fmt.Errorf("output output_qk is wanted with qk_output %d and sliding_window_cache %v", g.qk, g.sliding)
	}
	if b.Has(3) != b.Has(4) || b.Has(1) != b.Has(2) || g.rotary && (!b.Has(7) || !b.Has(8)) {
		return nil, fmt.Errorf("key and value, past_key and past_value, and for do_rotary cos_cache and sin_cache belong together")
	}
	return b.realKernels(0, groupQueryKernel[float32](g), groupQueryKernel[float64](g))
}

// plainGroupQuery refuses what no kernel here computes.
func plainGroupQuery(b *BuildContext) error {
	b.Ignore("q_norm_epsilon", "k_norm_epsilon", "qk_norm_epsilon") // without q_norm_weight and k_norm_weight
	for i, name := range map[int]string{14: "q_norm_weight", 15: "k_norm_weight", 16: "query_seqlens"} {
		if b.Has(i) {
			return fmt.Errorf("%w: input %s", ErrUnsupported, name)
		}
	}
	return nil
}

// groupQueryState is what GroupQueryAttention keeps from run to run: the memory of its arguments.
type groupQueryState[T floating] struct {
	attention[T]
	g      groupQuery
	maskOf attentionMask[T]
	lens   []int // the keys of each sequence
	prompt bool  // sequences begin with this call
	room   int   // of a sliding cache
	spanOf func(b, i int) (int, int)
	zeros  []T       // sinks of smooth_softmax
	done   [2]func() // of present_key and present_value
}

// start is where sequence b's new keys begin.
func (s *groupQueryState[T]) start(b int) int {
	if s.prompt {
		return 0
	}
	return s.lens[b] - s.lq
}

// first is where they are in what is attended.
func (s *groupQueryState[T]) first(b int) int {
	if s.g.sliding {
		return s.resident(s.start(b))
	}
	return s.start(b)
}

// attended gives the keys [lo, hi) that query i of sequence b attends.
func (s *groupQueryState[T]) attended(b, i int) (lo, hi int) {
	first := s.first(b)
	hi = min(first+s.lens[b]-s.start(b), s.lk) // what is beyond a sequence's length is padding
	if s.g.causal {
		hi = min(hi, first+i+1)
	}
	if s.g.window >= 0 {
		lo = max(0, hi-s.g.window)
	}
	return lo, hi
}

// begin sets s for a call of g. What it had of the call before is gone.
func (s *groupQueryState[T]) begin(g groupQuery) {
	if s.spanOf == nil {
		s.spanOf = s.attended
	}
	s.g, s.done = g, [2]func(){nothing, nothing}
	s.attention = attention[T]{heads: g.heads, kvHeads: g.kvHeads, scale: g.scale, softcap: g.softcap, span: s.spanOf}
}

func (s *groupQueryState[T]) clear() {
	s.attention, s.maskOf, s.lens, s.done = attention[T]{}, attentionMask[T]{}, nil, [2]func(){}
}

func groupQueryKernel[T floating](g groupQuery) Kernel {
	return func(c *Call) error {
		s := State[groupQueryState[T]](c)
		s.begin(g)
		defer s.clear()
		qt, a := c.T(0), &s.attention
		k, v, err := s.inputs(c)
		if err != nil {
			return err
		}
		total, err := s.lengths(c)
		if err != nil {
			return err
		}
		if g.rotary {
			if err := s.rotate(c, &k); err != nil {
				return err
			}
		}
		switch {
		case c.Has(11):
			if a.sinks, err = vectorParam[T](c, 11, "head_sink", g.heads); err != nil {
				return err
			}
		case g.smooth:
			if s.zeros == nil {
				s.zeros = make([]T, g.heads)
			}
			a.sinks = s.zeros
		}
		if g.sliding {
			err = s.slidingCache(c, k, v)
		} else {
			err = s.cache(c, k, v, total)
		}
		if err != nil {
			return err
		}
		if t := c.T(10); t != nil {
			if err := s.maskOf.read(c, t, "attention_bias", a.batch, g.heads, a.lq, a.lk); err != nil {
				return err
			}
			a.mask = &s.maskOf
		}
		y, done := realsOut[T](c, 0, qt.DType(), a.batch, a.lq, g.heads*a.d)
		a.y = headsLast(y, g.heads, a.lq, a.d)
		if c.Wants(3) {
			a.qkMode, a.qk = 1+g.qk, Scratch[T](c, a.batch*a.heads*a.lq*a.lk)
		}
		if a.lk == 0 {
			clear(y)
		} else {
			a.run(c.P)
		}
		if c.Wants(3) {
			s.scores(c, total)
		}
		done()
		s.done[0]()
		s.done[1]()
		return nil
	}
}

// inputs sets the sizes and the queries, and returns the new keys and values.
func (s *groupQueryState[T]) inputs(c *Call) (k, v headView[T], err error) {
	a, all := &s.attention, s.heads
	if !c.Has(1) {
		all += 2 * a.kvHeads
	}
	if a.batch, _, a.lq, a.d, err = splitHeads(c.T(0), "query", 3, all); err != nil {
		return k, v, err
	}
	a.dv = a.d
	if a.scale == 0 {
		a.scale = 1 / math.Sqrt(float64(a.d))
	}
	x, err := reals[T](c, 0)
	if err != nil {
		return k, v, err
	}
	a.q = headsLast(x, all, a.lq, a.d)
	k, v = a.q, a.q
	if !c.Has(1) {
		if len(x) > 0 {
			k.data, v.data = x[a.heads*a.d:], x[(a.heads+a.kvHeads)*a.d:]
		}
		return k, v, nil
	}
	want := c.list(a.batch, a.lq, a.kvHeads*a.d)
	for i, to := range []*headView[T]{&k, &v} {
		if !slices.Equal(c.T(1+i).Shape(), want) {
			return k, v, fmt.Errorf("%s has shape %v, want %v", []string{"key", "value"}[i], c.T(1+i).Shape(), slices.Clone(want))
		}
		data, err := reals[T](c, 1+i)
		if err != nil {
			return k, v, err
		}
		*to = headsLast(data, a.kvHeads, a.lq, a.d)
	}
	return k, v, nil
}

// scores fills output_qk from what the attention gave.
func (s *groupQueryState[T]) scores(c *Call, total int) {
	a := &s.attention
	a.clearHidden()
	out, done := realsOut[T](c, 3, c.T(0).DType(), a.batch, a.heads, a.lq, total)
	for row := 0; row*total < len(out); row++ {
		copy(out[row*total:][:total], a.qk[row*a.lk:])
	}
	done()
}

// lengths sets the keys of each sequence and returns the longest.
func (s *groupQueryState[T]) lengths(c *Call) (total int, err error) {
	given, err := c.Ints(5)
	if err != nil {
		return 0, err
	}
	batch, l := s.batch, s.lq
	total, ok, err := scalarInt(c, 6, "total_sequence_length")
	if err != nil {
		return 0, err
	}
	if !ok || len(given) != batch || total < l {
		return 0, fmt.Errorf("seqlens_k is %v, total_sequence_length %d, want %d lengths and at least %d", slices.Clone(given), total, batch, l)
	}
	s.prompt, s.lens = l == total, c.Dims(batch)
	for b, n := range given {
		s.lens[b] = n + 1
		least := l
		if s.prompt {
			least = 0
		}
		if s.lens[b] > total || s.lens[b] < least {
			return 0, fmt.Errorf("seqlens_k has %d, want %d to %d", n, least-1, total-1)
		}
	}
	return total, nil
}

// rotate turns the queries and the new keys.
func (s *groupQueryState[T]) rotate(c *Call, k *headView[T]) error {
	a, dim := &s.attention, 0
	if t := c.T(7); t.Rank() == 2 {
		dim = 2 * t.Dim(1)
	}
	r, err := rotaryTables[T](c, 7, 8, dim, a.d, s.g.interleaved)
	if err != nil {
		return err
	}
	ids := c.Dims(a.batch * a.lq)
	for i := range ids {
		ids[i] = s.start(i/a.lq) + i%a.lq
	}
	if c.Has(9) {
		if ids, err = c.Ints(9); err != nil {
			return err
		}
		if len(ids) != a.batch*a.lq {
			return fmt.Errorf("position_ids has shape %v, want [%d %d]", c.T(9).Shape(), a.batch, a.lq)
		}
		if s.prompt && len(ids) > 0 {
			base := ids[0]
			ids = c.Dims(len(ids))
			for i := range ids {
				ids[i] = base + i%a.lq
			}
		}
	}
	if err := r.checkPositions(ids); err != nil {
		return err
	}
	q2 := headsLast(Scratch[T](c, a.batch*a.lq*a.heads*a.d), a.heads, a.lq, a.d)
	k2 := headsLast(Scratch[T](c, a.batch*a.lq*a.kvHeads*a.d), a.kvHeads, a.lq, a.d)
	r.all(c.P, q2, a.q, a.batch, a.heads, a.lq, a.d, ids)
	r.all(c.P, k2, *k, a.batch, a.kvHeads, a.lq, a.d, ids)
	a.q, *k = q2, k2
	return nil
}

// expandGroupQueryAttention: causal Attention of the whole sequence, as in training;
// with a past, of which each sequence has its own length, of the cache after
// TensorScatter has put the new keys and values there.
func expandGroupQueryAttention(c *ExpandContext) ([]*onnx.Value, error) {
	if err := plainGroupQuery(&BuildContext{attrs: c.attrs, Node: c.node}); err != nil {
		return nil, err
	}
	if c.Has(11) || c.Int("smooth_softmax", 0) > 0 || c.Int("sliding_window_cache", 0) != 0 || c.Int("causal", 1) == 0 || len(c.node.Out) > 3 && c.node.Out[3] != nil || c.Has(12) || c.Has(13) {
		return nil, fmt.Errorf("%w: the expansion with head_sink, smooth_softmax, sliding_window_cache, output_qk, quantized caches or without causal", ErrUnsupported)
	}
	past := false
	for _, i := range []int{3, 4} {
		t := c.In(i)
		if c.Has(i) && len(t.Dims) != 4 {
			return nil, fmt.Errorf("%w: the expansion with a past of %v, want 4 dimensions", ErrUnsupported, t)
		}
		past = past || c.Has(i) && !t.Dims[2].Is(0)
	}
	heads, kv, window := c.Int("num_heads", 0), c.Int("kv_num_heads", 0), c.Int("local_window_size", -1)
	if heads < 1 || kv < 1 || c.Has(1) != c.Has(2) || c.Has(3) != c.Has(4) || window == 0 {
		return nil, fmt.Errorf("%w: the expansion with %d heads, %d of keys, a window of %d", ErrUnsupported, heads, kv, window)
	}
	q, k, v := c.value(0), c.value(1), c.value(2)
	if k == nil {
		unit := c.Op("Div", nil, c.sizeAt(q, 2), c.Builder.Ints(heads+2*kv))
		parts := c.Ops("", "Split", onnx.NewAttrs("axis", 2), 3, q, c.Op("Mul", nil, unit, c.Builder.Ints(heads, kv, kv)))
		q, k, v = parts[0], parts[1], parts[2]
	}
	total := c.Op("Reshape", nil, c.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), c.value(6)), c.Builder.Ints(1))
	var lens, start, first *onnx.Value // with a past: the keys of each sequence and where the new ones begin, [b] and [b, 1]
	if past {
		l, one := c.sizeAt(q, 1), c.Builder.Ints(1)
		lens = c.Op("Add", nil, c.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), c.value(5)), one)
		lens = c.Op("Where", nil, c.Op("Equal", nil, total, l), total, lens)
		start = c.Op("Sub", nil, lens, l)
		first = c.Op("Unsqueeze", nil, start, one)
	} else { // the shape refuses keys of another number than total_sequence_length
		k = c.Op("Reshape", nil, k, c.Op("Concat", onnx.NewAttrs("axis", 0), c.Builder.Ints(0), total, c.sizeAt(k, 2)))
	}
	if c.Int("do_rotary", 0) != 0 {
		cos, sin := c.value(7), c.value(8)
		if cos == nil || sin == nil {
			return nil, fmt.Errorf("do_rotary is 1 without cos_cache and sin_cache")
		}
		ids := c.value(9)
		if ids == nil {
			ids = c.positions(q, first)
		}
		turn := func(x *onnx.Value, heads int) (*onnx.Value, error) {
			return c.rotate(x, cos, sin, ids, heads, c.Int("rotary_interleaved", 0))
		}
		var err error
		if q, err = turn(q, heads); err != nil {
			return nil, err
		}
		if k, err = turn(k, kv); err != nil {
			return nil, err
		}
	}
	as := onnx.NewAttrs("q_num_heads", heads, "kv_num_heads", kv, "is_causal", 1, "softcap", c.attrs.Float("softcap", 0))
	if s := c.attrs.Float("scale", 0); s != 0 {
		as = as.Set("scale", s)
	}
	if window > 0 {
		as = as.Set("left_window_size", window-1)
	}
	if !past {
		return append(c.Ops("", "Attention", as, 3, q, k, v, c.promptMask(q)), nil), nil
	}
	k, v = c.cached(k, 3, kv, total, start), c.cached(v, 4, kv, total, start)
	y := c.Op("Attention", as, c.headsFirst(q, heads), k, v, c.value(10), nil, nil, lens)
	y = c.Op("Reshape", nil, c.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), y), c.Builder.Ints(0, 0, -1))
	return []*onnx.Value{y, k, v, nil}, nil
}

// promptMask returns attention_bias for queries v of a prompt, with -∞ for the padding behind each sequence's keys.
func (c *ExpandContext) promptMask(v *onnx.Value) *onnx.Value {
	zero, one := c.Const(tensor.Scalar(int64(0))), c.Const(tensor.Scalar(int64(1)))
	keys := c.Op("Range", nil, zero, c.Op("Squeeze", nil, c.sizeAt(v, 1)), one)
	last := c.Op("Reshape", nil, c.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), c.value(5)), c.Builder.Ints(-1, 1, 1, 1))
	keep := c.Op("LessOrEqual", nil, keys, last)
	if !c.Has(10) {
		return keep
	}
	return c.Op("Where", nil, keep, c.value(10), c.Builder.Float(c.In(10).DType, math.Inf(-1)))
}

// cached returns the cache of input i, with room for total keys, in which new keys or
// values, v [b, l, heads*d], are put from start on.
func (c *ExpandContext) cached(v *onnx.Value, i, heads int, total, start *onnx.Value) *onnx.Value {
	past := c.value(i)
	room := c.Op("Max", nil, c.Op("Sub", nil, total, c.sizeAt(past, 2)), c.Builder.Ints(0))
	past = c.Op("Pad", nil, past, c.Op("Concat", onnx.NewAttrs("axis", 0), c.Builder.Ints(0), room), nil, c.Builder.Ints(2))
	return c.Op("TensorScatter", nil, past, c.headsFirst(v, heads), start)
}

// positions returns 0, 1, … for each of v's [b, l, …] sequences, plus first (nil: 0).
func (c *ExpandContext) positions(v, first *onnx.Value) *onnx.Value {
	zero, one := c.Const(tensor.Scalar(int64(0))), c.Const(tensor.Scalar(int64(1)))
	at := c.Op("Range", nil, zero, c.Op("Squeeze", nil, c.sizeAt(v, 1)), one)
	if first != nil {
		at = c.Op("Add", nil, at, first)
	}
	return c.Op("Expand", nil, at, c.Op("Shape", onnx.NewAttrs("start", 0, "end", 2), v))
}

// rotate returns RotaryEmbedding of x [b, l, heads*d] with all of the tables' columns.
func (c *ExpandContext) rotate(x, cos, sin, ids *onnx.Value, heads, interleaved int) (*onnx.Value, error) {
	if len(cos.Type.Dims) != 2 {
		return nil, fmt.Errorf("%w: the expansion with cos_cache of %v, want two known dimensions", ErrUnsupported, cos.Type)
	}
	half, ok := cos.Type.Dims[1].Size()
	if !ok {
		return nil, fmt.Errorf("%w: the expansion with cos_cache of %v, want two known dimensions", ErrUnsupported, cos.Type)
	}
	return c.Op("RotaryEmbedding", onnx.NewAttrs("num_heads", heads, "interleaved", interleaved, "rotary_embedding_dim", 2*half), x, cos, sin, ids), nil
}
