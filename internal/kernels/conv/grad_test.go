package conv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
)

func TestWeightGrad(t *testing.T) {
	one := []int{1, 1}
	for i, c := range []struct {
		n, c, m, group int
		w              Window
	}{
		{2, 3, 5, 1, Window{In: []int{7}, Kernel: []int{3}, Out: []int{5}, Strides: []int{1}, Dilations: []int{1}, Before: []int{0}}},
		{3, 4, 40, 1, Window{In: []int{6, 9}, Kernel: []int{3, 3}, Out: []int{6, 9}, Strides: one, Dilations: one, Before: one}},
		{3, 4, 8, 2, Window{In: []int{6, 9}, Kernel: []int{3, 2}, Out: []int{3, 4}, Strides: []int{2, 2}, Dilations: []int{1, 2}, Before: []int{1, 0}}},
		{2, 6, 6, 6, Window{In: []int{5, 5}, Kernel: []int{3, 3}, Out: []int{5, 5}, Strides: one, Dilations: one, Before: one}},
		{2, 6, 12, 6, Window{In: []int{5, 5}, Kernel: []int{3, 3}, Out: []int{3, 3}, Strides: []int{2, 2}, Dilations: one, Before: one}},
		{5, 2, 4, 1, Window{In: []int{40, 37}, Kernel: []int{1, 1}, Out: []int{40, 37}, Strides: one, Dilations: one, Before: []int{0, 0}}},
		{2, 2, 4, 1, Window{In: []int{4, 5, 3}, Kernel: []int{2, 3, 3}, Out: []int{5, 5, 3}, Strides: []int{1, 1, 1}, Dilations: []int{1, 1, 1}, Before: []int{1, 1, 1}}},
		{1, 2, 4, 1, Window{In: []int{5, 5}, Kernel: one, Out: []int{3, 4}, Strides: one, Dilations: one, Before: []int{-1, -1}}},
		{1, 2, 4, 1, Window{In: []int{2, 2}, Kernel: []int{5, 5}, Out: []int{2, 2}, Strides: one, Dilations: []int{2, 3}, Before: []int{4, 6}}},
		// Channels enough to be the rows of products.
		{9, 18, 40, 1, Window{In: []int{16, 16}, Kernel: []int{3, 3}, Out: []int{16, 16}, Strides: one, Dilations: one, Before: one}},
		{33, 34, 5, 1, Window{In: []int{2, 2}, Kernel: []int{3, 3}, Out: []int{2, 2}, Strides: one, Dilations: one, Before: one}},
		{20, 32, 66, 2, Window{In: []int{9, 7}, Kernel: []int{3, 3}, Out: []int{5, 4}, Strides: []int{2, 2}, Dilations: one, Before: one}},
		{20, 16, 4, 1, Window{In: []int{9, 11}, Kernel: []int{3, 4}, Out: []int{3, 4}, Strides: []int{1, 3}, Dilations: []int{4, 2}, Before: []int{1, 2}}},
		{3, 17, 33, 1, Window{In: []int{300}, Kernel: []int{5}, Out: []int{300}, Strides: []int{1}, Dilations: []int{2}, Before: []int{4}}},
		{17, 16, 8, 1, Window{In: []int{4, 5, 4}, Kernel: []int{2, 3, 3}, Out: []int{5, 5, 4}, Strides: []int{1, 1, 1}, Dilations: []int{1, 1, 1}, Before: []int{1, 1, 1}}},
		{64, 16, 4, 1, Window{In: []int{2, 2}, Kernel: []int{5, 5}, Out: []int{2, 2}, Strides: one, Dilations: []int{2, 3}, Before: []int{4, 6}}},
		{64, 16, 8, 1, Window{In: []int{0}, Kernel: []int{3}, Out: []int{2}, Strides: []int{1}, Dilations: []int{1}, Before: []int{2}}},
		{64, 16, 8, 1, Window{In: []int{3, 0}, Kernel: []int{2, 3}, Out: []int{2, 2}, Strides: []int{1, 2}, Dilations: one, Before: []int{0, 3}}},
		{0, 2, 4, 1, Window{In: []int{2, 2}, Kernel: one, Out: []int{2, 2}, Strides: one, Dilations: one, Before: []int{0, 0}}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			testWeightGrad[float32](t, c.n, c.c, c.m, c.group, c.w, 1e-4)
			testWeightGrad[float64](t, c.n, c.c, c.m, c.group, c.w, 1e-11)
		})
	}
}

func testWeightGrad[T Float](t *testing.T, n, c, m, group int, w Window, tol float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	in, out, taps := product(w.In), product(w.Out), product(w.Kernel)
	cg, mg := c/group, m/group
	a := Args[T]{N: n, C: c, M: m, Group: group, Window: w, X: random[T](r, n*c*in), Y: random[T](r, n*m*out), W: random[T](r, m*cg*taps)}
	want := make([]float64, len(a.W))
	w.visit(func(o, tap, at int) {
		for b := range n {
			for i := range m {
				for k := range cg {
					want[(i*cg+k)*taps+tap] += float64(a.Y[(b*m+i)*out+o]) * float64(a.X[(b*c+i/mg*cg+k)*in+at])
				}
			}
		}
	})
	if g := newWeightGrad(&a); g.placed() != (cg >= 16) {
		t.Errorf("%d channels of a group: by places %v", cg, g.placed())
	}
	WeightGrad(par.P{Threads: 1}, &a)
	first := slices.Clone(a.W)
	for i, v := range want {
		if !(math.Abs(v-float64(first[i])) <= tol*max(1, math.Abs(v))) {
			t.Fatalf("%T: element %d is %v, want %v", first, i, first[i], v)
		}
	}
	WeightGrad(par.P{Threads: 3}, &a)
	if !slices.Equal(first, a.W) {
		t.Errorf("%T: the result depends on the number of threads", first)
	}
}
