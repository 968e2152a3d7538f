package ops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXDistances(t *testing.T) {
	a, b := F32([]int{2, 3}, 0, 0, 0, 1, -2, 3), F32([]int{3, 3}, 1, -2, 3, 0, 2, 0, 1, 1, 1)
	power := func(p float32) onnx.Attrs { return onnx.NewAttrs("power", p) }
	Run(t, []Case{
		{Domain: "x", Op: "Distances", Opset: 1, In: Vals(a, b), Want: Vals(F32([]int{2, 3}, 14, 4, 3, 0, 26, 13))},
		{Domain: "x", Op: "Distances", Opset: 1, Attrs: power(1), In: Vals(a, b), Want: Vals(F32([]int{2, 3}, 6, 2, 3, 0, 8, 5))},
		{Domain: "x", Op: "Distances", Opset: 1, Attrs: power(3), In: Vals(a, b), Want: Vals(F32([]int{2, 3}, 36, 8, 3, 0, 92, 35))},
		{Domain: "x", Op: "Distances", Opset: 1, Attrs: power(3), In: Vals(F64([]int{1, 2}, 0, 0), F64([]int{2, 2}, 3, -4, 0, 2)), Want: Vals(F64([]int{1, 2}, 91, 8))},
		{Domain: "x", Op: "Distances", Opset: 1, Attrs: power(1), In: Vals(F64([]int{1, 2}, 0, 0), F64([]int{2, 2}, 3, -4, 0, 2)), Want: Vals(F64([]int{1, 2}, 7, 2))},
		{Domain: "x", Op: "Distances", Opset: 1, In: Vals(F32([]int{0, 3}), b), Want: Vals(F32([]int{0, 3}))},
		{Domain: "x", Op: "Distances", Opset: 1, In: Vals(a, F32([]int{0, 3})), Want: Vals(F32([]int{2, 0}))},
		{Domain: "x", Op: "Distances", Opset: 1, In: Vals(a, F32([]int{1, 2}, 1, 2)), Want: Vals(a), Err: "rows"},
	})
}

// TestXDistancesLarge goes over several blocks of vectors and of their elements. Rows that
// are equal have distance 0, and those that hardly differ keep their digits: far from the
// origin the squares of lengths would cancel.
func TestXDistancesLarge(t *testing.T) {
	const m, n, k = 3, 601, 37
	r := rand.New(rand.NewPCG(1, 2))
	a, b, want := make([]float32, m*k), make([]float32, n*k), make([]float32, m*n)
	for i := range a {
		a[i] = 1000 + r.Float32()
	}
	for i := range b {
		b[i] = a[i%k] + float32(i/k)*0x1p-10
	}
	for i := range m {
		for j := range n {
			s := 0.0
			for e := range k {
				d := float64(a[i*k+e]) - float64(b[j*k+e])
				s += d * d
			}
			want[i*n+j] = float32(s)
		}
	}
	if want[0] != 0 || math.IsNaN(float64(want[1])) {
		t.Fatalf("want %v", want[:2])
	}
	Run(t, []Case{{Domain: "x", Op: "Distances", Opset: 1, In: Vals(F32([]int{m, k}, a...), F32([]int{n, k}, b...)), Want: Vals(F32([]int{m, n}, want...)),
		Tol: tensor.Tolerance{Rel: 1e-5}}})
}
