package ops_test

import (
	"math"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// softmaxCases checks op against f, which computes one line, along every axis
// of several shapes and by the matrix rule of the old versions.
func softmaxCases(op string, f func(x []float64) []float64) []Case {
	var cases []Case
	for _, shape := range [][]int{{5}, {2, 3, 4}, {3, 1, 40}, {2, 0, 3}, {2, 5, 37}, {300, 41}} {
		n, _ := tensor.Count(shape)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(math.Sin(float64(i*i))) * 10
		}
		for axis := range shape {
			outer, m, inner := 1, shape[axis], 1
			for i, d := range shape {
				if i < axis {
					outer *= d
				} else if i > axis {
					inner *= d
				}
			}
			line := func(m, inner int) *tensor.Tensor {
				y := make([]float32, n)
				for o := 0; o < outer*m*inner/max(m, 1); o++ {
					base := o/inner*m*inner + o%inner
					in := make([]float64, m)
					for k := range in {
						in[k] = float64(x[base+k*inner])
					}
					for k, v := range f(in) {
						y[base+k*inner] = float32(v)
					}
				}
				return F32(shape, y...)
			}
			tol := tensor.Tolerance{Rel: 1e-5, Abs: 1e-8}
			cases = append(cases, Case{Op: op, In: Vals(F32(shape, x...)), Attrs: onnx.NewAttrs("axis", axis-len(shape)), Want: Vals(line(m, inner)), Tol: tol})
			cases = append(cases, Case{Op: op, Opset: 11, In: Vals(F32(shape, x...)), Attrs: onnx.NewAttrs("axis", axis), Want: Vals(line(m*inner, 1)), Tol: tol})
		}
	}
	x := F64([]int{2, 2}, 1, 1, 1, 1)
	half := f([]float64{1, 1})
	return append(cases,
		Case{Op: op, In: Vals(x), Want: Vals(F64([]int{2, 2}, half[0], half[1], half[0], half[1]))},
		Case{Op: op, In: Vals(x), Attrs: onnx.NewAttrs("axis", 2), Want: Vals(x), Err: "axis 2 is not in [-2, 1]"},
		Case{Op: op, In: Vals(I64([]int{1}, 1)), Want: Vals(x), Err: "not supported"},
		Case{Op: op, In: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(1))),
			Want: Vals(Of([]int{2}, tensor.F16Of(float32(half[0])), tensor.F16Of(float32(half[1]))))},
	)
}

func naiveSoftmax(x []float64) []float64 {
	sum := 0.0
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = math.Exp(v)
		sum += y[i]
	}
	for i := range y {
		y[i] /= sum
	}
	return y
}
