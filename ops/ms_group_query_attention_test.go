package ops_test

import (
	"math"
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestGroupQueryAttention(t *testing.T) {
	const b, hq, hk, d, room = 2, 4, 2, 8, 9
	const ms = "com.microsoft"
	var cases []Case
	for bits := 0; bits < 16; bits++ {
		// A prompt of 5, or 2 more tokens for sequences with 3 and 6 in a cache of 9.
		l, past, lens, total := 5, []int{0, 0}, []int32{4, 4}, 5
		size := 5
		pk, pv := wave(b*hk*room*d, 4), wave(b*hk*room*d, 5)
		if bits&1 != 0 {
			l, past, lens, total, size = 2, []int{3, 6}, []int32{4, 7}, 8, room
		}
		q, k, v := wave(b*hq*l*d, 1), wave(b*hk*l*d, 2), wave(b*hk*l*d, 3)
		in := make([]tensor.Value, 9)
		attrs := onnx.NewAttrs("num_heads", hq, "kv_num_heads", hk)
		if bits&2 != 0 { // packed
			var rows []float32
			for i := 0; i < b*l; i++ {
				rows = append(rows, swapHeads(q, b, hq, l, d)[i*hq*d:(i+1)*hq*d]...)
				rows = append(rows, swapHeads(k, b, hk, l, d)[i*hk*d:(i+1)*hk*d]...)
				rows = append(rows, swapHeads(v, b, hk, l, d)[i*hk*d:(i+1)*hk*d]...)
			}
			in[0] = F32([]int{b, l, (hq + 2*hk) * d}, rows...)
		} else {
			in[0], in[1] = F32([]int{b, l, hq * d}, swapHeads(q, b, hq, l, d)...), F32([]int{b, l, hk * d}, swapHeads(k, b, hk, l, d)...)
			in[2] = F32([]int{b, l, hk * d}, swapHeads(v, b, hk, l, d)...)
		}
		in[5], in[6] = I32([]int{b}, lens...), I32([]int{}, int32(total))
		if bits&4 != 0 {
			cos, sin := wave(room*d/2, 6), wave(room*d/2, 7)
			in[7], in[8] = F32([]int{room, d / 2}, cos...), F32([]int{room, d / 2}, sin...)
			attrs = attrs.Set("do_rotary", 1)
			row := func(b, i int) int { return past[b] + i }
			q, k = naiveRotary(q, b, hq, l, d, d, false, cos, sin, row), naiveRotary(k, b, hk, l, d, d, false, cos, sin, row)
		}
		window := 1 << 30
		if bits&8 != 0 {
			window = 3
			attrs = attrs.Set("local_window_size", window).Set("softcap", 2.0).Set("scale", 0.4)
		}
		allK, allV := make([]float32, b*hk*size*d), make([]float32, b*hk*size*d)
		if bits&1 != 0 {
			in[3], in[4] = heads4(b, hk, room, d, pk), heads4(b, hk, room, d, pv)
			for i := range b * hk { // what lies beyond is forgotten
				copy(allK[i*size*d:][:past[i/hk]*d], pk[i*room*d:])
				copy(allV[i*size*d:][:past[i/hk]*d], pv[i*room*d:])
			}
		}
		for i := 0; i < b*hk*l; i++ {
			at := (i/l*size + past[i/(hk*l)] + i%l) * d
			copy(allK[at:at+d], k[i*d:])
			copy(allV[at:at+d], v[i*d:])
		}
		n := naiveAttention{b: b, hq: hq, hk: hk, lq: l, lk: size, d: d, dv: d, q: q, k: allK, v: allV, scale: 1 / math.Sqrt(d),
			bias: func(b, _, i, j int) float64 {
				if at := past[b] + i; j > at || j <= at-window {
					return math.Inf(-1)
				}
				return 0
			}}
		if bits&8 != 0 {
			n.softcap, n.scale = 2, 0.4
		}
		y, _ := n.run()
		cases = append(cases, Case{Op: "GroupQueryAttention", Domain: ms, In: in, Attrs: attrs, Tol: close5,
			Want: Vals(F32([]int{b, l, hq * d}, swapHeads(y, b, hq, l, d)...), heads4(b, hk, size, d, allK), heads4(b, hk, size, d, allV))})
	}
	c := cases[0]
	bad := func(err string, change func(c *Case)) {
		c := c
		c.In = append([]tensor.Value(nil), c.In...)
		change(&c)
		c.Err = err
		cases = append(cases, c)
	}
	bad("seqlens_k has 5, want -1 to 4", func(c *Case) { c.In[5] = I32([]int{2}, 4, 5) })
	bad("seqlens_k has -2, want -1 to 4", func(c *Case) { c.In[5] = I32([]int{2}, 4, -2) })
	bad("key has shape [2 3]", func(c *Case) { c.In[1] = waveT(1, 2, 3) })
	bad("want -1 where causal is 0", func(c *Case) {
		c.Attrs = onnx.NewAttrs("num_heads", 4, "kv_num_heads", 2, "causal", 0, "local_window_size", 3)
	})
	bad("\"kv_cache_bit_width\" is 2, want 4 or 8", func(c *Case) {
		c.Attrs = onnx.NewAttrs("num_heads", 4, "kv_num_heads", 2, "k_quant_type", "PER_TENSOR", "kv_cache_bit_width", 2)
	})
	bad("asks for past_key", func(c *Case) {
		c.Attrs = onnx.NewAttrs("num_heads", 4, "kv_num_heads", 2, "k_quant_type", "PER_TENSOR", "kv_cache_bit_width", 8)
	})
	bad("want a multiple of \"kv_num_heads\", 3", func(c *Case) { c.Attrs = onnx.NewAttrs("num_heads", 4, "kv_num_heads", 3) })
	bad("local_window_size, which is -1", func(c *Case) {
		c.Attrs = onnx.NewAttrs("num_heads", 4, "kv_num_heads", 2, "sliding_window_cache", 1)
	})
	Run(t, cases)
}

// TestGroupQueryAttentionSliding runs caches of 6 keys of which queries attend 4, and
// softmaxes with a sink.
func TestGroupQueryAttentionSliding(t *testing.T) {
	const b, hq, hk, d, room, window = 2, 4, 2, 4, 6, 4
	var cases []Case
	for _, step := range []struct {
		l, total int
		before   [b]int // keys of each sequence so far
		resident [b]int // of these, and
		after    [b]int // then
	}{
		{3, 3, [b]int{0, 0}, [b]int{0, 0}, [b]int{3, 3}},
		{9, 9, [b]int{0, 0}, [b]int{0, 0}, [b]int{6, 6}}, // more than there is room for
		{1, 8, [b]int{5, 7}, [b]int{5, 4}, [b]int{6, 5}},
		{1, 10, [b]int{6, 9}, [b]int{6, 6}, [b]int{4, 4}}, // both are full, and make place for three
	} {
		for mode := range 3 { // no sink, one for each head, zeros
			l := step.l
			q, k, v := wave(b*hq*l*d, 1), wave(b*hk*l*d, 2), wave(b*hk*l*d, 3)
			past := [2][]float32{wave(b*hk*room*d, 4), wave(b*hk*room*d, 5)}
			in := make([]tensor.Value, 12)
			in[0], in[1] = F32([]int{b, l, hq * d}, swapHeads(q, b, hq, l, d)...), F32([]int{b, l, hk * d}, swapHeads(k, b, hk, l, d)...)
			in[2] = F32([]int{b, l, hk * d}, swapHeads(v, b, hk, l, d)...)
			in[3], in[4] = heads4(b, hk, room, d, past[0]), heads4(b, hk, room, d, past[1])
			in[5], in[6] = I32([]int{b}, int32(step.before[0]+l-1), int32(step.before[1]+l-1)), I32([]int{}, int32(step.total))
			attrs := onnx.NewAttrs("num_heads", hq, "kv_num_heads", hk, "local_window_size", window, "sliding_window_cache", 1)
			sink := make([]float32, hq)
			switch mode {
			case 1:
				sink = wave(hq, 6)
				in[11] = F32([]int{hq}, sink...)
			case 2:
				attrs = attrs.Set("smooth_softmax", 1)
			}
			y := make([]float32, b*hq*l*d)
			next := [2][]float32{make([]float32, b*hk*room*d), make([]float32, b*hk*room*d)}
			for i := range b {
				n := step.resident[i]
				for g := range hk {
					var line [2][]float32 // all keys and values that are known
					for x, fresh := range [][]float32{k, v} {
						line[x] = append(append([]float32(nil), past[x][(i*hk+g)*room*d:][:n*d]...), fresh[(i*hk+g)*l*d:][:l*d]...)
						copy(next[x][(i*hk+g)*room*d:][:room*d], line[x][(n+l-step.after[i])*d:])
					}
					for h := g * hq / hk; h < (g+1)*hq/hk; h++ {
						for j := range l {
							row := q[((i*hq+h)*l+j)*d:][:d]
							out, sum := make([]float64, d), 0.0
							if mode > 0 {
								sum = math.Exp(float64(sink[h]))
							}
							for at := max(0, n+j+1-window); at <= n+j; at++ {
								dot := 0.0
								for e := range d {
									dot += float64(row[e]) * float64(line[0][at*d+e])
								}
								w := math.Exp(dot / math.Sqrt(d))
								sum += w
								for e := range d {
									out[e] += w * float64(line[1][at*d+e])
								}
							}
							for e := range d {
								y[((i*hq+h)*l+j)*d+e] = float32(out[e] / sum)
							}
						}
					}
				}
			}
			cases = append(cases, Case{Op: "GroupQueryAttention", Domain: "com.microsoft", In: in, Attrs: attrs, Tol: close5,
				Want: Vals(F32([]int{b, l, hq * d}, swapHeads(y, b, hq, l, d)...), heads4(b, hk, room, d, next[0]), heads4(b, hk, room, d, next[1]))})
		}
	}
	small := cases[0]
	small.Attrs, small.Err = slices.Clone(small.Attrs).Set("local_window_size", 7), "want room for local_window_size, 7"
	Run(t, append(cases, small))
}

// TestGroupQueryAttentionForms: prompts with padding, whose positions count from the first of position_ids,
// attention that is not causal, scores as an output, and quantized caches.
func TestGroupQueryAttentionForms(t *testing.T) {
	const b, hq, hk, d, ms = 2, 4, 2, 8, "com.microsoft"
	var cases []Case
	for form, attrs := range []onnx.Attrs{
		{},                                    // a padded prompt
		onnx.NewAttrs("do_rotary", 1),         // and its positions
		onnx.NewAttrs("causal", 0),            //
		onnx.NewAttrs("qk_output", 1),         // 3: scores
		onnx.NewAttrs("qk_output", 2),         //
		quantizedCache("PER_TENSOR", 8),       // 5
		quantizedCache("PER_CHANNEL", 8),      //
		quantizedCache("PER_TENSOR", 4),       // 7
		quantizedCache("PER_CHANNEL", 4),      //
		onnx.NewAttrs("local_window_size", 2), // 9: as 0
		{},                                    // 10: a sequence of nothing but padding
	} {
		prompt, quant, bits := form < 3 || form >= 9, form >= 5 && form < 9, 8-form/7*4
		l, past, lens, total, room := 5, []int{0, 0}, []int32{5, 3}, 5, 0
		if !prompt {
			l, past, lens, total, room = 2, []int{3, 5}, []int32{5, 7}, 7, 8
		}
		if form == 10 {
			lens[1] = 0
		}
		size := max(total, room)
		q, k, v := wave(b*hq*l*d, 1), wave(b*hk*l*d, 2), wave(b*hk*l*d, 3)
		in := make([]tensor.Value, 14)
		in[0], in[1] = F32([]int{b, l, hq * d}, swapHeads(q, b, hq, l, d)...), F32([]int{b, l, hk * d}, swapHeads(k, b, hk, l, d)...)
		in[2] = F32([]int{b, l, hk * d}, swapHeads(v, b, hk, l, d)...)
		in[5], in[6] = I32([]int{b}, lens[0]-1, lens[1]-1), I32([]int{1}, int32(total))
		if form == 1 {
			cos, sin := wave(8*d/2, 6), wave(8*d/2, 7)
			in[7], in[8] = F32([]int{8, d / 2}, cos...), F32([]int{8, d / 2}, sin...)
			in[9] = I64([]int{b, l}, 2, 0, 0, 0, 0, 1, 1, 1, 1, 1)
			row := func(_, i int) int { return 2 + i }
			q, k = naiveRotary(q, b, hq, l, d, d, false, cos, sin, row), naiveRotary(k, b, hk, l, d, d, false, cos, sin, row)
		}
		all := [2][]float32{make([]float32, b*hk*size*d), make([]float32, b*hk*size*d)}
		var present [2]tensor.Value
		for x, fresh := range [][]float32{k, v} {
			before := wave(b*hk*room*d, float64(4+x))
			scale := func(h, e int) float32 { return 0.1 }
			if quant {
				scales := []float32{0.02}
				if bits == 4 {
					scales[0] = 0.3
				}
				if form%2 == 0 {
					scales = wave(hk*d, float64(8+x))
					for i, s := range scales {
						scales[i] = float32(math.Abs(float64(s)))/float32(bits) + 0.05
					}
				}
				in[12+x] = F32([]int{len(scales)}, scales...)
				scale = func(h, e int) float32 { return scales[(h*d+e)%len(scales)] }
			}
			stored := make([]int, b*hk*size*d)
			for i := range b * hk {
				n := past[i/hk]
				for j := range n + l {
					for e := range d {
						y := fresh[(i*l+max(0, j-n))*d+e]
						if j < n {
							y = before[(i*room+j)*d+e]
						}
						to := (i*size+j)*d + e
						all[x][to] = y
						if quant {
							s, top := scale(i%hk, e), math.Exp2(float64(bits-1))
							stored[to] = int(max(-top, min(math.RoundToEven(float64(y/s)), top-1)))
							all[x][to] = float32(stored[to]) * s
						}
					}
				}
			}
			present[x] = heads4(b, hk, size, d, all[x])
			if !prompt {
				in[3+x] = heads4(b, hk, room, d, before)
			}
			if quant { // the past is what is stored of it
				present[x] = cacheTensor(stored, bits, b, hk, size, d, func(i, j int) bool { return j < past[i/hk]+l })
				in[3+x] = cacheTensor(stored, bits, b, hk, size, d, func(i, j int) bool { return j < past[i/hk] })
			}
		}
		hidden := func(b, i, j int) bool {
			n := past[b] + i + 1
			hi := min(n, int(lens[b]))
			return form != 2 && j >= n || j >= int(lens[b]) || form == 9 && j < hi-2
		}
		n := naiveAttention{b: b, hq: hq, hk: hk, lq: l, lk: size, d: d, dv: d, q: q, k: all[0], v: all[1], scale: 1 / math.Sqrt(d),
			bias: func(b, _, i, j int) float64 {
				if hidden(b, i, j) {
					return math.Inf(-1)
				}
				return 0
			}}
		y, stages := n.run()
		want := Vals(F32([]int{b, l, hq * d}, swapHeads(y, b, hq, l, d)...), present[0], present[1])
		if kind := form - 2; kind == 1 || kind == 2 {
			var scores []float32
			for i, s := range stages[1+kind] {
				if j := i % size; j < total {
					if math.IsInf(float64(s), -1) {
						s = 0
					}
					scores = append(scores, s)
				}
			}
			want = append(want, F32([]int{b, hq, l, total}, scores...))
		}
		cases = append(cases, Case{Op: "GroupQueryAttention", Domain: ms, In: in, Attrs: attrs.Set("num_heads", hq).Set("kv_num_heads", hk), Tol: close5, Want: want})
	}
	other := cases[5]
	other.In = slices.Clone(other.In)
	other.In[12], other.Err = F32([]int{2}, 1, 2), "k_scale has shape [2], want 1 elements"
	Run(t, append(cases, other))
}

func quantizedCache(kind string, bits int) onnx.Attrs {
	return onnx.NewAttrs("k_quant_type", kind, "v_quant_type", kind, "kv_cache_bit_width", bits)
}

// cacheTensor makes a quantized cache; rows that are not there are 0.
func cacheTensor(x []int, bits, b, h, size, d int, there func(i, j int) bool) tensor.Value {
	if bits == 8 {
		t := tensor.New(tensor.Int8, b, h, size, d)
		for i, v := range x {
			if there(i/(size*d), i/d%size) {
				tensor.Data[int8](t)[i] = int8(v)
			}
		}
		return t
	}
	t := tensor.New(tensor.Uint8, b, h, size, d/2)
	for i, v := range x {
		if there(i/(size*d), i/d%size) {
			tensor.Data[uint8](t)[i/2] |= uint8(v+8) << (i % 2 * 4)
		}
	}
	return t
}
