package ops_test

import (
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMRotaryEmbedding(t *testing.T) {
	const ms, b, h, l, d, r, room = "com.microsoft", 2, 3, 4, 20, 16, 7
	x, cos, sin := wave(b*h*l*d, 1), wave(room*r/2, 2), wave(room*r/2, 3)
	ids := make([]int64, 3*b*l)
	for i := range ids {
		ids[i] = int64(i * 5 % room)
	}
	var cases []Case
	for layout, of := range [][]int{{0, 0, 0, 0, 1, 1, 2, 2}, {0, 1, 2, 0, 1, 2, 0, 0}} { // which position each angle is of
		// A table of its own with a row for each token.
		var c, s []float32
		for i := range b * l {
			for j, p := range of {
				at := int(ids[p*b*l+i])*r/2 + j
				c, s = append(c, cos[at]), append(s, sin[at])
			}
		}
		for _, inter := range []bool{false, true} {
			y := naiveRotary(x, b, h, l, d, r, inter, c, s, func(b, i int) int { return b*l + i })
			as := onnx.NewAttrs("mrope_section", []int{4, 2, 2}, "mrope_layout", layout, "rotary_embedding_dim", r, "num_heads", h, "interleaved", inter, "is_packed_batching", 0)
			cos, sin, ids := F32([]int{room, r / 2}, cos...), F32([]int{room, r / 2}, sin...), I64([]int{3, b, l}, ids...)
			cases = append(cases, Case{Op: "MRotaryEmbedding", Domain: ms, In: Vals(heads4(b, h, l, d, x), ids, cos, sin), Attrs: as, Want: Vals(heads4(b, h, l, d, y)), Tol: close5},
				Case{Op: "MRotaryEmbedding", Domain: ms, In: Vals(F32([]int{b, l, h * d}, swapHeads(x, b, h, l, d)...), ids, cos, sin), Attrs: as,
					Want: Vals(F32([]int{b, l, h * d}, swapHeads(y, b, h, l, d)...)), Tol: close5})
		}
	}
	bad := cases[0]
	bad.Attrs, bad.Err = slices.Clone(bad.Attrs).Set("mrope_section", []int{4, 2, 1}), "has 7 angles, want 8"
	worse := cases[0]
	worse.Attrs, worse.Err = slices.Clone(worse.Attrs).Set("mrope_section", []int{8}), "want three numbers"
	Run(t, append(cases, bad, worse))
}
