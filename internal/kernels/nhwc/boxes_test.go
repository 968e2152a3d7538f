package nhwc

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Convolutions of many small images and with taps far apart, whose positions are
// computed by what they see.
func TestBoxes(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	cut := 0
	for i := range 12 {
		for _, tab := range Tables {
			a := &Args[float32]{N: 1 + r.IntN(20), Table: tab, Scratch: scratch[float32]}
			for range 1 + i%3 {
				in, k, s, d := 1+r.IntN(5), 1+r.IntN(3), 1+r.IntN(2), 1+r.IntN(3)
				a.In, a.Kernel, a.Strides, a.Dilations = append(a.In, in), append(a.Kernel, k), append(a.Strides, s), append(a.Dilations, d)
				ext := (k - 1) * d
				a.Before = append(a.Before, (ext+1)/2)
				a.Out = append(a.Out, (in+2*((ext+1)/2)-ext-1)/s+1)
			}
			g := 1 + r.IntN(2)
			c, m := g*(8+r.IntN(12)), g*(1+r.IntN(70))
			w := random[float32](r, m*c/g*product(a.Kernel))
			a.W, a.X = Pack(tab, w, m, c, g, a.Kernel), random[float32](r, a.N*c*product(a.In))
			epilogue(r, a, m, a.N*m*product(a.Out))
			check(t, fmt.Sprint("boxes, round ", i), a, naive(a, w), 1e-3, Conv[float32])

			d := newDense(a)
			d.start(d.in, d.out)
			d.view()
			d.pixels, d.segs = a.N*product3(d.out), product3(d.kernel)
			if d.cut() {
				cut++
			}
			d.free()

			b := &Args[float32]{N: a.N, Window: a.Window, Table: tab, Scratch: scratch[float32]}
			w = random[float32](r, c*m/g*product(a.Kernel))
			b.W = PackTransposed(Best(), w, m, c, g, b.Kernel, b.Strides, b.Dilations)
			b.X = random[float32](r, b.N*c*product(b.Out))
			epilogue(r, b, m, b.N*m*product(b.In))
			check(t, fmt.Sprint("boxes, transposed, round ", i), b, naiveTransposed(b, w), 1e-3, Transposed[float32])
		}
	}
	if cut < 5 {
		t.Errorf("only %d convolutions were cut", cut)
	}
}

// Rows of a tile that fall into the same places of the cache are fewer.
func TestTileRows(t *testing.T) {
	for _, tab := range Tables {
		for _, c := range []int{1024, 1040} {
			in := []int{30}
			a := &Args[float32]{N: 1, Table: tab, W: Pack(tab, make([]float32, c*40), 40, c, 1, []int{1}), X: make([]float32, c*30), Y: make([]float32, 30*40),
				Window: conv.Window{In: in, Kernel: []int{1}, Out: in, Strides: []int{1}, Dilations: []int{1}, Before: []int{0}}}
			Conv(par.P{}, a)
			d := newDense(a)
			d.start(d.in, d.out)
			words := make([]uintptr, 30)
			for i := range words {
				words[i] = uintptr(d.x) + uintptr(i*c*4)
			}
			want := tab.MR32
			if want > 8 && c == 1024 {
				want = 6
			}
			if n := d.tileRows(words, 30, 1); n != want {
				t.Errorf("%s, %d channels: %d rows, want %d", tab.Name, c, n, want)
			}
			d.free()
		}
	}
}
