package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestTile(t *testing.T) {
	x := F32([]int{2, 2}, 1, 2, 3, 4)
	Run(t, []Case{
		{Op: "Tile", In: Vals(x, I64(nil, 1, 2)), Want: Vals(F32([]int{2, 4}, 1, 2, 1, 2, 3, 4, 3, 4))},
		{Op: "Tile", Opset: 6, In: Vals(x, I64(nil, 2, 1)), Want: Vals(F32([]int{4, 2}, 1, 2, 3, 4, 1, 2, 3, 4))},
		{Op: "Tile", In: Vals(F32([]int{1, 2}, 1, 2), I64(nil, 2, 2)), Want: Vals(F32([]int{2, 4}, 1, 2, 1, 2, 1, 2, 1, 2))},
		{Op: "Tile", In: Vals(x, I64(nil, 0, 2)), Want: Vals(F32([]int{0, 4}))},
		{Op: "Tile", In: Vals(F32([]int{}, 5), I64([]int{0})), Want: Vals(F32([]int{}, 5))},
		{Op: "Tile", In: Vals(I64(nil, 5, 6), I64(nil, 2)), Want: Vals(I64(nil, 5, 6, 5, 6))},
		{Op: "Tile", Opset: 1, In: Vals(x, F32([]int{1}, 2), F32([]int{1}, 1)), Want: Vals(F32([]int{2, 4}, 1, 2, 1, 2, 3, 4, 3, 4))},
		{Op: "Tile", In: Vals(x, I64(nil, 2)), Want: Vals(x), Err: "repeats has 1 elements, want 2"},
		{Op: "Tile", In: Vals(x, I64(nil, 2, -1)), Want: Vals(x), Err: "negative"},
		{Op: "Tile", In: Vals(x, I64(nil, 1<<62, 1<<62)), Want: Vals(x), Err: "impossible size", Const: []int{}},
	})
}

func TestTileGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Tile", In: Vals(Normal(1, 2, 3), I64([]int{2}, 3, 2))},
		{Op: "Tile", In: Vals(Normal(1, 3), I64([]int{1}, 1))},
	})
}
