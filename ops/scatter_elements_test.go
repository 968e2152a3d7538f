package ops_test

import (
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestScatterElements(t *testing.T) {
	x := F32([]int{1, 5}, 1, 2, 3, 4, 5)
	idx, u := I64([]int{1, 2}, 1, 3), F32([]int{1, 2}, 10, 20)
	dup := I64([]int{1, 2}, 1, -4)
	a := onnx.NewAttrs
	h := func(v ...float32) *tensor.Tensor {
		f := make([]tensor.F16, len(v))
		for i, x := range v {
			f[i] = tensor.F16Of(x)
		}
		return Of([]int{len(v)}, f...)
	}
	Run(t, []Case{
		{Op: "ScatterElements", Attrs: a("axis", 1), In: Vals(x, idx, u), Want: Vals(F32([]int{1, 5}, 1, 10, 3, 20, 5))},
		{Op: "ScatterElements", Opset: 11, Attrs: a("axis", -1), In: Vals(x, dup, u), Want: Vals(F32([]int{1, 5}, 1, 20, 3, 4, 5))},
		{Op: "ScatterElements", Attrs: a("axis", 1, "reduction", "add"), In: Vals(x, dup, u), Want: Vals(F32([]int{1, 5}, 1, 32, 3, 4, 5))},
		{Op: "ScatterElements", Attrs: a("axis", 1, "reduction", "mul"), In: Vals(x, dup, u), Want: Vals(F32([]int{1, 5}, 1, 400, 3, 4, 5))},
		{Op: "ScatterElements", Attrs: a("axis", 1, "reduction", "max"), In: Vals(x, dup, u), Want: Vals(F32([]int{1, 5}, 1, 20, 3, 4, 5))},
		{Op: "ScatterElements", Attrs: a("axis", 1, "reduction", "min"), In: Vals(x, dup, u), Want: Vals(x)},
		{Op: "ScatterElements", In: Vals(I64([]int{3, 3}, 0, 0, 0, 0, 0, 0, 0, 0, 0), I64([]int{2, 3}, 1, 0, 2, 0, 2, 1), I64([]int{2, 3}, 1, 2, 3, 4, 5, 6)),
			Want: Vals(I64([]int{3, 3}, 4, 2, 0, 1, 0, 6, 0, 5, 3))},
		{Op: "ScatterElements", Attrs: a("reduction", "add"), In: Vals(h(1, 2), I64(nil, 1), h(0.5)), Want: Vals(h(1, 2.5))},
		{Op: "ScatterElements", Attrs: a("reduction", "add"), In: Vals(Of([]int{2}, false, true), I64(nil, 0), Of([]int{1}, true)), Want: Vals(Of([]int{2}, true, true))},
		{Op: "ScatterElements", In: Vals(Of([]int{2}, "a", "b"), I64(nil, 1), Of([]int{1}, "c")), Want: Vals(Of([]int{2}, "a", "c"))},
		{Op: "ScatterElements", In: Vals(x, I64([]int{0, 5}), F32([]int{0, 5})), Want: Vals(x)},
		{Op: "ScatterElements", Attrs: a("axis", 1), In: Vals(x, I64([]int{1, 1}, 5), F32([]int{1, 1}, 1)), Want: Vals(x), Err: "index 5 is not in [-5, 4]"},
		{Op: "ScatterElements", In: Vals(x, idx, F32([]int{2}, 1, 2)), Want: Vals(x), Err: "want the same"},
		{Op: "ScatterElements", Attrs: a("reduction", "sum"), In: Vals(x, idx, u), Want: Vals(x), Err: "sum"},
	})
}

// TestScatterElementsRows scatters whole rows, by indices that are the same along the last
// dimension but for one element.
func TestScatterElementsRows(t *testing.T) {
	const n, rows, wide = 9, 40, 131
	r := rand.New(rand.NewPCG(1, 2))
	x, u := Normal(1, 2, n, wide), Normal(2, 2, rows, wide-2)
	for _, reduction := range []string{"none", "add", "mul", "max", "min"} {
		for _, odd := range []bool{false, true} {
			idx := make([]int64, 2*rows*(wide-2))
			for i := range idx {
				if idx[i] = r.Int64N(2*n) - n; i%(wide-2) > 0 {
					idx[i] = idx[i-1]
				}
			}
			if odd {
				idx[len(idx)-1] = (idx[len(idx)-1] + n + 1) % n
			}
			for _, f32 := range []bool{false, true} {
				x, u := x, u
				if f32 {
					x, u = narrow(x), narrow(u)
				}
				want := x.Clone()
				for i, at := range idx {
					b, j := i/(rows*(wide-2)), i%(wide-2)
					k := (b*n+int(at+n)%n)*wide + j
					if f32 {
						tensor.Data[float32](want)[k] = reduced(reduction, tensor.Data[float32](want)[k], tensor.Data[float32](u)[i])
					} else {
						tensor.Data[float64](want)[k] = reduced(reduction, tensor.Data[float64](want)[k], tensor.Data[float64](u)[i])
					}
				}
				Run(t, []Case{{Op: "ScatterElements", Attrs: onnx.NewAttrs("axis", 1, "reduction", reduction),
					In: Vals(x, I64([]int{2, rows, wide - 2}, idx...), u), Want: Vals(want), Tol: tensor.Tolerance{}}})
			}
		}
	}
}

func reduced[T float32 | float64](reduction string, a, b T) T {
	switch reduction {
	case "add":
		return a + b
	case "mul":
		return a * b
	case "max":
		return max(a, b)
	case "min":
		return min(a, b)
	}
	return b
}

func narrow(x *tensor.Tensor) *tensor.Tensor {
	y := tensor.New(tensor.Float32, x.Shape()...)
	for i, v := range tensor.Data[float64](x) {
		tensor.Data[float32](y)[i] = float32(v)
	}
	return y
}

func TestScatterElementsGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "none", "axis", 1), In: Vals(Normal(1, 3, 4), I64([]int{2, 2}, 1, 0, 2, -1), Normal(2, 2, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "add", "axis", 1), In: Vals(Normal(1, 3, 4), I64([]int{2, 2}, 1, 1, 2, -1), Normal(2, 2, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "mul", "axis", 1), In: Vals(Normal(1, 3, 4), I64([]int{2, 2}, 1, 1, 2, -1), Normal(2, 2, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "mul", "axis", 1), In: Vals(F64([]int{3, 4}, 0, 2, 0, 4, 5, 0, 7, 8, 9, 1, 2, 3), I64([]int{2, 2}, 1, 1, 2, -1), F64([]int{2, 2}, 3, 0, 0, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "max", "axis", 1), In: Vals(Distinct(1, -2, 0.3, 3, 4), I64([]int{2, 2}, 1, 1, 2, -1), Distinct(2, -2.1, 0.9, 2, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "min", "axis", 1), In: Vals(Distinct(1, -2, 0.3, 3, 4), I64([]int{2, 2}, 1, 1, 2, -1), Distinct(2, -2.1, 0.9, 2, 2))},
	})
}
