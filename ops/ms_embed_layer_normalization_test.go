package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestEmbedLayerNormalization(t *testing.T) {
	ids, seg := I32([]int{2, 3}, 0, 4, 2, 1, 1, 3), I32([]int{2, 3}, 0, 0, 1, 1, 0, 0)
	word, pos, st, g, b := wave(20, 1), wave(16, 2), wave(8, 3), wave(4, 4), wave(4, 5)
	sum, plain := make([]float32, 24), make([]float32, 24)
	place := []int{3, 0, 1} // position_ids [1, 3]
	for i := range sum {
		w := word[int(i32(ids, i/4))*4+i%4]
		plain[i] = w + pos[i/4%3*4+i%4]
		sum[i] = w + pos[place[i/4%3]*4+i%4] + st[int(i32(seg, i/4))*4+i%4]
	}
	y, _, _ := naiveNormRows(sum, 4, 1e-3, true, g, b)
	y2, _, _ := naiveNormRows(plain, 4, 1e-12, true, g, b)
	W, P, S, G, B := F32([]int{5, 4}, word...), F32([]int{4, 4}, pos...), F32([]int{2, 4}, st...), F32([]int{4}, g...), F32([]int{4}, b...)
	mask := I32([]int{2, 3}, 1, 1, 0, 1, 0, 0)
	Run(t, []Case{
		{Op: "EmbedLayerNormalization", Domain: "com.microsoft", In: Vals(ids, seg, W, P, S, G, B, mask, I64([]int{1, 3}, 3, 0, 1)), Attrs: onnx.NewAttrs("epsilon", 1e-3, "mask_index_type", 1),
			Want: Vals(F32([]int{2, 3, 4}, y...), I32([]int{2}, 2, 1), F32([]int{2, 3, 4}, sum...)), Tol: close5},
		{Op: "EmbedLayerNormalization", Domain: "com.microsoft", In: Vals(ids, nil, W, P, nil, G, B), Want: Vals(F32([]int{2, 3, 4}, y2...), I32([]int{2}, 0, 0)), Tol: close5},
		{Op: "EmbedLayerNormalization", Domain: "com.microsoft", In: Vals(I32([]int{1, 1}, 5), nil, W, P, nil, G, B), Want: Vals(W), Err: "input_ids has 5, want 0 to 4"},
		{Op: "EmbedLayerNormalization", Domain: "com.microsoft", In: Vals(I32([]int{1, 5}, 1, 1, 1, 1, 1), nil, W, P, nil, G, B), Want: Vals(W), Err: "position_ids has 4, want 0 to 3"},
	})
}

func i32(t *tensor.Tensor, i int) int32 { return tensor.Data[int32](t)[i] }
