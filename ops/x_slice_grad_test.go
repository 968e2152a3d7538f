package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestXSliceGrad(t *testing.T) {
	Run(t, []Case{
		{Domain: "x", Op: "SliceGrad", Opset: 1, In: Vals(F32([]int{2}, 1, 2), I64([]int{1}, 5), I64([]int{1}, 1), I64([]int{1}, 3)), Want: Vals(F32([]int{5}, 0, 1, 2, 0, 0))},
		{Domain: "x", Op: "SliceGrad", Opset: 1, In: Vals(F32([]int{2}, 1, 2), I64([]int{1}, 4), I64([]int{1}, -1), I64([]int{1}, -9), I64([]int{1}, 0), I64([]int{1}, -2)), Want: Vals(F32([]int{4}, 0, 2, 0, 1))},
		{Domain: "x", Op: "SliceGrad", Opset: 1, In: Vals(F64([]int{2, 1}, 1, 2), I64([]int{2}, 2, 2), I64([]int{1}, 1), I64([]int{1}, 2), I64([]int{1}, 1)), Want: Vals(F64([]int{2, 2}, 0, 1, 0, 2))},
		{Domain: "x", Op: "SliceGrad", Opset: 1, In: Vals(F32([]int{0}), I64([]int{1}, 2), I64([]int{1}, 1), I64([]int{1}, 1)), Want: Vals(F32([]int{2}, 0, 0))},
		{Domain: "x", Op: "SliceGrad", Opset: 1, In: Vals(F32([]int{3}, 1, 2, 3), I64([]int{1}, 5), I64([]int{1}, 1), I64([]int{1}, 3)), Want: Vals(F32([]int{5}, 0, 1, 2, 0, 0)), Err: "want [2]"},
	})
}
