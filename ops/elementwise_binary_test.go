package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

// Broadcasts of every kind of walk against a naive one.
func TestBroadcastFloats(t *testing.T) {
	fill := func(shape []int, from float32) *tensor.Tensor {
		n, _ := tensor.Count(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = from + float32(i*7%23)
		}
		return F32(shape, v...)
	}
	ops := map[string]func(a, b float32) float32{
		"Add": func(a, b float32) float32 { return a + b },
		"Sub": func(a, b float32) float32 { return a - b },
		"Mul": func(a, b float32) float32 { return a * b },
		"Div": func(a, b float32) float32 { return a / b },
		"Max": func(a, b float32) float32 { return max(a, b) },
	}
	var cases []Case
	for _, s := range [][2][]int{
		{{5, 64}, {64}}, {{64, 5}, {64, 1}}, {{7, 9}, {9}}, {{3, 1}, {1, 70}}, {{2, 6, 5, 8}, {2, 1, 1, 8}},
		{{2, 6, 5, 8}, {1, 6, 1, 1}}, {{2, 6, 5, 8}, {6, 5, 1}}, {{4, 1, 3, 2}, {5, 1, 2}}, {{1, 40, 1}, {30, 1, 17}},
		{{3000, 9}, {3000, 1}}, {{2, 20000}, {2, 1}}, {{300, 2, 3}, {2, 1}}, {{40, 0}, {40, 1}}, {{2, 7, 31, 3}, {2, 1, 1, 3}}, {{3, 5000, 5}, {1, 1, 5}}, {{2, 128, 4}, {4}},
	} {
		for _, swap := range []bool{false, true} {
			as, bs := s[0], s[1]
			if swap {
				as, bs = bs, as
			}
			a, b := fill(as, -11), fill(bs, -3.5)
			shape, err := tensor.Broadcast(as, bs)
			if err != nil {
				t.Fatal(err)
			}
			n, _ := tensor.Count(shape)
			sa, sb := tensor.BroadcastStrides(as, shape), tensor.BroadcastStrides(bs, shape)
			for op, f := range ops {
				want := make([]float32, n)
				for i := range want {
					oa, ob, rest := 0, 0, i
					for d := len(shape) - 1; d >= 0; d-- {
						oa += rest % shape[d] * sa[d]
						ob += rest % shape[d] * sb[d]
						rest /= shape[d]
					}
					want[i] = f(tensor.Data[float32](a)[oa], tensor.Data[float32](b)[ob])
				}
				cases = append(cases, Case{Op: op, In: Vals(a, b), Want: Vals(F32(shape, want...))})
			}
		}
	}
	Run(t, cases)
}
