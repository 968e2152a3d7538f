package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXMatMul(t *testing.T) {
	a, b := ramp(3, 5, 40), ramp(3, 40, 6)
	bias, z := ramp(6), ramp(3, 5, 6)
	y := naiveMatMul(a, b)
	// with is f(alpha·A·B + bias + Z).
	with := func(alpha float32, useBias, useZ bool, f func(float64) float64) *tensor.Tensor {
		out := append([]float32(nil), tensor.Data[float32](y)...)
		for i := range out {
			x := float64(alpha) * float64(out[i])
			if useBias {
				x += float64(tensor.Data[float32](bias)[i%6])
			}
			if useZ {
				x += float64(tensor.Data[float32](z)[i])
			}
			out[i] = float32(f(x))
		}
		return tensor.Of(out, 3, 5, 6)
	}
	none := func(x float64) float64 { return x }
	relu := func(x float64) float64 { return math.Max(x, 0) }
	gelu := func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) }
	geluTanh := func(x float64) float64 {
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
	swish := func(alpha float64) func(float64) float64 {
		return func(x float64) float64 { return x / (1 + math.Exp(-alpha*x)) }
	}
	op := func(in []tensor.Value, want *tensor.Tensor, attrs ...any) Case {
		return Case{Domain: "x", Op: "MatMul", Attrs: onnx.NewAttrs(attrs...), In: in, Want: Vals(want), Tol: tensor.Tolerance{Rel: 1e-4, Abs: 1e-4}}
	}
	bad := func(err string, in []tensor.Value, attrs ...any) Case {
		c := op(in, y, attrs...)
		c.Err = err
		return c
	}
	half := func(x *tensor.Tensor) *tensor.Tensor {
		h := tensor.New(tensor.Float16, x.Shape()...)
		tensor.Narrow(h, x)
		return h
	}
	constB := func(c Case) Case { c.Const = []int{1}; return c } // of 16 bits, with A of float32
	few, tall := tensor.Of(tensor.Data[float32](a)[:80], 1, 2, 40), tensor.Of(tensor.Data[float32](a), 1, 15, 40)
	b2 := half(tensor.Of(tensor.Data[float32](b)[:240], 1, 40, 6))
	ints := F32([]int{2, 2}, 1, 2, 3, 4)
	Run(t, []Case{
		op(Vals(a, b), y),
		constB(op(Vals(few, b2), naiveMatMul(few, tensor.Widen(b2)))),
		constB(op(Vals(tall, b2), naiveMatMul(tall, tensor.Widen(b2)))),
		constB(op(Vals(tall, half(permute(tensor.Widen(b2), 0, 2, 1))), naiveMatMul(tall, tensor.Widen(b2)), "transB", 1)),
		constB(op(Vals(few, half(permute(tensor.Widen(b2), 0, 2, 1))), naiveMatMul(few, tensor.Widen(b2)), "transB", 1)),
		op(Vals(a, b, bias), with(1, true, false, none)),
		op(Vals(a, b, nil, z), with(1, false, true, none)),
		op(Vals(a, b, bias, z), with(0.5, true, true, relu), "alpha", 0.5, "activation", "Relu"),
		op(Vals(a, b, bias, z), with(0, true, true, none), "alpha", 0.0),
		op(Vals(permute(a, 0, 2, 1), permute(b, 1, 0, 2), bias, z), with(-2, true, true, relu),
			"alpha", -2.0, "transA", 1, "transBatchB", 1, "activation", "Relu"),
		op(Vals(permute(a, 1, 0, 2), permute(b, 2, 0, 1), bias), with(1, true, false, none), "permA", []int{1, 0, 2}, "permB", []int{1, 2, 0}),
		// Stacks with dimensions of 1 are one tall matrix.
		op(Vals(F32([]int{1, 3, 2}, 1, 2, 3, 4, 5, 6), F32([]int{2, 1}, 1, 10)), F32([]int{3, 1, 1}, 21, 43, 65), "permA", []int{1, 0, 2}),
		op(Vals(F32([]int{2, 1, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8), F32([]int{2, 1}, 1, 10)), F32([]int{1, 2, 2, 1}, 21, 43, 65, 87), "permA", []int{1, 0, 2, 3}),
		op(Vals(F32([]int{2, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8), F32([]int{2, 1}, 1, 10)), F32([]int{2, 2, 1}, 21, 65, 43, 87), "permA", []int{1, 0, 2}),
		op(Vals(a, b, bias), with(0.01, true, false, gelu), "alpha", 0.01, "activation", "Gelu"),
		op(Vals(a, b, bias), with(0.01, true, false, geluTanh), "alpha", 0.01, "activation", "Gelu", "activation_params", []float32{1}),
		op(Vals(a, b, nil, z), with(1, false, true, swish(0.25)), "activation", "Swish", "activation_params", []float32{0.25}),
		op(Vals(a, b), with(0.01, false, false, swish(1.702)), "alpha", 0.01, "activation", "QuickGelu"),
		op(Vals(a, b), with(0.01, false, false, func(x float64) float64 { return x * math.Max(0, math.Min(1, x/6+0.5)) }), "alpha", 0.01, "activation", "HardSwish"),
		op(Vals(a, b), with(0.01, false, false, func(x float64) float64 { return x * math.Tanh(math.Log1p(math.Exp(x))) }), "alpha", 0.01, "activation", "Mish"),
		op(Vals(a, b), with(1, false, false, func(x float64) float64 { return math.Max(x, 0.1*x) }), "activation", "LeakyRelu", "activation_params", []float32{0.1}),
		op(Vals(a, b), with(1, false, false, func(x float64) float64 { return math.Max(-1, math.Min(x, 2)) }), "activation", "Clip", "activation_params", []float32{-1, 2}),
		// Vectors, float64, halves, nothing to add up.
		op(Vals(F32([]int{2}, 1, 2), ints, F32([]int{2}, 10, 20), F32([]int{2}, 0.5, -100)), F32([]int{2}, 17.5, -70)),
		op(Vals(ints, F32([]int{2}, 1, -1), F32([]int{1}, 10), F32([]int{2}, 0.5, -100)), F32([]int{2}, 9.5, -91)),
		{Domain: "x", Op: "MatMul", Attrs: onnx.NewAttrs("alpha", 0.5, "activation", "Gelu"), In: Vals(F64([]int{1, 1}, 2), F64([]int{1, 1}, 3), F64([]int{1}, -1), F64([]int{1, 1}, -1)),
			Want: Vals(F64([]int{1, 1}, 0.5*(1+math.Erf(1/math.Sqrt2))))},
		{Domain: "x", Op: "MatMul", Attrs: onnx.NewAttrs("activation", "Relu"), In: Vals(half(F32([]int{1, 2}, 1, 2)), half(F32([]int{2, 2}, 1, 0, 0, 1)), half(F32([]int{2}, -4, 1)), half(F32([]int{1, 2}, 1, 1))),
			Want: Vals(half(F32([]int{1, 2}, 0, 4)))},
		op(Vals(F32([]int{1, 0}), F32([]int{0, 2}), F32([]int{2}, 1, -2), F32([]int{1, 2}, 1, 1)), F32([]int{1, 2}, 2, 0), "activation", "Relu", "alpha", 3.0),
		op(Vals(F32([]int{0, 2}), ints), F32([]int{0, 2})),
		bad("want float32[6]", Vals(a, b, ramp(5))),
		bad("want float32[3 5 6]", Vals(a, b, nil, ramp(5, 6))),
		bad("want float32[6]", Vals(a, b, F64([]int{6}, 1, 2, 3, 4, 5, 6))),
		bad("permA is [0 1]", Vals(a, b), "permA", []int{0, 1}),
		bad("permB is [0 2 2]", Vals(a, b), "permB", []int{0, 2, 2}),
		bad(`activation "Swirl"`, Vals(a, b), "activation", "Swirl"),
	})
}
