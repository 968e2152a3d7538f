package ops_test

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// naiveReduce applies f to the set of elements behind each output element.
func naiveReduce(x []float64, shape []int, mask []bool, f func([]float64) float64) []float64 {
	outs := 1
	for i, n := range shape {
		if !mask[i] {
			outs *= n
		}
	}
	sets := make([][]float64, outs)
	for i, v := range x {
		o, stride, rest := 0, 1, i
		for k := len(shape) - 1; k >= 0; k-- {
			j := rest % shape[k]
			rest /= shape[k]
			if !mask[k] {
				o += j * stride
				stride *= shape[k]
			}
		}
		sets[o] = append(sets[o], v)
	}
	y := make([]float64, outs)
	for i, s := range sets {
		y[i] = f(s)
	}
	return y
}

func fold(start float64, f func(a, v float64) float64) func([]float64) float64 {
	return func(s []float64) float64 {
		a := start
		for _, v := range s {
			a = f(a, v)
		}
		return a
	}
}

var reductions = map[string]func([]float64) float64{
	"ReduceSum":       fold(0, func(a, v float64) float64 { return a + v }),
	"ReduceProd":      fold(1, func(a, v float64) float64 { return a * v }),
	"ReduceMax":       fold(math.Inf(-1), math.Max),
	"ReduceMin":       fold(math.Inf(1), math.Min),
	"ReduceL1":        fold(0, func(a, v float64) float64 { return a + math.Abs(v) }),
	"ReduceSumSquare": fold(0, func(a, v float64) float64 { return a + v*v }),
	"ReduceL2": func(s []float64) float64 {
		return math.Sqrt(fold(0, func(a, v float64) float64 { return a + v*v })(s))
	},
	"ReduceLogSum": func(s []float64) float64 {
		return math.Log(fold(0, func(a, v float64) float64 { return a + v })(s))
	},
	"ReduceLogSumExp": func(s []float64) float64 {
		return math.Log(fold(0, func(a, v float64) float64 { return a + math.Exp(v) })(s))
	},
	"ReduceMean": func(s []float64) float64 {
		return fold(0, func(a, v float64) float64 { return a + v })(s) / float64(len(s))
	},
}

// testReduction checks op over all sets of axes of several shapes, by the
// attribute and by the input, for float32 and float64.
func testReduction(t *testing.T, op string, input int) {
	f := reductions[op]
	var cases []Case
	for _, shape := range [][]int{{}, {5}, {2, 3, 4}, {3, 1, 2, 5}, {2, 3, 2, 3, 2}, {0, 3}, {2, 0, 3}, {700, 3}, {3, 700}, {70000}} {
		n, _ := tensor.Count(shape)
		x := make([]float64, n)
		for i := range x {
			x[i] = 1 + float64(float32(math.Sin(float64(i*i+3)))*0.5)
		}
		x32 := make([]float32, n)
		for i, v := range x {
			x32[i] = float32(v)
		}
		for bits := 1; bits < 1<<len(shape) || bits == 1; bits++ {
			mask := make([]bool, len(shape))
			axes := []int{}
			var kept, dropped []int
			for i, d := range shape {
				mask[i] = bits>>i&1 == 1
				switch {
				case !mask[i]:
					kept, dropped = append(kept, d), append(dropped, d)
				case bits%3 == 0:
					axes, kept = append(axes, i-len(shape)), append(kept, 1)
				default:
					axes, kept = append(axes, i), append(kept, 1)
				}
			}
			y := naiveReduce(x, shape, mask, f)
			y32 := make([]float32, len(y))
			for i, v := range y {
				y32[i] = float32(v)
			}
			if kept == nil {
				kept = []int{}
			}
			if dropped == nil {
				dropped = []int{}
			}
			i64 := make([]int64, len(axes))
			for i, a := range axes {
				i64[i] = int64(a)
			}
			ax := I64([]int{len(i64)}, i64...)
			name := fmt.Sprintf("%s %v %v", op, shape, axes)
			tol := tensor.Tolerance{Rel: 1e-5, Abs: 1e-7}
			cases = append(cases,
				Case{Name: name, Op: op, In: Vals(F32(shape, x32...), ax), Want: Vals(F32(kept, y32...)), Tol: tol},
				Case{Name: name + " attribute", Op: op, Opset: input - 1, In: Vals(F32(shape, x32...)), Tol: tol,
					Attrs: onnx.NewAttrs("axes", axes, "keepdims", 0), Want: Vals(F32(dropped, y32...))})
		}
	}
	x := F32([]int{2, 2}, 1, 2, 3, 4)
	cases = append(cases,
		Case{Name: op + " axis", Op: op, In: Vals(x, I64([]int{1}, 2)), Want: Vals(x), Err: "axis 2 is not in [-2, 1]"},
		Case{Name: op + " all", Op: op, Opset: 1, In: Vals(F32([]int{1, 1}, 1)), Want: Vals(F32([]int{1, 1}, float32(f([]float64{1}))))},
		Case{Name: op + " no axes", Op: op, In: Vals(x, I64([]int{0})), Attrs: onnx.NewAttrs("keepdims", 0),
			Want: Vals(F32([]int{}, float32(f([]float64{1, 2, 3, 4}))))},
		Case{Name: op + " noop", Op: op, In: Vals(x, nil), Attrs: onnx.NewAttrs("noop_with_empty_axes", 1),
			Want: Vals(F32([]int{2, 2}, float32(f([]float64{1})), float32(f([]float64{2})), float32(f([]float64{3})), float32(f([]float64{4}))))},
		Case{Name: op + " float16", Op: op, In: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(2))),
			Want: Vals(Of([]int{1}, tensor.F16Of(float32(f([]float64{1, 2})))))},
		Case{Name: op + " bfloat16", Op: op, In: Vals(Of([]int{2}, tensor.BF16Of(1), tensor.BF16Of(2))),
			Want: Vals(Of([]int{1}, tensor.BF16Of(float32(f([]float64{1, 2})))))},
		Case{Name: op + " string", Op: op, In: Vals(Of([]int{1}, "a")), Want: Vals(x), Err: "not supported"},
	)
	Run(t, cases)
}

// Many rows of few columns, and few rows, against sums in float64.
func TestReduceColumnsFloats(t *testing.T) {
	for _, s := range [][]int{{1, 5000, 32}, {2, 300, 3}, {1, 9000, 17}, {3, 7, 600}, {1, 70000, 2}} {
		n, rows, cols := s[0]*s[1]*s[2], s[1], s[2]
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i*7919%1013) / 7
		}
		mean, most := make([]float32, s[0]*cols), make([]float32, s[0]*cols)
		for o := range mean {
			sum, m := 0.0, float32(0)
			for r := range rows {
				v := x[(o/cols*rows+r)*cols+o%cols]
				sum += float64(v)
				m = max(m, v)
			}
			mean[o], most[o] = float32(sum/float64(rows)), m
		}
		Run(t, []Case{
			{Op: "ReduceMean", Opset: 18, In: Vals(F32(s, x...), I64([]int{1}, 1)), Want: Vals(F32([]int{s[0], 1, cols}, mean...)), Tol: tensor.Tolerance{Rel: 1e-6}},
			{Op: "ReduceMax", Opset: 18, In: Vals(F32(s, x...), I64([]int{1}, 1)), Want: Vals(F32([]int{s[0], 1, cols}, most...))},
		})
	}
}

// Many short lines, with infinities and NaN in some, against the definition: as floats and as integers.
func TestReduceShortLines(t *testing.T) {
	for _, s := range [][]int{{7, 4}, {9, 2}, {520, 8}, {2, 3, 300, 9}, {515, 16}, {130, 17}, {140, 32}, {100, 33}} {
		n, rank := s[len(s)-1], len(s)
		size, _ := tensor.Count(s)
		x, ints := make([]float64, size), make([]float64, size)
		x32, i32 := make([]float32, size), make([]int32, size)
		for i := range x {
			x[i] = float64(float32(1 + math.Sin(float64(i*i+3))*0.5))
			switch i / n % 13 {
			case 3:
				x[i] = []float64{1, math.Inf(1)}[i%2]
			case 5:
				x[i] = []float64{1, math.NaN()}[i%2]
			}
			i32[i] = int32(i*7919%31 - 11)
			x32[i], ints[i] = float32(x[i]), float64(i32[i])
		}
		mask := make([]bool, rank)
		mask[rank-1] = true
		out := s[:rank-1]
		var cases []Case
		for op, f := range reductions {
			single := func(y []float64) []float32 {
				out := make([]float32, len(y))
				for i, v := range y {
					out[i] = float32(v)
				}
				return out
			}
			c := Case{Name: fmt.Sprint(op, s), Op: op, Opset: 11, Attrs: onnx.NewAttrs("axes", []int{-1}, "keepdims", 0), Tol: tensor.Tolerance{Rel: 1e-5, Abs: 1e-6}}
			c.In, c.Want = Vals(F32(s, x32...)), Vals(F32(out, single(naiveReduce(x, s, mask, f))...))
			if op != "ReduceLogSumExp" { // infinities are its result
				cases = append(cases, c)
			}
			switch op {
			case "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceMax", "ReduceMin":
				want := naiveReduce(ints, s, mask, f)
				to := make([]int32, len(want))
				for i, v := range want {
					to[i] = int32(v)
				}
				c.In, c.Want = Vals(Of(s, i32...)), Vals(Of(out, to...))
				cases = append(cases, c)
			}
		}
		Run(t, cases)
	}
}
