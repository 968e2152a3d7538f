package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// pastOf returns input i, past_key or past_value, after checking its shape, [b, hk, p, d]; nil if it is absent.
func pastOf(c *Call, i, batch, heads, p, d int) (*tensor.Tensor, error) {
	t := c.T(i)
	if t == nil {
		return nil, nil
	}
	if want := []int{batch, heads, p, d}; !slices.Equal(t.Shape(), want) {
		return nil, fmt.Errorf("%s has shape %v, want %v", []string{"past_key", "past_value"}[i-3], t.Shape(), want)
	}
	return t, nil
}

// groupQueryCache joins the past and the new keys and values and sets the
// views and the present outputs; the result is called at the end.
func groupQueryCache[T floating](c *Call, g groupQuery, a *attention[T], k, v headView[T], total int, start func(int) int) (func(), error) {
	p := 0
	if t := c.T(3); t != nil && t.Rank() == 4 {
		p = t.Dim(2)
	}
	size := max(p, total)
	a.lk = size
	finish := nothing
	for i, x := range []struct{ fresh, to *headView[T] }{{&k, &a.k}, {&v, &a.v}} {
		if g.quant[i].bits > 0 {
			var err error
			if *x.to, err = quantCache(c, g.quant[i], i, a, *x.fresh, p, size, start); err != nil {
				return nil, err
			}
			continue
		}
		t, err := pastOf(c, 3+i, a.batch, a.kvHeads, p, a.d)
		if err != nil {
			return nil, err
		}
		var past, data []T
		kind := c.T(0).DType()
		if t != nil {
			kind = t.DType()
			if past, err = reals[T](c, 3+i); err != nil {
				return nil, err
			}
		}
		if c.Wants(1 + i) {
			d, done := realsOut[T](c, 1+i, kind, a.batch, a.kvHeads, size, a.d)
			data = d
			before := finish
			finish = func() { before(); done() }
		} else {
			data = Scratch[T](c, a.batch*a.kvHeads*size*a.d)
		}
		*x.to = headsFirst(data, a.kvHeads, size, a.d)
		c.P.For(a.batch*a.kvHeads, 1+(1<<15)/(1+size*a.d), func(lo, hi int) {
			for u := lo; u < hi; u++ {
				b, h := u/a.kvHeads, u%a.kvHeads
				line := x.to.at(b, h, 0)[:size*a.d]
				n := 0
				if past != nil {
					n = copy(line, past[u*p*a.d:][:min(start(b), p)*a.d])
				}
				clear(line[n : start(b)*a.d])
				for j := range a.lq {
					copy(line[(start(b)+j)*a.d:][:a.d], x.fresh.at(b, h, j))
				}
				clear(line[(start(b)+a.lq)*a.d:])
			}
		})
	}
	return finish, nil
}

// slidingCache is groupQueryCache for caches with room for some keys, of which
// those that no query attends any more make place for new ones. Of t keys of a
// sequence the last resident(t) are there, the oldest first. first gives where
// the new keys of a sequence are in a.k.
func slidingCache[T floating](c *Call, a *attention[T], k, v headView[T], lens []int, window int, start func(int) int) (finish func(), first func(int) int, err error) {
	if t := c.T(3); t.Rank() != 4 || t.Dim(2) < window {
		return nil, nil, fmt.Errorf("past_key has shape %v, want room for local_window_size, %d", t.Shape(), window)
	}
	room := c.T(3).Dim(2)
	resident := func(t int) int {
		if t <= room {
			return t
		}
		step := room - window + 1
		return t - (t-room+step-1)/step*step
	}
	first = func(b int) int { return resident(start(b)) }
	for b := range lens {
		if start(b) < 0 || lens[b] > start(b)+a.lq {
			return nil, nil, fmt.Errorf("seqlens_k and total_sequence_length do not fit %d new keys", a.lq)
		}
		a.lk = max(a.lk, first(b)+a.lq)
	}
	finish = func() {}
	for i, x := range []struct{ fresh, to *headView[T] }{{&k, &a.k}, {&v, &a.v}} {
		if want := []int{a.batch, a.kvHeads, room, a.d}; !slices.Equal(c.T(3+i).Shape(), want) {
			return nil, nil, fmt.Errorf("%s has shape %v, want %v", []string{"past_key", "past_value"}[i], c.T(3+i).Shape(), want)
		}
		past, err := reals[T](c, 3+i)
		if err != nil {
			return nil, nil, err
		}
		var next []T
		if c.Wants(1 + i) {
			d, done := realsOut[T](c, 1+i, c.T(3).DType(), a.batch, a.kvHeads, room, a.d)
			next = d
			before := finish
			finish = func() { before(); done() }
		}
		*x.to = headsFirst(Scratch[T](c, a.batch*a.kvHeads*a.lk*a.d), a.kvHeads, a.lk, a.d)
		c.P.For(a.batch*a.kvHeads, 1+(1<<15)/(1+a.lk*a.d), func(lo, hi int) {
			for u := lo; u < hi; u++ {
				b, h := u/a.kvHeads, u%a.kvHeads
				line := x.to.at(b, h, 0)[:a.lk*a.d]
				n := copy(line, past[u*room*a.d:][:first(b)*a.d])
				for j := range a.lq {
					n += copy(line[n:], x.fresh.at(b, h, j)[:a.d])
				}
				clear(line[n:])
				if next != nil {
					keep, end := resident(lens[b]), first(b)+lens[b]-start(b)
					row := next[u*room*a.d:][:room*a.d]
					clear(row[copy(row, line[(end-keep)*a.d:end*a.d]):])
				}
			}
		})
	}
	return finish, first, nil
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

// quantCache is groupQueryCache for the keys or values, x, in a quantized cache, of which it
// returns what the attention reads.
func quantCache[T floating](c *Call, q cacheQuant, i int, a *attention[T], x headView[T], p, size int, start func(int) int) (headView[T], error) {
	kind, bytes := tensor.Int8, a.d
	if q.bits == 4 {
		kind, bytes = tensor.Uint8, (a.d+1)/2
	}
	t, err := pastOf(c, 3+i, a.batch, a.kvHeads, p, bytes)
	if err != nil {
		return x, err
	}
	if t.DType() != kind {
		return x, fmt.Errorf("the cache is %v, want %v of %d bits", t, kind, q.bits)
	}
	want := 1
	if q.channels {
		want = a.kvHeads * a.d
	}
	scale, err := reals[T](c, 12+i)
	if err != nil {
		return x, err
	}
	if len(scale) != want {
		return x, fmt.Errorf("%s has shape %v, want %d elements", []string{"k_scale", "v_scale"}[i], c.T(12+i).Shape(), want)
	}
	if !q.channels {
		all := Scratch[T](c, a.d)
		for j := range all {
			all[j] = scale[0]
		}
		scale = all
	}
	past := t.Bytes()
	var next []byte
	if c.Wants(1 + i) {
		next = c.Output(1+i, kind, a.batch, a.kvHeads, size, bytes).Bytes()
	} else {
		next = Scratch[uint8](c, a.batch*a.kvHeads*size*bytes)
	}
	to := headsFirst(Scratch[T](c, a.batch*a.kvHeads*size*a.d), a.kvHeads, size, a.d)
	c.P.For(a.batch*a.kvHeads, 1+(1<<15)/(1+size*a.d), func(lo, hi int) {
		for u := lo; u < hi; u++ {
			b, h := u/a.kvHeads, u%a.kvHeads
			s := scale
			if q.channels {
				s = scale[h*a.d:][:a.d]
			}
			row := next[u*size*bytes:][:size*bytes]
			n := copy(row, past[u*p*bytes:][:min(start(b), p)*bytes])
			clear(row[n : start(b)*bytes])
			used := start(b) + a.lq
			for j := start(b); j < used; j++ {
				storeCached(row[j*bytes:][:bytes], x.at(b, h, j-start(b))[:a.d], s, q.bits)
			}
			clear(row[used*bytes:])
			line := to.at(b, h, 0)[:size*a.d]
			for j := range used {
				loadCached(line[j*a.d:][:a.d], row[j*bytes:][:bytes], s, q.bits)
			}
			clear(line[used*a.d:])
		}
	})
	return to, nil
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
