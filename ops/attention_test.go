package ops_test

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestAttention(t *testing.T) {
	var cases []Case
	inf := math.Inf(-1)
	for bits := 0; bits < 64; bits++ {
		for _, size := range [][2]int{{3, 5}, {40, 70}, {300, 300}} {
			if size[0] > 100 && bits%16 != 3 {
				continue
			}
			const b, hq, hk, d, dv = 2, 4, 2, 8, 5
			lq, lk, past := size[0], size[1], 0
			if bits&2 != 0 {
				past = 4
			}
			total := past + lk
			q, k, v := wave(b*hq*lq*d, 1), wave(b*hk*lk*d, 2), wave(b*hk*lk*dv, 3)
			pk, pv := wave(b*hk*past*d, 4), wave(b*hk*past*dv, 5)
			n := naiveAttention{b: b, hq: hq, hk: hk, lq: lq, lk: total, d: d, dv: dv, q: q, scale: 1 / math.Sqrt(d),
				k: joinLength(pk, k, b*hk, past, lk, d), v: joinLength(pv, v, b*hk, past, lk, dv)}
			attrs := onnx.NewAttrs("qk_matmul_output_mode", bits%4)
			in := make([]tensor.Value, 6)
			y3 := bits&1 != 0
			if y3 {
				attrs = attrs.Set("q_num_heads", hq).Set("kv_num_heads", hk)
				in[0], in[1] = F32([]int{b, lq, hq * d}, swapHeads(q, b, hq, lq, d)...), F32([]int{b, lk, hk * d}, swapHeads(k, b, hk, lk, d)...)
				in[2] = F32([]int{b, lk, hk * dv}, swapHeads(v, b, hk, lk, dv)...)
			} else {
				in[0], in[1], in[2] = heads4(b, hq, lq, d, q), heads4(b, hk, lk, d, k), heads4(b, hk, lk, dv, v)
			}
			if past > 0 {
				in[4], in[5] = heads4(b, hk, past, d, pk), heads4(b, hk, past, dv, pv)
			}
			bias := func(int, int, int, int) float64 { return 0 }
			if bits&4 != 0 {
				attrs = attrs.Set("is_causal", 1)
				bias = func(_, _, i, j int) float64 {
					if j > i+past {
						return inf
					}
					return 0
				}
			}
			before := bias
			switch {
			case bits&24 == 8: // numbers [hq, 1, t-1]: the last key is not reached
				m := wave(hq*(total-1), 6)
				in[3] = F32([]int{hq, 1, total - 1}, m...)
				bias = func(b, h, i, j int) float64 {
					if j == total-1 {
						return inf
					}
					return before(b, h, i, j) + float64(m[h*(total-1)+j])
				}
			case bits&24 == 16: // bool [b, 1, lq, t], where query 1 may attend nothing
				m := make([]bool, b*lq*total)
				for i := range m {
					m[i] = i%3 != 1 && i/total%lq != 1
				}
				in[3] = Of([]int{b, 1, lq, total}, m...)
				bias = func(b, h, i, j int) float64 {
					if !m[(b*lq+i)*total+j] {
						return inf
					}
					return before(b, h, i, j)
				}
			}
			if bits&32 != 0 {
				attrs = attrs.Set("softcap", 0.5).Set("scale", 0.25).Set("left_window_size", 3).Set("softmax_precision", 1)
				n.softcap, n.scale = 0.5, 0.25
				inner := bias
				bias = func(b, h, i, j int) float64 {
					if j < i+past-3 {
						return inf
					}
					return inner(b, h, i, j)
				}
			}
			n.bias = bias
			y, stages := n.run()
			want := make([]tensor.Value, 4)
			want[0] = heads4(b, hq, lq, dv, y)
			if y3 {
				want[0] = F32([]int{b, lq, hq * dv}, swapHeads(y, b, hq, lq, dv)...)
			}
			if bits&2 != 0 {
				want[1], want[2] = heads4(b, hk, total, d, n.k), heads4(b, hk, total, dv, n.v)
			}
			if bits&12 != 0 {
				want[3] = heads4(b, hq, lq, total, stages[bits%4])
			}
			cases = append(cases, Case{Name: fmt.Sprintf("%b %v", bits, size), Op: "Attention", In: in, Attrs: attrs, Want: want, Tol: close5})
		}
	}
	q := waveT(1, 2, 1, 3, 4)
	// Keys past nonpad_kv_seqlen do not count; causal queries end at it.
	n := naiveAttention{b: 2, hq: 1, hk: 1, lq: 3, lk: 3, d: 4, dv: 4, q: wave(24, 1), k: wave(24, 1), v: wave(24, 1), scale: 0.5,
		bias: func(b, _, i, j int) float64 {
			if valid := []int{3, 1}[b]; j >= valid || j > i+valid-3 {
				return inf
			}
			return 0
		}}
	y, _ := n.run()
	cases = append(cases,
		Case{Op: "Attention", Opset: 24, In: Vals(q, q, q, nil, nil, nil, I64([]int{2}, 3, 1)), Attrs: onnx.NewAttrs("is_causal", 1), Want: Vals(heads4(2, 1, 3, 4, y)), Tol: close5},
		Case{Op: "Attention", In: Vals(q, q, q, nil, nil, nil, I64([]int{2}, 4, 1)), Want: Vals(q), Err: "nonpad_kv_seqlen has 4, want 0 to 3"},
		Case{Op: "Attention", Opset: 23, In: Vals(q, q, q, nil, nil, nil, I64([]int{2}, 3, 1)), Want: Vals(q), Err: "7 inputs, want 3 to 6"},
		Case{Op: "Attention", Opset: 23, In: Vals(q, q, q), Attrs: onnx.NewAttrs("left_window_size", 1), Want: Vals(q), Err: "not supported: attribute left_window_size"},
		Case{Op: "Attention", In: Vals(q, q, q, nil, q), Want: Vals(q), Err: "only one of past_key and past_value"},
		Case{Op: "Attention", In: Vals(q, q, waveT(1, 2, 1, 2, 4)), Want: Vals(q), Err: "they do not fit"},
		Case{Op: "Attention", In: Vals(q, q, q, waveT(1, 2, 3)), Want: Vals(q), Err: "attn_mask has shape [2 3], want one that broadcasts to [2 1 3 3]"},
		Case{Op: "Attention", In: Vals(waveT(1, 2, 3), q, q), Want: Vals(q), Err: "Q has shape [2 3]"},
		Case{Op: "Attention", In: Vals(q, waveT(1, 2, 1, 0, 4), waveT(1, 2, 1, 0, 4)), Want: Vals(F32([]int{2, 1, 3, 4}, make([]float32, 24)...))},
	)
	Run(t, cases)
}

func TestGradientOfAttention(t *testing.T) {
	four := func(lq, lk, heads, kv int) []tensor.Value {
		return Vals(Normal(1, 2, heads, lq, 4), Normal(2, 2, kv, lk, 4), Normal(3, 2, kv, lk, 3))
	}
	with := func(in []tensor.Value, more ...tensor.Value) []tensor.Value { return append(in, more...) }
	mask := wave(30, 4)
	mask[3], mask[9] = float32(math.Inf(-1)), float32(math.Inf(-1))
	half := Of([]int{5, 6}, to16(mask)...) // the gradient of a mask is not there, so the harness must not ask for it
	keep := tensor.New(tensor.Bool, 2, 1, 5, 6)
	for i := range tensor.Data[bool](keep) {
		tensor.Data[bool](keep)[i] = i%3 != 0 && i/6 != 2 // query 2 attends nothing
	}
	Gradients(t, []GradCase{
		{Name: "plain", Op: "Attention", In: four(5, 6, 3, 3)},
		{Name: "grouped", Op: "Attention", In: four(3, 6, 4, 2), Attrs: onnx.NewAttrs("scale", 0.7)},
		{Name: "causal", Op: "Attention", In: four(6, 6, 2, 1), Attrs: onnx.NewAttrs("is_causal", 1)},
		{Name: "window", Op: "Attention", In: four(6, 6, 2, 1), Attrs: onnx.NewAttrs("left_window_size", 1, "right_window_size", 2)},
		{Name: "softcap", Op: "Attention", In: four(5, 6, 2, 2), Attrs: onnx.NewAttrs("softcap", 1.5)},
		{Name: "bool mask", Op: "Attention", In: with(four(5, 6, 2, 2), keep)},
		{Name: "mask of numbers", Op: "Attention", In: with(four(5, 6, 2, 2), half)},
		{Name: "number of keys", Op: "Attention", In: with(four(3, 6, 2, 2), nil, nil, nil, I64([]int{2}, 4, 0)), Attrs: onnx.NewAttrs("is_causal", 1)},
		{Name: "three dimensions", Op: "Attention", In: Vals(Normal(1, 2, 5, 8), Normal(2, 2, 4, 4), Normal(3, 2, 4, 6)),
			Attrs: onnx.NewAttrs("q_num_heads", 4, "kv_num_heads", 2)},
		{Name: "mask", Op: "Attention", In: with(four(5, 6, 3, 3), Normal(5, 2, 1, 5, 6))},
		{Name: "mask of heads", Op: "Attention", In: with(four(5, 6, 4, 2), Normal(5, 4, 1, 6)), Attrs: onnx.NewAttrs("softcap", 1.5, "is_causal", 1)},
		{Name: "short mask", Op: "Attention", In: with(four(5, 6, 2, 2), Normal(5, 5, 4))},
		{Name: "past", Op: "Attention", In: with(four(3, 4, 4, 2), nil, Normal(5, 2, 2, 2, 4), Normal(6, 2, 2, 2, 3)), Attrs: onnx.NewAttrs("is_causal", 1)},
		{Name: "past and present", Op: "Attention", In: with(four(3, 4, 2, 2), Normal(7, 3, 6), Normal(5, 2, 2, 2, 4), Normal(6, 2, 2, 2, 3)), Outs: 3},
		{Name: "present", Op: "Attention", In: four(3, 4, 2, 2), Outs: 3},
		{Name: "present alone", Op: "Attention", In: four(3, 4, 2, 2), Outs: 3, Silent: []int{0}},
		{Name: "past of three dimensions", Op: "Attention", In: Vals(Normal(1, 2, 5, 8), Normal(2, 2, 4, 4), Normal(3, 2, 4, 6), nil, Normal(5, 2, 2, 3, 2), Normal(6, 2, 2, 3, 3)),
			Attrs: onnx.NewAttrs("q_num_heads", 4, "kv_num_heads", 2, "is_causal", 1), Outs: 3},
		{Name: "present of three dimensions", Op: "Attention", In: Vals(Normal(1, 2, 5, 8), Normal(2, 2, 4, 4), Normal(3, 2, 4, 6)),
			Attrs: onnx.NewAttrs("q_num_heads", 4, "kv_num_heads", 2), Outs: 2},
		{Name: "blocks of queries", Op: "Attention", In: Vals(Normal(1, 1, 1, 300, 2), Normal(2, 1, 1, 7, 2), Normal(3, 1, 1, 7, 2))},
	})
	var cases []GradCase
	for mode := range 4 {
		as := onnx.NewAttrs("qk_matmul_output_mode", mode, "softcap", 1.5)
		in := with(four(5, 6, 4, 2), Normal(5, 4, 1, 6))
		if mode != 2 { // whose scores of keys that are not attended are -∞
			as = as.Set("is_causal", 1)
			in[3] = Normal(5, 4, 1, 5)
		}
		cases = append(cases,
			GradCase{Name: fmt.Sprint("scores of stage ", mode), Op: "Attention", In: in, Attrs: as, Outs: 4},
			GradCase{Name: fmt.Sprint("scores of stage ", mode, " alone"), Op: "Attention", In: four(300, 3, 1, 1), Attrs: as.Without("is_causal"), Outs: 4, Silent: []int{0, 1, 2}},
			GradCase{Name: fmt.Sprint("scores of stage ", mode, " with a past"), Op: "Attention", Attrs: onnx.NewAttrs("qk_matmul_output_mode", mode, "q_num_heads", 4, "kv_num_heads", 2),
				In: Vals(Normal(1, 2, 5, 8), Normal(2, 2, 4, 4), Normal(3, 2, 4, 6), nil, Normal(5, 2, 2, 3, 2), Normal(6, 2, 2, 3, 3)), Outs: 4})
	}
	Gradients(t, cases)
}
