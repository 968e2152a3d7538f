package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Attention: Y = softmax(softcap(scale·Q·Kᵀ) + bias)·V per head.
//
//	Q: T1[b, hq, lq, d] or [b, lq, hq*d]    K: T1[b, hk, lk, d] or [b, lk, hk*d]
//	V: T2[b, hk, lk, dv] or [b, lk, hk*dv]
//	attn_mask (optional): bool (true: attend) or numbers that are added, broadcast to [b, hq, lq, t];
//	keys that it does not reach are not attended
//	past_key: T1[b, hk, p, d], past_value: T2[b, hk, p, dv] (optional, both): put before K and V
//	nonpad_kv_seqlen (optional, since 24): int64[b], how many keys count
//	Y: T1[b, hq, lq, dv] or [b, lq, hq*dv]    present_key, present_value: [b, hk, t, ...], t = p + lk
//	qk_matmul_output: T1[b, hq, lq, t], the scores at the stage that qk_matmul_output_mode tells
//
// Query head h reads key head h / (hq/hk). With is_causal, query i attends keys
// up to i + offset: offset is p, or nonpad_kv_seqlen - lq, or 0; the window
// sizes of 25 bound the distance to it. A query that may attend no key gives 0.
// scale is 1/sqrt(d) by default. Sums of softmax are made in float64; what
// softmax_precision asks for is never more.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Attention.html (23, 24, 25)
func init() {
	v := Version{Since: 23, In: Arity{3, 6}, Out: Arity{1, 4}, Infer: inferAttention, Build: buildAttention}
	v24, v25 := v, v
	v24.Since, v24.In.Max = 24, 7
	v25.Since, v25.In.Max = 25, 7
	register(&Op{Name: "Attention", Numerics: Rounding, Flush: true, Versions: []Version{v, v24, v25}})
}

func inferAttention(c *InferContext) error {
	q, k, v := c.In(0), c.In(1), c.In(2)
	hq, hk := c.Int("q_num_heads", 0), c.Int("kv_num_heads", 0)
	types := []onnx.Type{onnx.UnrankedType(q.DType), onnx.UnrankedType(k.DType), onnx.UnrankedType(v.DType), onnx.UnrankedType(q.DType)}
	if len(q.Dims) == 3 || len(q.Dims) == 4 {
		var b, heads, kv, lq, d, dv, l onnx.Dim
		if len(q.Dims) == 4 {
			b, heads, lq, d = q.Dims[0], q.Dims[1], q.Dims[2], q.Dims[3]
			if len(k.Dims) == 4 {
				kv, l = k.Dims[1], k.Dims[2]
			}
			if len(v.Dims) == 4 {
				dv = v.Dims[3]
			}
		} else if hq > 0 && hk > 0 {
			b, heads, kv, lq = q.Dims[0], onnx.Size(hq), onnx.Size(hk), q.Dims[1]
			d = q.Dims[2].FloorDiv(heads)
			if len(k.Dims) == 3 {
				l = k.Dims[1]
			}
			if len(v.Dims) == 3 {
				dv = v.Dims[2].FloorDiv(kv)
			}
		}
		total := l
		if c.Has(4) {
			total = onnx.Dim{}
			if p := c.In(4); len(p.Dims) == 4 {
				total = p.Dims[2].Add(l)
			}
		}
		types[0] = onnx.TensorType(q.DType, b, heads, lq, dv)
		if len(q.Dims) == 3 {
			types[0] = onnx.TensorType(q.DType, b, lq, heads.Mul(dv))
		}
		types[1] = onnx.TensorType(k.DType, b, kv, total, d)
		types[2] = onnx.TensorType(v.DType, b, kv, total, dv)
		types[3] = onnx.TensorType(q.DType, b, heads, lq, total)
	}
	copy(c.Out, types)
	return nil
}

// attentionAttrs are the attributes of Attention.
type attentionAttrs struct {
	causal         bool
	hq, hk, qkMode int
	scale, softcap float64 // scale 0: 1/sqrt(d)
	left, right    int     // -1: unbounded
}

func buildAttention(b *BuildContext) (Kernel, error) {
	a, err := readAttention(b)
	if err != nil {
		return nil, err
	}
	return b.realKernels(0, attentionKernel[float32](a), attentionKernel[float64](a))
}

func readAttention(b *BuildContext) (attentionAttrs, error) {
	a := attentionAttrs{
		causal: b.Bool("is_causal", false), hq: b.Int("q_num_heads", 0), hk: b.Int("kv_num_heads", 0),
		qkMode: b.Int("qk_matmul_output_mode", 0), softcap: float64(b.Float("softcap", 0)),
		scale: float64(b.Float("scale", 0)), left: -1, right: -1,
	}
	if d := b.DType("softmax_precision", tensor.Float32); !d.IsFloat() {
		return a, fmt.Errorf("attribute \"softmax_precision\" is %v, want a floating-point type", d)
	}
	if b.HasAttr("scale") && a.scale == 0 {
		return a, fmt.Errorf("%w: attribute \"scale\" is 0", ErrUnsupported)
	}
	if a.qkMode < 0 || a.qkMode > 3 {
		return a, fmt.Errorf("attribute \"qk_matmul_output_mode\" is %d, want 0 to 3", a.qkMode)
	}
	if b.Node.Domain == Private || b.Opset() >= 25 {
		a.left, a.right = b.Int("left_window_size", -1), b.Int("right_window_size", -1)
		if a.left < -1 || a.right < -1 {
			return a, fmt.Errorf("window sizes are %d and %d, want -1 or more", a.left, a.right)
		}
	}
	return a, nil
}

// keyRange gives the keys that may be attended by position.
type keyRange struct {
	attentionAttrs
	lq, lk int
	offset int   // the position of query 0
	lens   []int // how many keys count per batch, of which the queries are the last; nil: all
}

// bounded reports whether there is a key that some query may not attend.
func (r *keyRange) bounded() bool { return r.causal || r.left >= 0 || r.right >= 0 || r.lens != nil }

// span returns the keys [lo, hi) of query i of batch b.
func (r *keyRange) span(b, i int) (int, int) {
	lo, hi, at := 0, r.lk, i+r.offset
	if r.lens != nil {
		hi, at = min(hi, r.lens[b]), i+r.lens[b]-r.lq
	}
	if r.causal {
		hi = min(hi, at+1)
	}
	if r.right >= 0 && r.right < r.lk {
		hi = min(hi, at+r.right+1)
	}
	if r.left >= 0 {
		lo = max(lo, at-r.left)
	}
	return lo, max(hi, 0)
}

// splitHeads returns the sizes of an input with its heads in a dimension of
// its own, or together with their elements.
func splitHeads(t *tensor.Tensor, name string, rank, heads int) (batch, h, length, size int, err error) {
	switch {
	case t == nil:
		return 0, 0, 0, 0, fmt.Errorf("%s is absent", name)
	case t.Rank() != rank || rank != 3 && rank != 4:
		return 0, 0, 0, 0, fmt.Errorf("%s has shape %v, want 3 or 4 dimensions, as many as Q", name, t.Shape())
	case rank == 4:
		return t.Dim(0), t.Dim(1), t.Dim(2), t.Dim(3), nil
	case heads < 1 || t.Dim(2)%heads != 0:
		return 0, 0, 0, 0, fmt.Errorf("%s has shape %v: %d elements for %d heads", name, t.Shape(), t.Dim(2), heads)
	}
	return t.Dim(0), heads, t.Dim(1), t.Dim(2) / heads, nil
}

// attentionState is what Attention keeps from run to run: the memory of its arguments.
type attentionState[T floating] struct {
	attention[T]
	maskOf attentionMask[T]
	keys   keyRange
	span   func(b, i int) (int, int) // of keys
}

func (s *attentionState[T]) clear() {
	s.attention, s.maskOf, s.keys.lens = attention[T]{}, attentionMask[T]{}, nil
}

// sizes reads the shapes of Q, K and V, and returns their rank and the length of K.
func (s *attentionState[T]) sizes(c *Call, at attentionAttrs) (rank, kl int, err error) {
	qt, kt, vt := c.T(0), c.T(1), c.T(2)
	a := &s.attention
	a.softcap, a.scale, a.qkMode = at.softcap, at.scale, at.qkMode
	s.keys.attentionAttrs = at
	if qt == nil {
		return 0, 0, errors.New("Q is absent")
	}
	rank = qt.Rank()
	if a.batch, a.heads, a.lq, a.d, err = splitHeads(qt, "Q", rank, at.hq); err != nil {
		return 0, 0, err
	}
	kb, kh, kl, kd, err := splitHeads(kt, "K", rank, at.hk)
	if err != nil {
		return 0, 0, err
	}
	vb, vh, vl, dv, err := splitHeads(vt, "V", rank, at.hk)
	if err != nil {
		return 0, 0, err
	}
	if kb != a.batch || vb != a.batch || kd != a.d || vh != kh || vl != kl {
		return 0, 0, fmt.Errorf("shapes of Q, K, V are %v, %v, %v: they do not fit", qt.Shape(), kt.Shape(), vt.Shape())
	}
	if kh == 0 || a.heads%kh != 0 {
		return 0, 0, fmt.Errorf("Q has %d heads, want a multiple of the %d of K", a.heads, kh)
	}
	a.kvHeads, a.dv = kh, dv
	if a.scale == 0 {
		a.scale = 1 / math.Sqrt(float64(a.d))
	}
	return rank, kl, nil
}

// masks sets what may be attended, once the number of keys is known.
func (s *attentionState[T]) masks(c *Call, past int) error {
	if err := s.bounds(c, past); err != nil {
		return err
	}
	a := &s.attention
	if t := c.T(3); t != nil {
		if err := s.maskOf.read(c, t, "attn_mask", a.batch, a.heads, a.lq, a.lk); err != nil {
			return err
		}
		a.mask = &s.maskOf
	}
	return nil
}

func attentionKernel[T floating](at attentionAttrs) Kernel {
	return func(c *Call) error {
		st := State[attentionState[T]](c)
		defer st.clear()
		a := &st.attention
		rank, kl, err := st.sizes(c, at)
		if err != nil {
			return err
		}
		past, err := attentionCache(c, a, c.T(1), c.T(2), rank, kl)
		if err != nil {
			return err
		}
		if err := st.masks(c, past); err != nil {
			return err
		}
		qt, dv := c.T(0), a.dv
		q, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		shape := c.list(a.batch, a.heads, a.lq, dv)
		if rank == 3 {
			shape = shape[:3]
			shape[1], shape[2] = a.lq, a.heads*dv
		}
		var qkDone func()
		if c.Wants(3) {
			a.qk, qkDone = realsOut[T](c, 3, qt.DType(), a.batch, a.heads, a.lq, a.lk)
		}
		y, done := realsOut[T](c, 0, qt.DType(), shape...)
		a.q, a.y = headsFirst(q, a.heads, a.lq, a.d), headsFirst(y, a.heads, a.lq, dv)
		if rank == 3 {
			a.q, a.y = headsLast(q, a.heads, a.lq, a.d), headsLast(y, a.heads, a.lq, dv)
		}
		if a.lk == 0 {
			clear(y)
		} else {
			a.run(c.P)
		}
		done()
		if qkDone != nil {
			qkDone()
		}
		return nil
	}
}

// attentionCache sets the views of keys and values, joined with those of the
// past, and the present outputs. It returns the length of the past, -1 without.
func attentionCache[T floating](c *Call, a *attention[T], kt, vt *tensor.Tensor, rank, kl int) (past int, err error) {
	past, a.lk = -1, kl
	if c.Has(4) != c.Has(5) {
		return 0, errors.New("only one of past_key and past_value is given")
	}
	if c.Has(4) {
		past = 0
		if t := c.T(4); t.Rank() == 4 {
			past = t.Dim(2)
		}
	}
	if err := cacheSide(c, a, 0, kt, a.d, "past_key", &a.k, &a.kh, rank, past, kl); err != nil {
		return 0, err
	}
	if err := cacheSide(c, a, 1, vt, a.dv, "past_value", &a.v, &a.vh, rank, past, kl); err != nil {
		return 0, err
	}
	a.lk = max(past, 0) + kl
	return past, nil
}

// cacheSide sets the view of keys (i is 0) or values (1), x, whose heads have
// size elements: to, or half for numbers of 16 bits that can stay as they are.
func cacheSide[T floating](c *Call, a *attention[T], i int, x *tensor.Tensor, size int, name string, to *headView[T], half *headView[uint16], rank, past, kl int) error {
	joined, p := x, max(past, 0)
	if past >= 0 || c.Wants(1+i) {
		shape := c.list(a.batch, a.kvHeads, p, size)
		var before []byte
		if t := c.T(4 + i); t != nil {
			if !slices.Equal(t.Shape(), shape) || t.DType() != x.DType() {
				return fmt.Errorf("%s is %v, want %v %v", name, t, x.DType(), slices.Clone(shape))
			}
			before = t.Bytes()
		}
		shape[2] = p + kl
		if c.Wants(1 + i) {
			joined = c.Output(1+i, x.DType(), shape...)
		} else {
			joined = c.Lend(x.DType(), shape)
		}
		bytes := size * x.DType().Size()
		fresh := headsFirst(x.Bytes(), a.kvHeads, kl, bytes)
		if rank == 3 {
			fresh = headsLast(x.Bytes(), a.kvHeads, kl, bytes)
		}
		joinCache(c, joined.Bytes(), before, fresh, a.batch, a.kvHeads, p, kl, bytes)
	}
	last := rank == 3 && joined == x
	if h, kind, ok := halvesOf(joined); ok && !c.Wants(3) && len(h) > 0 && tensor.DTypeOf[T]() == tensor.Float32 && (i == 0 || a.kh.data == nil || a.kind == kind) {
		a.kind = kind
		*half = headsFirst(h, a.kvHeads, p+kl, size)
		if last {
			*half = headsLast(h, a.kvHeads, kl, size)
		}
		return nil
	}
	data, err := realsFor[T](c, joined)
	if err != nil {
		return err
	}
	*to = headsFirst(data, a.kvHeads, p+kl, size)
	if last {
		*to = headsLast(data, a.kvHeads, kl, size)
	}
	return nil
}

// bounds sets which keys each query may attend by its position.
func (s *attentionState[T]) bounds(c *Call, past int) error {
	r, a := &s.keys, &s.attention
	r.lq, r.lk, r.offset, r.lens = a.lq, a.lk, max(past, 0), nil
	if c.Has(6) {
		if past >= 0 {
			return errors.New("nonpad_kv_seqlen is given together with past_key")
		}
		lens, err := c.Ints(6)
		if err != nil {
			return err
		}
		if len(lens) != a.batch {
			return fmt.Errorf("nonpad_kv_seqlen has shape %v, want [%d]", c.T(6).Shape(), a.batch)
		}
		for _, n := range lens {
			if n < 0 || n > a.lk {
				return fmt.Errorf("nonpad_kv_seqlen has %d, want 0 to %d", n, a.lk)
			}
		}
		r.lens = lens
	}
	if r.bounded() {
		if s.span == nil {
			s.span = r.span
		}
		a.span = s.span
	}
	return nil
}

// gradAttention: by x.AttentionGrad.
func gradAttention(c *GradContext) []*onnx.Value {
	past, rank := c.X(4) != nil, len(c.X(0).Type.Dims)
	if rank == 0 {
		c.Fail(fmt.Errorf("Q is %v, want a known rank", c.X(0).Type))
		return nil
	}
	var present [2]*onnx.Value // what the gradients of the outputs 1 and 2 give K and V
	for i := range present {
		if len(c.DOut) > 1+i && c.DOut[1+i] != nil && (c.Needs(1+i) || c.Needs(4+i)) {
			present[i] = c.DOut[1+i]
		}
	}
	// With a past, all has the heads first, as the joined keys and values have.
	first := func(v *onnx.Value, heads int) *onnx.Value {
		if rank == 4 {
			return v
		}
		return c.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), c.headsThird(v, heads))
	}
	last := func(v *onnx.Value, like *onnx.Value) *onnx.Value {
		if rank == 4 {
			return v
		}
		return c.Like(c.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), v), like)
	}
	in := []*onnx.Value{c.X(0), c.X(1), c.X(2), c.X(3), nil, nil, c.X(6), c.DOut[0]}
	if len(c.DOut) > 3 {
		in = append(in, c.DOut[3])
	}
	if in[7] == nil {
		in[7] = c.Zeros(c.Y(0))
	}
	if past {
		hq := c.Attr.Int("q_num_heads", 0)
		in[0], in[1], in[2], in[4], in[7] = first(in[0], hq), c.Save(1), c.Save(2), c.X(4), first(in[7], hq)
	}
	n := c.G.NewNodeIn(Private, "AttentionGrad", c.Node().Attrs, in, 4)
	n.TrimInputs()
	wants := [4]bool{c.Needs(0), c.Needs(1) || c.Needs(4), c.Needs(2) || c.Needs(5), c.Needs(3)}
	some := false
	for i, w := range wants {
		some = some || w
		if !w {
			n.Out[i] = nil
		}
	}
	out := make([]*onnx.Value, 6)
	if !some {
		return out
	}
	d := c.Add(n)
	if c.Err() != nil {
		return nil
	}
	if out[0] = d[0]; past && d[0] != nil {
		out[0] = last(d[0], c.X(0))
	}
	for i, p := range present {
		g := d[1+i]
		switch {
		case g == nil:
		case past:
			if p != nil {
				g = c.Plus(g, p)
			}
			at := c.Op("Shape", onnx.NewAttrs("start", 2, "end", 3), c.X(4+i))
			out[1+i] = last(c.Op("Slice", nil, g, at, c.Ints(math.MaxInt32), c.Ints(2)), c.X(1+i))
			out[4+i] = c.Op("Slice", nil, g, c.Ints(0), at, c.Ints(2))
		case p != nil:
			out[1+i] = c.Plus(g, last(p, c.X(1+i)))
		default:
			out[1+i] = g
		}
	}
	if m := c.X(3); d[3] != nil { // keys that the mask does not reach have no part in it
		g := c.Op("Slice", nil, d[3], c.Ints(0), c.Op("Shape", onnx.NewAttrs("start", -1), m), c.Ints(-1))
		if out[3] = c.SumTo(g, m); m.Type.DType != g.Type.DType {
			out[3] = c.Op("CastLike", nil, out[3], m)
		}
	}
	return out
}
