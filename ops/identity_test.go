package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestIdentity(t *testing.T) {
	x := F32([]int{2}, 1, -2)
	Run(t, []Case{
		{Op: "Identity", In: Vals(x), Want: Vals(x)},
		{Op: "Identity", Opset: 1, In: Vals(I64([]int{0})), Want: Vals(I64([]int{0}))},
		{Op: "Identity", In: Vals(x, x), Want: Vals(x), Err: "2 inputs, want 1"},
	})
}

func TestIdentityGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Identity", In: Vals(Normal(1, 2, 2))},
	})
}
