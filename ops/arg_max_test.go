package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestArgMax(t *testing.T) {
	x := F32([]int{2, 3}, 1, 3, 3, 4, 0, 2)
	a := onnx.NewAttrs
	nan := float32(math.NaN())
	Run(t, []Case{
		{Op: "ArgMax", In: Vals(x), Want: Vals(I64([]int{1, 3}, 1, 0, 0))},
		{Op: "ArgMax", Opset: 1, Attrs: a("axis", 1), In: Vals(x), Want: Vals(I64([]int{2, 1}, 1, 0))},
		{Op: "ArgMax", Attrs: a("axis", -1, "keepdims", 0), In: Vals(x), Want: Vals(I64(nil, 1, 0))},
		{Op: "ArgMax", Attrs: a("axis", 1, "select_last_index", 1), In: Vals(x), Want: Vals(I64([]int{2, 1}, 2, 0))},
		{Op: "ArgMax", In: Vals(F32([]int{4}, 1, nan, 3, 2)), Want: Vals(I64(nil, 2))},
		{Op: "ArgMax", In: Vals(F32([]int{2}, nan, 3)), Want: Vals(I64(nil, 0))},
		{Op: "ArgMax", In: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(2))), Want: Vals(I64(nil, 1))},
		{Op: "ArgMax", Attrs: a("axis", 1), In: Vals(F32([]int{0, 2})), Want: Vals(I64([]int{0, 1}))},
		{Op: "ArgMax", In: Vals(F32([]int{0, 2})), Want: Vals(x), Err: "dimension 0 of data is 0"},
		{Op: "ArgMax", Attrs: a("axis", 2), In: Vals(x), Want: Vals(x), Err: "axis 2"},
	})
}

// TestArgMaxRows compares long rows with a plain loop.
func TestArgMaxRows(t *testing.T) {
	nan := float32(math.NaN())
	for _, n := range []int{15, 16, 17, 80} {
		for _, last := range []int{0, 1} {
			var x []float32
			for i := range 4 * n {
				x = append(x, float32(i*i*7%13))
			}
			x[0], x[n+3] = nan, nan
			for _, op := range []string{"ArgMax", "ArgMin"} {
				want := make([]int64, 4)
				for r := range want {
					row := x[r*n:][:n]
					best := row[0]
					for i, v := range row {
						if op == "ArgMax" && v > best || op == "ArgMin" && v < best || last == 1 && v == best {
							best, want[r] = v, int64(i)
						}
					}
				}
				Run(t, []Case{{Op: op, Attrs: onnx.NewAttrs("axis", 1, "keepdims", 0, "select_last_index", last), In: Vals(F32([]int{4, n}, x...)), Want: Vals(I64([]int{4}, want...))}})
			}
		}
	}
}

// Rows of few elements, few and many of them, and columns, with all that compares in an odd way.
func TestArgFew(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 9))
	odd := []float32{0, float32(math.Copysign(0, -1)), 1, -1, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e-42, -1e-42}
	for _, s := range [][3]int{{200, 1, 1}, {200, 2, 1}, {7, 5, 1}, {8, 5, 1}, {600, 15, 1}, {200, 32, 1}, {50, 33, 1}, {3, 1, 5}, {2, 9, 300}, {5, 40, 3}} {
		outer, n, inner := s[0], s[1], s[2]
		x := make([]float32, outer*n*inner)
		for i := range x {
			if x[i] = r.Float32() - 0.5; r.IntN(2) == 0 {
				x[i] = odd[r.IntN(len(odd))]
			}
		}
		var cases []Case
		for op, better := range map[string]func(a, b float32) bool{
			"ArgMax": func(a, b float32) bool { return a > b }, "ArgMin": func(a, b float32) bool { return a < b },
		} {
			for last := range 2 {
				want := make([]int64, outer*inner)
				for i := range want {
					at := func(j int) float32 { return x[i/inner*n*inner+j*inner+i%inner] }
					for j := range n {
						if b := at(int(want[i])); better(at(j), b) || last == 1 && at(j) == b {
							want[i] = int64(j)
						}
					}
				}
				cases = append(cases, Case{Name: fmt.Sprint(op, s, last), Op: op, Attrs: onnx.NewAttrs("axis", 1, "keepdims", 0, "select_last_index", last),
					In: Vals(F32(s[:], x...)), Want: Vals(I64([]int{outer, inner}, want...))})
			}
		}
		Run(t, cases)
	}
}
