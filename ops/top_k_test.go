package ops_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestTopK(t *testing.T) {
	x := F32([]int{2, 4}, 1, 3, 3, 0, 5, 4, 7, 6)
	a := onnx.NewAttrs
	nan := float32(math.NaN())
	y := F32([]int{6}, 1, nan, 3, nan, 2, 0)
	f16 := func(v ...float32) *tensor.Tensor {
		s := make([]tensor.F16, len(v))
		for i := range v {
			s[i] = tensor.F16Of(v[i])
		}
		return tensor.Of(s)
	}
	Run(t, []Case{
		{Op: "TopK", In: Vals(x, I64(nil, 2)), Want: Vals(F32([]int{2, 2}, 3, 3, 7, 6), I64([]int{2, 2}, 1, 2, 2, 3))},
		{Op: "TopK", Attrs: a("largest", 0, "sorted", 0), In: Vals(x, I64(nil, 3)), Want: Vals(F32([]int{2, 3}, 0, 1, 3, 4, 5, 6), I64([]int{2, 3}, 3, 0, 1, 1, 0, 3))},
		{Op: "TopK", Opset: 10, Attrs: a("axis", 0), In: Vals(x, I64(nil, 1)), Want: Vals(F32([]int{1, 4}, 5, 4, 7, 6), I64([]int{1, 4}, 1, 1, 1, 1))},
		{Op: "TopK", Opset: 1, Attrs: a("k", 1), In: Vals(x), Want: Vals(F32([]int{2, 1}, 3, 7), I64([]int{2, 1}, 1, 2))},
		{Op: "TopK", In: Vals(y, I64(nil, 3)), Want: Vals(F32([]int{3}, nan, nan, 3), I64(nil, 1, 3, 2))},
		{Op: "TopK", Attrs: a("largest", 0), In: Vals(y, I64(nil, 6)), Want: Vals(F32([]int{6}, 0, 1, 2, 3, nan, nan), I64(nil, 5, 0, 4, 2, 1, 3))},
		{Op: "TopK", In: Vals(f16(1, 3, 2), I64(nil, 2)), Want: Vals(f16(3, 2), I64(nil, 1, 2))},
		{Op: "TopK", In: Vals(x, I64(nil, 0)), Want: Vals(F32([]int{2, 0}), I64([]int{2, 0}))},
		{Op: "TopK", In: Vals(I64(nil, 3, 1), I64(nil, 1)), Want: Vals(I64(nil, 3), I64(nil, 0))},
		{Op: "TopK", In: Vals(x, I64(nil, 5)), Want: Vals(x, x), Err: "K is 5, want between 0 and 4"},
	})
	r := rand.New(rand.NewPCG(1, 2))
	const n, k = 500, 37
	v := make([]int32, n)
	idx := make([]int, n)
	for i := range v {
		v[i], idx[i] = int32(r.IntN(100)), i
	}
	sort.SliceStable(idx, func(i, j int) bool { return v[idx[i]] > v[idx[j]] })
	vals, at := make([]int32, k), make([]int64, k)
	for i := range vals {
		vals[i], at[i] = v[idx[i]], int64(idx[i])
	}
	Run(t, []Case{{Op: "TopK", In: Vals(tensor.Of(v), I64(nil, k)), Want: Vals(tensor.Of(vals), tensor.Of(at))}})
}

// Long float32 lines, with ties, NaN and zeros of both signs, against a plain sort.
func TestTopKLong(t *testing.T) {
	for _, n := range []int{1, 15, 17, 1000} {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i*7919%(n/3+2)) - 40
		}
		x[n/2] = float32(math.NaN())
		x[n/3] = float32(math.Copysign(0, -1))
		x[n/4] = float32(math.Inf(-1))
		for _, k := range []int{1, 3, n / 2, n} {
			if k < 1 || k > n {
				continue
			}
			for _, largest := range []int{0, 1} {
				order := make([]int, n)
				for i := range order {
					order[i] = i
				}
				slices.SortStableFunc(order, func(a, b int) int {
					u, v := float64(x[a]), float64(x[b])
					if u != u {
						u = math.MaxFloat64
					}
					if v != v {
						v = math.MaxFloat64
					}
					if largest == 1 {
						u, v = v, u
					}
					return cmp.Compare(u+0, v+0)
				})
				vals, at := make([]float32, k), make([]int64, k)
				for i := range k {
					vals[i], at[i] = x[order[i]], int64(order[i])
				}
				Run(t, []Case{{Op: "TopK", Attrs: onnx.NewAttrs("largest", largest), In: Vals(F32([]int{n}, x...), I64([]int{1}, int64(k))),
					Want: Vals(F32([]int{k}, vals...), I64([]int{k}, at...))}})
			}
		}
	}
}

func TestTopKGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "TopK", Outs: 2, In: Vals(Distinct(1, -2, 0.3, 3, 4), I64([]int{1}, 2))},
		{Op: "TopK", Outs: 2, Attrs: onnx.NewAttrs("axis", 0, "largest", 0), In: Vals(Distinct(1, -2, 0.3, 3, 4), I64([]int{1}, 2))},
	})
}
