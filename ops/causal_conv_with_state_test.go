package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestCausalConvWithState(t *testing.T) {
	const b, c = 2, 3
	var cases []Case
	for _, size := range [][2]int{{5, 3}, {1, 4}, {6, 1}} {
		l, k := size[0], size[1]
		for bits := 0; bits < 8; bits++ {
			x, w, bias, past := wave(b*c*l, 1), wave(c*k, 2), wave(c, 3), wave(b*c*(k-1), 4)
			in := Vals(F32([]int{b, c, l}, x...), F32([]int{c, 1, k}, w...), nil, nil)
			if bits&1 != 0 {
				in[2] = F32([]int{c}, bias...)
			} else {
				clear(bias)
			}
			if bits&2 != 0 {
				in[3] = F32([]int{b, c, k - 1}, past...)
			} else {
				clear(past)
			}
			attrs := onnx.NewAttrs("activation", []string{"none", "swish"}[bits>>2])
			line := joinLength(past, x, b*c, k-1, l, 1)
			y, next := make([]float32, b*c*l), []float32{}
			for i := 0; i < b*c; i++ {
				row := line[i*(k-1+l):][:k-1+l]
				for p := 0; p < l; p++ {
					s := float64(bias[i%c])
					for j := 0; j < k; j++ {
						s += float64(row[p+j]) * float64(w[i%c*k+j])
					}
					if bits&4 != 0 {
						s *= sigm(s)
					}
					y[i*l+p] = float32(s)
				}
				next = append(next, row[l:]...)
			}
			cases = append(cases, Case{Op: "CausalConvWithState", In: in, Attrs: attrs, Want: Vals(F32([]int{b, c, l}, y...), F32([]int{b, c, k - 1}, next...)), Tol: close5})
		}
	}
	X := waveT(1, 1, 2, 3)
	Run(t, append(cases,
		Case{Op: "CausalConvWithState", In: Vals(X, waveT(1, 3, 1, 2)), Want: Vals(X, X), Err: "want [b c l] and [c 1 k]"},
		Case{Op: "CausalConvWithState", In: Vals(X, waveT(1, 2, 1, 2), nil, X), Want: Vals(X, X), Err: "past_state has shape [1 2 3], want [1 2 1]"},
		Case{Op: "CausalConvWithState", In: Vals(X, waveT(1, 2, 1, 2)), Attrs: onnx.NewAttrs("activation", "relu"), Want: Vals(X, X), Err: "\"activation\" is \"relu\""},
	))
}
