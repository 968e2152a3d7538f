package ops_test

import (
	"math"
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMultiHeadAttention(t *testing.T) {
	const b, h, lq, lk, past, d, dv = 2, 3, 4, 5, 2, 8, 8
	q, k, v := wave(b*h*lq*d, 1), wave(b*h*lk*d, 2), wave(b*h*lk*dv, 3)
	pk, pv := wave(b*h*past*d, 4), wave(b*h*past*dv, 5)
	Q, K, V := F32([]int{b, lq, h * d}, swapHeads(q, b, h, lq, d)...), F32([]int{b, lk, h * d}, swapHeads(k, b, h, lk, d)...), F32([]int{b, lk, h * dv}, swapHeads(v, b, h, lk, dv)...)
	out := func(y []float32) []float32 { return swapHeads(y, b, h, lq, dv) }
	n := naiveAttention{b: b, hq: h, hk: h, lq: lq, lk: lk, d: d, dv: dv, q: q, k: k, v: v, scale: 1 / math.Sqrt(d)}
	plain, _ := n.run()
	mask := []int32{1, 1, 0, 1, 0, 1, 1, 1, 1, 0}
	add := wave(h*lq*lk, 6)
	n.bias = func(b, h, i, j int) float64 {
		return float64(1-mask[b*lk+j])*-100 + float64(add[(h*lq+i)*lk+j])
	}
	masked, _ := n.run()
	n.bias = func(b, _, _, j int) float64 {
		if j >= []int{3, 5}[b] {
			return -10000
		}
		return 0
	}
	ends, _ := n.run()
	n.lk, n.k, n.v = past+lk, joinLength(pk, k, b*h, past, lk, d), joinLength(pv, v, b*h, past, lk, dv)
	n.bias = func(_, _, i, j int) float64 {
		if j > i+past {
			return math.Inf(-1)
		}
		return 0
	}
	n.scale = 0.3
	cached, _ := n.run()
	// Biases: those of Q and V; a bias of K adds the same to all scores of a query.
	bias := make([]float32, 3*h*d)
	for i := 0; i < h*d; i++ {
		bias[h*d+i], bias[2*h*d+i] = 0.5, 2
	}
	shifted := append([]float32(nil), plain...)
	for i := range shifted {
		shifted[i] += 2
	}
	// One that is added to Q alone.
	less, queryBias := Q.Clone(), slices.Repeat([]float32{9}, 3*h*d)
	for i := range h * d {
		queryBias[i] = 0.25
	}
	for i := range tensor.Data[float32](less) {
		tensor.Data[float32](less)[i] -= 0.25
	}
	heads := onnx.NewAttrs("num_heads", h)
	want := []int{b, lq, h * dv}
	const ms = "com.microsoft"
	Run(t, []Case{
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, K, V), Attrs: heads, Want: Vals(F32(want, out(plain)...)), Tol: close5},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, heads4(b, h, lk, d, k), heads4(b, h, lk, dv, v)), Attrs: heads, Want: Vals(F32(want, out(plain)...)), Tol: close5},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, K, V, F32([]int{3 * h * d}, bias...)), Attrs: heads, Want: Vals(F32(want, out(shifted)...)), Tol: close5},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(less, heads4(b, h, lk, d, k), heads4(b, h, lk, dv, v), F32([]int{3 * h * d}, queryBias...)), Attrs: heads, Want: Vals(F32(want, out(plain)...)), Tol: close5},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, K, V, nil, I32([]int{b, lk}, mask...), F32([]int{1, h, lq, lk}, add...)), Attrs: onnx.NewAttrs("num_heads", h, "mask_filter_value", -100.0), Want: Vals(F32(want, out(masked)...)), Tol: close5},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, K, V, nil, I32([]int{b}, 3, 5)), Attrs: heads, Want: Vals(F32(want, out(ends)...)), Tol: close5},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, K, V, nil, nil, nil, heads4(b, h, past, d, pk), heads4(b, h, past, dv, pv)), Attrs: onnx.NewAttrs("num_heads", h, "unidirectional", 1, "scale", 0.3),
			Want: Vals(F32(want, out(cached)...), heads4(b, h, past+lk, d, n.k), heads4(b, h, past+lk, dv, n.v)), Tol: close5},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, nil, nil), Attrs: heads, Want: Vals(Q), Err: "not supported"},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, K, V, nil, I32([]int{7}, 1, 1, 1, 1, 1, 1, 1)), Attrs: heads, Want: Vals(Q), Err: "not supported: key_padding_mask of shape [7]"},
		{Op: "MultiHeadAttention", Domain: ms, In: Vals(Q, K, V), Attrs: onnx.NewAttrs("num_heads", 5), Want: Vals(Q), Err: "24 elements for 5 heads"},
	})
}
