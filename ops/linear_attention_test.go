package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLinearAttention(t *testing.T) {
	const b, n, hq, hk, dk, dv = 2, 5, 4, 2, 3, 6
	q, k, v := wave(b*n*hq*dk, 1), wave(b*n*hk*dk, 2), wave(b*n*hk*dv, 3)
	past := wave(b*hk*dk*dv, 4)
	var cases []Case
	for _, rule := range []string{"linear", "gated", "delta", "gated_delta"} {
		for bits := 0; bits < 8; bits++ {
			attrs := onnx.NewAttrs("update_rule", rule, "q_num_heads", hq, "kv_num_heads", hk)
			in := Vals(F32([]int{b, n, hq * dk}, q...), F32([]int{b, n, hk * dk}, k...), F32([]int{b, n, hk * dv}, v...), nil, nil, nil)
			state := make([]float64, b*hk*dk*dv)
			if bits&1 != 0 {
				in[3] = F32([]int{b, hk, dk, dv}, past...)
				copy(state, to64(past))
			}
			scale := 1 / math.Sqrt(dk)
			if bits&4 != 0 {
				attrs, scale = attrs.Set("scale", 0.5), 0.5
			}
			decay := func(b, t, h, j int) float64 { return 1 }
			if rule == "gated" || rule == "gated_delta" {
				if bits&2 != 0 {
					g := wave(b*n*hk*dk, 5)
					in[4] = F32([]int{b, n, hk * dk}, g...)
					decay = func(b, t, h, j int) float64 { return math.Exp(float64(g[((b*n+t)*hk+h)*dk+j])) }
				} else {
					g := wave(b*n*hk, 5)
					in[4] = F32([]int{b, n, hk}, g...)
					decay = func(b, t, h, j int) float64 { return math.Exp(float64(g[(b*n+t)*hk+h])) }
				}
			}
			delta := rule == "delta" || rule == "gated_delta"
			beta := func(b, t, h int) float64 { return 1 }
			if delta && bits&2 != 0 {
				w := wave(b*n*hk, 6)
				in[5] = F32([]int{b, n, hk}, w...)
				beta = func(b, t, h int) float64 { return float64(w[(b*n+t)*hk+h]) }
			} else if delta {
				w := wave(b*n, 6)
				in[5] = F32([]int{b, n, 1}, w...)
				beta = func(b, t, h int) float64 { return float64(w[b*n+t]) }
			}
			y := make([]float32, b*n*hq*dv)
			for i := 0; i < b; i++ {
				for h := 0; h < hk; h++ {
					s := state[(i*hk+h)*dk*dv:][:dk*dv]
					for t := 0; t < n; t++ {
						for m := range s {
							s[m] *= decay(i, t, h, m/dv)
						}
						kt := k[((i*n+t)*hk+h)*dk:][:dk]
						for m := 0; m < dv; m++ {
							fresh := float64(v[((i*n+t)*hk+h)*dv+m])
							if delta {
								for j := range kt {
									fresh -= s[j*dv+m] * float64(kt[j])
								}
								fresh *= beta(i, t, h)
							}
							for j := range kt {
								s[j*dv+m] += float64(kt[j]) * fresh
							}
						}
						for g := h * 2; g < h*2+2; g++ {
							for m := 0; m < dv; m++ {
								sum := 0.0
								for j := 0; j < dk; j++ {
									sum += float64(q[((i*n+t)*hq+g)*dk+j]) * s[j*dv+m]
								}
								y[((i*n+t)*hq+g)*dv+m] = float32(sum * scale)
							}
						}
					}
				}
			}
			end := make([]float32, len(state))
			for i, v := range state {
				end[i] = float32(v)
			}
			cases = append(cases, Case{Op: "LinearAttention", In: in, Attrs: attrs, Want: Vals(F32([]int{b, n, hq * dv}, y...), F32([]int{b, hk, dk, dv}, end...)), Tol: close5})
		}
	}
	X := waveT(1, 1, 2, 4)
	heads := onnx.NewAttrs("q_num_heads", 2, "kv_num_heads", 2, "update_rule", "linear")
	Run(t, append(cases,
		Case{Op: "LinearAttention", In: Vals(X, X, X), Attrs: onnx.NewAttrs("q_num_heads", 2, "kv_num_heads", 2), Want: Vals(X, X), Err: "wants decay: true"},
		Case{Op: "LinearAttention", In: Vals(X, X, X), Attrs: onnx.NewAttrs("q_num_heads", 3, "kv_num_heads", 2), Want: Vals(X, X), Err: "\"q_num_heads\" is 3, want a multiple"},
		Case{Op: "LinearAttention", In: Vals(X, X, X, X), Attrs: heads, Want: Vals(X, X), Err: "past_state has shape [1 2 4], want [1 2 2 2]"},
		Case{Op: "LinearAttention", In: Vals(X, X, waveT(1, 1, 3, 4)), Attrs: heads, Want: Vals(X, X), Err: "they do not fit"},
	))
}
