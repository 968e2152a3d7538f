package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMSRotaryEmbedding(t *testing.T) {
	const b, h, l, d = 2, 3, 4, 8
	const ms = "com.microsoft"
	x, cos, sin := wave(b*h*l*d, 1), wave(32, 2), wave(32, 3)
	X, C, S := heads4(b, h, l, d, x), F32([]int{8, 4}, cos...), F32([]int{8, 4}, sin...)
	flat := F32([]int{b, l, h * d}, swapHeads(x, b, h, l, d)...)
	from := naiveRotary(x, b, h, l, d, d, true, cos, sin, func(_, i int) int { return i + 3 })
	ids := []int64{0, 1, 2, 3, 7, 6, 5, 4}
	each := naiveRotary(x, b, h, l, d, d, false, cos, sin, func(b, i int) int { return int(ids[b*l+i]) })
	Run(t, []Case{
		{Op: "RotaryEmbedding", Domain: ms, In: Vals(X, I64([]int{1}, 3), C, S), Attrs: onnx.NewAttrs("interleaved", 1), Want: Vals(heads4(b, h, l, d, from)), Tol: close5},
		{Op: "RotaryEmbedding", Domain: ms, In: Vals(flat, I64([]int{b, l}, ids...), C, S), Want: Vals(F32([]int{b, l, h * d}, swapHeads(each, b, h, l, d)...)), Tol: close5},
		{Op: "RotaryEmbedding", Domain: ms, In: Vals(X, I64([]int{1}, 5), C, S), Want: Vals(X), Err: "position 8 is not in [0, 7]"},
		{Op: "RotaryEmbedding", Domain: ms, In: Vals(X, I64([]int{1}, 0), C, S), Attrs: onnx.NewAttrs("scale", 2.0), Want: Vals(X), Err: "not supported"},
	})
}
