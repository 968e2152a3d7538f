package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestBatchNormalization(t *testing.T) {
	shape := []int{3, 2, 4}
	x, s, b, m := wave(24, 1), []float32{1.5, -2}, []float32{0.1, 0.2}, []float32{0.3, -0.4}
	v := []float32{0.5, 2}
	p := Vals(F32(shape, x...), F32([]int{2}, s...), F32([]int{2}, b...), F32([]int{2}, m...), F32([]int{2}, v...))
	apply := func(mean, variance []float32) *tensor.Tensor {
		y := make([]float32, 24)
		for i, e := range x {
			c := i / 4 % 2
			y[i] = s[c]*(e-mean[c])/float32(math.Sqrt(float64(variance[c])+1e-5)) + b[c]
		}
		return F32(shape, y...)
	}
	var curMean, curVar, runMean, runVar []float32
	for c := 0; c < 2; c++ {
		var set []float32
		for i, e := range x {
			if i/4%2 == c {
				set = append(set, e)
			}
		}
		mean, variance := naiveMoments(set)
		curMean, curVar = append(curMean, float32(mean)), append(curVar, float32(variance))
		runMean = append(runMean, m[c]*0.9+float32(mean)*0.1)
		runVar = append(runVar, v[c]*0.9+float32(variance)*0.1)
	}
	vec := func(v []float32) tensor.Value { return F32([]int{2}, v...) }
	train := Vals(apply(curMean, curVar), vec(runMean), vec(runVar), vec(curMean), vec(curVar))
	infer := Vals(apply(m, v))
	// Features of their own: shape [2, 3] with scale 1.
	fx := F32([]int{2, 1, 2}, 1, 2, 3, 6)
	one, zero := F32([]int{1, 2}, 1, 1), F32([]int{1, 2}, 0, 0)
	half := Of([]int{1, 2}, to16([]float32{1, 3})...)
	Run(t, []Case{
		{Op: "BatchNormalization", In: p, Want: infer, Tol: close5},
		{Op: "BatchNormalization", In: p, Attrs: onnx.NewAttrs("training_mode", 1), Want: train[:3], Tol: close5},
		{Op: "BatchNormalization", In: p, Want: train[:3], Err: "training_mode is 0"},
		{Op: "BatchNormalization", Opset: 9, In: p, Want: infer, Tol: close5},
		{Op: "BatchNormalization", Opset: 9, In: p, Want: train, Tol: close5},
		{Op: "BatchNormalization", Opset: 7, In: p, Attrs: onnx.NewAttrs("spatial", 1), Want: train, Tol: close5},
		{Op: "BatchNormalization", Opset: 6, In: p, Attrs: onnx.NewAttrs("is_test", 1), Want: infer, Tol: close5},
		{Op: "BatchNormalization", Opset: 1, In: p, Attrs: onnx.NewAttrs("consumed_inputs", []int{0, 0, 0, 1, 1}), Want: train, Tol: close5},
		{Op: "BatchNormalization", Opset: 7, In: Vals(fx, one, zero, one, one), Attrs: onnx.NewAttrs("spatial", 0), Want: Vals(F32([]int{2, 1, 2}, 0, 1, 2, 5)), Tol: close5},
		{Op: "BatchNormalization", Opset: 7, In: Vals(fx, one, zero, zero, one), Attrs: onnx.NewAttrs("spatial", 0, "momentum", 0.5),
			Want: Vals(F32([]int{2, 1, 2}, -1, -1, 1, 1), F32([]int{1, 2}, 1, 2), F32([]int{1, 2}, 1, 2.5)), Tol: close5},
		{Op: "BatchNormalization", In: Vals(F32([]int{3}, 1, 2, 3), F32([]int{1}, 2), F32([]int{1}, 1), F32([]int{1}, 1), F32([]int{1}, 1)), Want: Vals(F32([]int{3}, 1, 3, 5)), Tol: close5},
		{Op: "BatchNormalization", In: Vals(half, F32([]int{2}, 1, 1), F32([]int{2}, 0, 0), F64([]int{2}, 1, 1), F64([]int{2}, 1, 1)), Want: Vals(Of([]int{1, 2}, to16([]float32{0, 2})...)), Tol: tensor.Tolerance{Abs: 1e-2}},
		{Op: "BatchNormalization", In: Vals(p[0], p[1], p[2], p[3], F32([]int{3}, 1, 2, 3)), Want: infer, Err: "input_var has shape [3], want [2]"},
		{Op: "BatchNormalization", In: Vals(F32([]int{0, 2, 4}), p[1], p[2], p[3], p[4]), Want: Vals(F32([]int{0, 2, 4}))},
	})
}

func TestBatchNormalizationGradient(t *testing.T) {
	at := onnx.NewAttrs
	stats := func(x *tensor.Tensor) []tensor.Value {
		c := x.Dim(1)
		return Vals(x, Normal(2, c), Normal(3, c), Normal(4, c), Between(5, 0.5, 2, c))
	}
	big := Normal(9, 2, 2, 35, 31) // more than one block of elements
	Gradients(t, []GradCase{
		{Name: "inference", Op: "BatchNormalization", Attrs: at("epsilon", 0.01), In: stats(Normal(1, 2, 3, 2, 5))},
		{Name: "training", Op: "BatchNormalization", Attrs: at("training_mode", 1, "epsilon", 0.01), In: stats(Normal(1, 2, 3, 2, 5)), Flat: []int{3, 4}},
		{Name: "training, vectors", Op: "BatchNormalization", Attrs: at("training_mode", 1), In: stats(Normal(1, 7, 3)), Flat: []int{3, 4}},
		{Name: "training, blocks", Op: "BatchNormalization", Attrs: at("training_mode", 1), In: stats(big), Flat: []int{3, 4}},
		{Name: "running statistics", Op: "BatchNormalization", Attrs: at("training_mode", 1, "momentum", 0.3), In: stats(Normal(1, 3, 2, 4)), Outs: 3},
		{Name: "running statistics alone", Op: "BatchNormalization", Attrs: at("training_mode", 1, "momentum", 0.3), In: stats(Normal(1, 3, 2, 4)), Outs: 3, Silent: []int{0}},
	})
}
