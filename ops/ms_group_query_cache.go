package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// checkPast checks the shape of input i, past_key or past_value, of bytes or numbers.
func (s *groupQueryState[T]) checkPast(c *Call, i, room, size int) error {
	if want := c.list(s.batch, s.kvHeads, room, size); !slices.Equal(c.T(i).Shape(), want) {
		return fmt.Errorf("%s has shape %v, want %v", []string{"past_key", "past_value"}[i-3], c.T(i).Shape(), slices.Clone(want))
	}
	return nil
}

// cache joins the past and the new keys and values, and sets the views and the present outputs.
func (s *groupQueryState[T]) cache(c *Call, k, v headView[T], total int) error {
	a, p := &s.attention, 0
	if t := c.T(3); t != nil && t.Rank() == 4 {
		p = t.Dim(2)
	}
	a.lk = max(p, total)
	for i, fresh := range []headView[T]{k, v} {
		to := &a.k
		if i == 1 {
			to = &a.v
		}
		if s.g.quant[i].bits > 0 {
			if err := s.quantCache(c, i, fresh, to, p); err != nil {
				return err
			}
			continue
		}
		var past, data []T
		kind := c.T(0).DType()
		if t := c.T(3 + i); t != nil {
			kind = t.DType()
			err := s.checkPast(c, 3+i, p, a.d)
			if err != nil {
				return err
			}
			if past, err = reals[T](c, 3+i); err != nil {
				return err
			}
		}
		if c.Wants(1 + i) {
			data, s.done[i] = realsOut[T](c, 1+i, kind, a.batch, a.kvHeads, a.lk, a.d)
		} else {
			data = Scratch[T](c, a.batch*a.kvHeads*a.lk*a.d)
		}
		*to = headsFirst(data, a.kvHeads, a.lk, a.d)
		s.caches(c, groupQueryCaches[T]{s: s, to: *to, fresh: fresh, past: past, room: p})
	}
	return nil
}

// cacheGrain is the grain of loops over the heads of the cache.
func (s *groupQueryState[T]) cacheGrain() int {
	return par.Grain(s.batch*s.kvHeads, par.Nanos(0, 2*float64(s.lk*s.d)*float64(tensor.DTypeOf[T]().Size())))
}

// resident is how many of t keys of a sequence a sliding cache has, the last ones.
func (s *groupQueryState[T]) resident(t int) int {
	if t <= s.room {
		return t
	}
	step := s.room - s.g.window + 1
	return t - (t-s.room+step-1)/step*step
}

// slidingCache is cache for caches with room for some keys, of which those that
// no query attends any more make place for new ones.
func (s *groupQueryState[T]) slidingCache(c *Call, k, v headView[T]) error {
	a := &s.attention
	if t := c.T(3); t.Rank() != 4 || t.Dim(2) < s.g.window {
		return fmt.Errorf("past_key has shape %v, want room for local_window_size, %d", t.Shape(), s.g.window)
	}
	s.room = c.T(3).Dim(2)
	for b, n := range s.lens {
		if s.start(b) < 0 || n > s.start(b)+a.lq {
			return fmt.Errorf("seqlens_k and total_sequence_length do not fit %d new keys", a.lq)
		}
		a.lk = max(a.lk, s.first(b)+a.lq)
	}
	for i, fresh := range []headView[T]{k, v} {
		if err := s.checkPast(c, 3+i, s.room, a.d); err != nil {
			return err
		}
		past, err := reals[T](c, 3+i)
		if err != nil {
			return err
		}
		var next []T
		if c.Wants(1 + i) {
			next, s.done[i] = realsOut[T](c, 1+i, c.T(3).DType(), a.batch, a.kvHeads, s.room, a.d)
		}
		to := &a.k
		if i == 1 {
			to = &a.v
		}
		*to = headsFirst(Scratch[T](c, a.batch*a.kvHeads*a.lk*a.d), a.kvHeads, a.lk, a.d)
		s.caches(c, groupQueryCaches[T]{s: s, to: *to, fresh: fresh, past: past, room: s.room, next: next})
	}
	return nil
}

// groupQueryCaches joins the cache, past, and the new keys or values of heads.
type groupQueryCaches[T floating] struct {
	s         *groupQueryState[T]
	to, fresh headView[T]
	past      []T
	room      int // of past
	next      []T // of a sliding cache: what is kept for the next call; nil: not wanted
}

// caches runs l for all heads.
func (s *groupQueryState[T]) caches(c *Call, l groupQueryCaches[T]) {
	par.Run(c.P, s.batch*s.kvHeads, s.cacheGrain(), par.With(l))
}

// Chunk does heads [lo, hi) of all batches.
func (l *groupQueryCaches[T]) Chunk(lo, hi int) {
	s := l.s
	heads, d := s.kvHeads, s.d
	for u := lo; u < hi; u++ {
		b, h := u/heads, u%heads
		line := l.to.at(b, h, 0)[:s.lk*d]
		first, n := s.first(b), 0
		if l.past != nil {
			n = copy(line, l.past[u*l.room*d:][:min(first, l.room)*d])
		}
		clear(line[n : first*d])
		n = first * d
		for j := range s.lq {
			n += copy(line[n:], l.fresh.at(b, h, j)[:d])
		}
		clear(line[n:])
		if l.next != nil {
			keep, end := s.resident(s.lens[b]), first+s.lens[b]-s.start(b)
			row := l.next[u*l.room*d:][:l.room*d]
			clear(row[copy(row, line[(end-keep)*d:end*d]):])
		}
	}
}

// cacheQuant is how a cache is quantized: int8 in bytes, or int4 plus 8 in halves of bytes, the even
// elements in the lower ones. k_scale or v_scale holds one scale, or one for each element of each head.
type cacheQuant struct {
	bits     int // 0: not at all
	channels bool
}

// quantized reads how the caches are.
func (g *groupQuery) quantized(b *BuildContext) error {
	bits := b.Int("kv_cache_bit_width", 0)
	for i, name := range []string{"k", "v"} {
		q := &g.quant[i]
		switch s := b.Str(name+"_quant_type", "NONE"); s {
		case "NONE":
			if b.Has(12 + i) {
				return fmt.Errorf("input %s_scale without attribute %q", name, name+"_quant_type")
			}
			continue
		case "PER_TENSOR", "PER_CHANNEL":
			q.bits, q.channels = bits, s == "PER_CHANNEL"
		default:
			return fmt.Errorf("attribute %q is %q, want NONE, PER_TENSOR or PER_CHANNEL", name+"_quant_type", s)
		}
		switch {
		case bits != 4 && bits != 8:
			return fmt.Errorf("attribute \"kv_cache_bit_width\" is %d, want 4 or 8", bits)
		case g.sliding:
			return fmt.Errorf("%w: a quantized cache with sliding_window_cache", ErrUnsupported)
		case !b.Has(3+i) || !b.Has(12+i):
			return fmt.Errorf("attribute %q asks for past_key, past_value and %s_scale", name+"_quant_type", name)
		}
	}
	return nil
}

// quantCache is cache for the new keys or values, fresh, in a quantized cache; to gets what the attention reads.
func (s *groupQueryState[T]) quantCache(c *Call, i int, fresh headView[T], to *headView[T], p int) error {
	q := s.g.quant[i]
	kind, bytes := tensor.Int8, s.d
	if q.bits == 4 {
		kind, bytes = tensor.Uint8, (s.d+1)/2
	}
	if err := s.checkPast(c, 3+i, p, bytes); err != nil {
		return err
	}
	t := c.T(3 + i)
	if t.DType() != kind {
		return fmt.Errorf("the cache is %v, want %v of %d bits", t, kind, q.bits)
	}
	want := 1
	if q.channels {
		want = s.kvHeads * s.d
	}
	scale, err := reals[T](c, 12+i)
	if err != nil {
		return err
	}
	if len(scale) != want {
		return fmt.Errorf("%s has shape %v, want %d elements", []string{"k_scale", "v_scale"}[i], c.T(12+i).Shape(), want)
	}
	if !q.channels {
		all := Scratch[T](c, s.d)
		for j := range all {
			all[j] = scale[0]
		}
		scale = all
	}
	l := quantCaches[T]{s: s, q: q, fresh: fresh, scale: scale, past: t.Bytes(), room: p, bytes: bytes}
	if c.Wants(1 + i) {
		l.next = c.Output(1+i, kind, s.batch, s.kvHeads, s.lk, bytes).Bytes()
	} else {
		l.next = Scratch[uint8](c, s.batch*s.kvHeads*s.lk*bytes)
	}
	*to = headsFirst(Scratch[T](c, s.batch*s.kvHeads*s.lk*s.d), s.kvHeads, s.lk, s.d)
	l.to = *to
	par.Run(c.P, s.batch*s.kvHeads, s.cacheGrain(), par.With(l))
	return nil
}

// quantCaches is groupQueryCaches for a quantized cache.
type quantCaches[T floating] struct {
	s         *groupQueryState[T]
	q         cacheQuant
	to, fresh headView[T]
	scale     []T
	past      []byte
	room      int // of past
	next      []byte
	bytes     int // of a key or value
}

// Chunk does heads [lo, hi) of all batches.
func (l *quantCaches[T]) Chunk(lo, hi int) {
	s, bytes := l.s, l.bytes
	heads, d := s.kvHeads, s.d
	for u := lo; u < hi; u++ {
		b, h := u/heads, u%heads
		scale := l.scale
		if l.q.channels {
			scale = scale[h*d:][:d]
		}
		start := s.start(b)
		used := start + s.lq
		row := l.next[u*s.lk*bytes:][:s.lk*bytes]
		n := copy(row, l.past[u*l.room*bytes:][:min(start, l.room)*bytes])
		clear(row[n : start*bytes])
		for j := start; j < used; j++ {
			storeCached(row[j*bytes:][:bytes], l.fresh.at(b, h, j-start)[:d], scale, l.q.bits)
		}
		clear(row[used*bytes:])
		line := l.to.at(b, h, 0)[:s.lk*d]
		for j := range used {
			loadCached(line[j*d:][:d], row[j*bytes:][:bytes], scale, l.q.bits)
		}
		clear(line[used*d:])
	}
}

// storeCached quantizes the elements of a head into a cache.
func storeCached[T floating](dst []byte, src, scale []T, bits int) {
	top := float64(int(1)<<(bits-1) - 1)
	if bits == 4 {
		clear(dst)
	}
	for i, v := range src {
		r := math.RoundToEven(float64(v / scale[i]))
		if r != r {
			r = 0
		}
		n := int8(max(-top-1, min(r, top)))
		if bits == 8 {
			dst[i] = byte(n)
		} else {
			dst[i/2] |= byte(n+8) << (i % 2 * 4)
		}
	}
}

// loadCached reads back what storeCached made.
func loadCached[T floating](dst []T, src []byte, scale []T, bits int) {
	for i := range dst {
		if bits == 8 {
			dst[i] = T(int8(src[i])) * scale[i]
		} else {
			dst[i] = T(int(src[i/2]>>(i%2*4)&15)-8) * scale[i]
		}
	}
}
