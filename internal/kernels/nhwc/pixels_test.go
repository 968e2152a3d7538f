package nhwc

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/par"
)

func rounded(s []float32) []float32 {
	h, out := make([]uint16, len(s)), make([]float32, len(s))
	half.Narrow(half.BFloat16, h, s)
	half.Widen(half.BFloat16, out, h)
	return out
}

// Convolutions of single pixels with factors rounded to bfloat16.
func TestPixels(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for _, tab := range Tables {
		for i := range 12 {
			a := pixelArgs[float32](r, tab, 1+i%3, 7)
			c, m := 1+r.IntN(70), 1+r.IntN(70)
			w := random[float32](r, m*c)
			a.W, a.X = PackPixels(w, m, c, len(a.In)), random[float32](r, a.N*c*product(a.In))
			epilogue(r, a, m, a.N*m*product(a.Out))
			exact := *a
			exact.X = rounded(a.X)
			check(t, fmt.Sprint("pixels, round ", i), a, naive(&exact, rounded(w)), 1e-4, Conv[float32])
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a window of two pixels is taken")
		}
	}()
	Conv(par.P{}, &Args[float32]{N: 1, W: PackPixels(make([]float32, 1), 1, 1, 1), X: make([]float32, 3), Y: make([]float32, 2),
		Window: conv.Window{In: []int{3}, Kernel: []int{1}, Out: []int{2}, Strides: []int{2}, Dilations: []int{1}, Before: []int{0}}})
}
