package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// permute returns x with its dimensions in the order perm, by definition.
func permute(x *tensor.Tensor, perm ...int) *tensor.Tensor {
	in, st := x.Shape(), tensor.Strides(x.Shape())
	shape := make([]int, len(perm))
	for i, p := range perm {
		shape[i] = in[p]
	}
	src := tensor.Data[float32](x)
	dst := make([]float32, len(src))
	for i := range dst {
		at, rest := 0, i
		for d := len(shape) - 1; d >= 0; d-- {
			at += rest % shape[d] * st[perm[d]]
			rest /= shape[d]
		}
		dst[i] = src[at]
	}
	return tensor.Of(dst, shape...)
}

func TestFusedMatMul(t *testing.T) {
	a, b := ramp(3, 5, 40), ramp(3, 40, 6)
	y := naiveMatMul(a, b)
	half := tensor.Of(append([]float32(nil), tensor.Data[float32](y)...), y.Shape()...)
	for i, v := range tensor.Data[float32](half) {
		tensor.Data[float32](half)[i] = v / 2
	}
	w := ramp(40, 6)
	w1, _ := w.Reshape(1, 40, 6)
	op := func(in []tensor.Value, want *tensor.Tensor, attrs ...any) Case {
		return Case{Domain: "com.microsoft", Op: "FusedMatMul", Attrs: onnx.NewAttrs(attrs...), In: in, Want: Vals(want)}
	}
	bad := op(Vals(ramp(2, 2), ramp(2, 2)), y, "transBatchA", 1)
	bad.Err = "want 3 or more"
	Run(t, []Case{
		op(Vals(a, b), y),
		op(Vals(a, b), half, "alpha", 0.5),
		op(Vals(permute(a, 0, 2, 1), permute(b, 0, 2, 1)), y, "transA", 1, "transB", 1),
		op(Vals(permute(a, 1, 0, 2), b), y, "transBatchA", 1),
		op(Vals(a, permute(b, 1, 0, 2)), y, "transBatchB", 1),
		op(Vals(permute(a, 2, 0, 1), permute(b, 2, 0, 1)), y, "transBatchA", 1, "transA", 1, "transBatchB", 1, "transB", 1),
		op(Vals(a, w), naiveMatMul(a, w1)),
		op(Vals(a, permute(w, 1, 0)), naiveMatMul(a, w1), "transB", 1),
		op(Vals(permute(a, 1, 0, 2), w), naiveMatMul(a, w1), "transBatchA", 1),
		op(Vals(permute(a, 0, 2, 1), w), naiveMatMul(a, w1), "transA", 1),
		bad,
	})
}
