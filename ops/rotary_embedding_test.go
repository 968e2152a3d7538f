package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

// naiveRotary turns x [b, h, l, d] by rows of cos and sin.
func naiveRotary(x []float32, b, h, l, d, r int, interleaved bool, cos, sin []float32, row func(b, l int) int) []float32 {
	y := append([]float32(nil), x...)
	for t := 0; t < b*h*l; t++ {
		at := row(t/(h*l), t%l) * (r / 2)
		for k := 0; k < r/2; k++ {
			i, j := k, k+r/2
			if interleaved {
				i, j = 2*k, 2*k+1
			}
			p, q := x[t*d+i], x[t*d+j]
			y[t*d+i] = cos[at+k]*p - sin[at+k]*q
			y[t*d+j] = sin[at+k]*p + cos[at+k]*q
		}
	}
	return y
}

func TestRotaryEmbedding(t *testing.T) {
	const b, h, l, d = 2, 3, 4, 8
	x := wave(b*h*l*d, 1)
	var cases []Case
	for bits := 0; bits < 16; bits++ {
		interleaved, r := bits&1 != 0, d
		attrs := onnx.NewAttrs("interleaved", interleaved)
		if bits&2 != 0 {
			r = 4
			attrs = attrs.Set("rotary_embedding_dim", r)
		}
		cos, sin := wave(16*r/2, 2), wave(16*r/2, 3)
		in := Vals(heads4(b, h, l, d, x), F32([]int{16, r / 2}, cos...), F32([]int{16, r / 2}, sin...), nil)
		row := func(b, i int) int { return b*l + i }
		if bits&4 != 0 {
			ids := []int64{3, 2, 1, 0, 15, 7, 7, 1}
			in[3] = I64([]int{b, l}, ids...)
			row = func(b, i int) int { return int(ids[b*l+i]) }
		} else {
			in[1], in[2] = F32([]int{b, l, r / 2}, cos[:b*l*r/2]...), F32([]int{b, l, r / 2}, sin[:b*l*r/2]...)
		}
		y := naiveRotary(x, b, h, l, d, r, interleaved, cos, sin, row)
		want := heads4(b, h, l, d, y)
		if bits&8 != 0 {
			in[0], want = F32([]int{b, l, h * d}, swapHeads(x, b, h, l, d)...), F32([]int{b, l, h * d}, swapHeads(y, b, h, l, d)...)
			attrs = attrs.Set("num_heads", h)
		}
		cases = append(cases, Case{Op: "RotaryEmbedding", In: in, Attrs: attrs, Want: Vals(want), Tol: close5})
	}
	X, cs := heads4(b, h, l, d, x), waveT(2, 4, 4)
	Run(t, append(cases,
		Case{Op: "RotaryEmbedding", In: Vals(X, cs, cs, I64([]int{2, 4}, 0, 0, 0, 0, 0, 0, 0, 4)), Want: Vals(X), Err: "position 4 is not in [0, 3]"},
		Case{Op: "RotaryEmbedding", In: Vals(X, cs, waveT(1, 4, 3), I64([]int{2, 4}, 0, 0, 0, 0, 0, 0, 0, 0)), Want: Vals(X), Err: "sin_cache is float32 [4 3], want rows of 4"},
		Case{Op: "RotaryEmbedding", In: Vals(waveT(1, 2, 4, 24), cs, cs), Want: Vals(X), Err: "X has shape [2 4 24]"},
		Case{Op: "RotaryEmbedding", In: Vals(X, cs, cs), Want: Vals(X), Err: "cos_cache has shape [4 4], want [2 4 4]"},
		Case{Op: "RotaryEmbedding", In: Vals(X, cs, cs), Attrs: onnx.NewAttrs("rotary_embedding_dim", 10), Want: Vals(X), Err: "10 of the 8 elements"},
	))
}

func TestGradientOfRotaryEmbedding(t *testing.T) {
	cos, sin := Normal(2, 6, 2), Normal(3, 6, 2)
	ids := I64([]int{2, 3}, 5, 0, 2, 1, 1, 5)
	Gradients(t, []GradCase{
		{Op: "RotaryEmbedding", In: Vals(Normal(1, 2, 2, 3, 5), cos, sin, ids), Attrs: onnx.NewAttrs("rotary_embedding_dim", 4)},
		{Op: "RotaryEmbedding", In: Vals(Normal(1, 2, 3, 8), cos, sin, ids), Attrs: onnx.NewAttrs("num_heads", 2, "interleaved", 1)},
		{Op: "RotaryEmbedding", In: Vals(Normal(1, 2, 3, 10), cos, sin, ids), Attrs: onnx.NewAttrs("num_heads", 2, "interleaved", 1, "rotary_embedding_dim", 4)},
		{Op: "RotaryEmbedding", In: Vals(Normal(1, 2, 3, 15), cos, sin, ids), Attrs: onnx.NewAttrs("num_heads", 3, "rotary_embedding_dim", 4)},
		{Op: "RotaryEmbedding", In: Vals(Normal(1, 1, 2, 3, 4), Normal(2, 1, 3, 2), Normal(3, 1, 3, 2))},
		{Op: "RotaryEmbedding", In: Vals(Normal(1, 1, 0, 3, 4), Normal(2, 1, 3, 2), Normal(3, 1, 3, 2))},
	})
}
