package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestXCrossEntropyGrad(t *testing.T) {
	h, q := float32(math.Log(0.5)), float32(math.Log(0.25))
	logp := F32([]int{2, 3}, h, q, q, q, q, h)
	plain := func(kv ...any) onnx.Attrs { return onnx.NewAttrs(kv...) }
	c := func(as onnx.Attrs, want Case) Case {
		want.Domain, want.Op, want.Opset, want.Attrs = "x", "CrossEntropyGrad", 1, as
		return want
	}
	labels := I64([]int{2}, 0, 1)
	Run(t, []Case{
		c(plain("reduction", "sum"), Case{In: Vals(logp, labels, nil, F32([]int{}, 2)), Want: Vals(F32([]int{2, 3}, -1, 0.5, 0.5, 0.5, -1.5, 1))}),
		c(plain(), Case{In: Vals(logp, labels, F32([]int{3}, 3, 1, 9), F32([]int{}, 4)), Want: Vals(F32([]int{2, 3}, -1.5, 0.75, 0.75, 0.25, -0.75, 0.5))}),
		c(plain("reduction", "none", "ignore_index", -7), Case{In: Vals(logp, I64([]int{2}, -7, 1), nil, F32([]int{2}, 5, 2)), Want: Vals(F32([]int{2, 3}, 0, 0, 0, 0.5, -1.5, 1))}),
		c(plain("ignore_index", 1), Case{In: Vals(logp, I64([]int{2}, 1, 1), nil, F32([]int{}, 5)), Want: Vals(F32([]int{2, 3}, 0, 0, 0, 0, 0, 0))}),
		c(plain("softmax", 0, "reduction", "sum"), Case{In: Vals(F64([]int{1, 2, 2}, -1, -2, -3, -4), I64([]int{1, 2}, 1, 0), nil, F64([]int{}, 2)), Want: Vals(F64([]int{1, 2, 2}, 0, -2, -2, 0))}),
		c(plain("reduction", "sum"), Case{In: Vals(logp, I64([]int{2}, 0, 3), nil, F32([]int{}, 2)), Want: Vals(logp), Err: "class 3"}),
		c(plain("reduction", "none"), Case{In: Vals(logp, labels, nil, F32([]int{}, 2)), Want: Vals(logp), Err: "want 2 elements"}),
	})
}
