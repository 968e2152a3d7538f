package nhwc

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
)

// TestScatterPieces: lines whose sums are made piece by piece, and images of several blocks.
func TestScatterPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, tab := range Tables {
		for i, s := range []struct {
			m, c                         int
			out, kernel, strides, before []int
		}{
			{1, 60, []int{1300}, []int{256}, []int{64}, []int{96}}, // frames of a spectrum to a signal
			{2, 40, []int{5, 900}, []int{7, 9}, []int{3, 2}, []int{2, 4}},
			{3, 64, []int{90, 40}, []int{4, 4}, []int{2, 2}, []int{1, 1}},
			{1, 30, []int{70, 3}, []int{2, 2}, []int{2, 2}, []int{0, -1}},
			{1, 64, []int{6, 5, 7}, []int{4, 4, 4}, []int{2, 2, 2}, []int{1, 1, 1}},
			{2, 40, []int{3, 60, 30}, []int{3, 2, 3}, []int{3, 1, 2}, []int{-1, 1, 2}},
		} {
			d := len(s.out)
			a := &Args[float32]{N: 1 + i%2, Table: tab, Scratch: scratch[float32]}
			a.Window = conv.Window{In: make([]int, d), Kernel: s.kernel, Out: s.out, Strides: s.strides, Dilations: []int{1, 1, 1}[:d], Before: s.before}
			for k := range d {
				a.In[k] = (s.out[k]-1)*s.strides[k] + s.kernel[k] - 2*s.before[k]
			}
			w := random[float32](r, s.c*s.m*product(s.kernel))
			a.W = PackTransposed(tab, w, s.m, s.c, 1, s.kernel, s.strides, a.Dilations)
			if a.W.taps == nil {
				if tab.products != nil {
					t.Errorf("%s: case %d goes by phases", tab.Name, i)
				}
				continue
			}
			a.X = random[float32](r, a.N*s.c*product(s.out))
			epilogue(r, a, s.m, a.N*s.m*product(a.In))
			check(t, fmt.Sprint("case ", i), a, naiveTransposed(a, w), 5e-4, Transposed[float32])
		}
	}
}

// TestSums: convolutions to few channels, with padding beyond the kernel and less than none.
func TestSums(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, tab := range Tables {
		done := 0
		for i := range 80 {
			d := 1 + i%3
			a := &Args[float32]{N: 1 + r.IntN(2), Table: tab, Scratch: scratch[float32]}
			a.Window = window(r, d, []int{300, 40, 9}[d-1])
			m, c := 1+r.IntN(5), 1+r.IntN(60)
			for k := range d {
				a.Strides[k] = 1
				a.Before[k] = r.IntN(8) - 1
				ext := (a.Kernel[k]-1)*a.Dilations[k] + 1
				a.In[k] = max(a.In[k], ext-a.Before[k])
				a.Out[k] = a.In[k] + a.Before[k] + r.IntN(3) - ext + 1
			}
			if !tab.Sums(m, c, 1, a.Kernel, a.Strides) {
				continue
			}
			done++
			w := random[float32](r, c*m*product(a.Kernel))
			a.W = PackSums(w, m, c, a.Kernel)
			a.X = random[float32](r, a.N*c*product(a.In))
			epilogue(r, a, m, a.N*m*product(a.Out))
			check(t, fmt.Sprint("round ", i), a, naive(a, w), 5e-4, Conv[float32])
		}
		if tab.products != nil && done < 10 {
			t.Errorf("%s: %d rounds", tab.Name, done)
		}
	}
}
