package nhwc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
)

// pixelArgs makes up a convolution whose positions see one pixel each.
func pixelArgs[T Float](r *rand.Rand, tab *Table, dims, most int) *Args[T] {
	a := &Args[T]{N: 1 + r.IntN(3), Table: tab, Scratch: scratch[T]}
	for range dims {
		in := 1 + r.IntN(most)
		a.In, a.Out = append(a.In, in), append(a.Out, in)
	}
	ones := slices.Repeat([]int{1}, dims)
	a.Kernel, a.Strides, a.Dilations, a.Before = ones, ones, ones, make([]int, dims)
	return a
}

func testParts[T Float](t *testing.T, tab *Table, r *rand.Rand, eps float64) {
	for i := range 24 {
		a := pixelArgs[T](r, tab, 1+i%3, 9)
		unit, pixels, c := 1+r.IntN(40), a.N*product(a.In), 0
		if i == 0 {
			unit = 2 * kBlock
		}
		for range 1 + r.IntN(5) {
			n := unit * r.IntN(4)
			a.Parts = append(a.Parts, Part[T]{random[T](r, pixels*n), n})
			c += n
		}
		whole := *a
		whole.X = joined(a, pixels, c)
		m := 1 + r.IntN(70)
		w := random[T](r, m*c)
		a.W = Pack(tab, w, m, c, 1, a.Kernel)
		if !a.W.Takes(a.Parts) {
			t.Fatal("weights of single pixels are not for parts")
		}
		epilogue(r, a, m, m*pixels)
		whole.W = a.W
		check(t, fmt.Sprintf("parts of %T, %d channels in units of %d, round %d", unit, c, unit, i), a, naive(&whole, w), eps, Conv[T])
	}
}

// A factor for each channel.
func testScaledParts(t *testing.T, tab *Table, r *rand.Rand) {
	for i := range 24 {
		a := pixelArgs[float32](r, tab, 1+i%3, 19)
		pixels, c := a.N*product(a.In), 0
		for j := range 1 + r.IntN(5) {
			n := 16 * r.IntN(4)
			if j == 0 {
				n += 16
			}
			a.Parts = append(a.Parts, Part[float32]{random[float32](r, pixels*n), n})
			c += n
		}
		whole := *a
		whole.X = joined(a, pixels, c)
		w := random[float32](r, c)
		a.W = Pack(tab, w, c, c, c, a.Kernel)
		if !a.W.Takes(a.Parts) {
			t.Fatal("factors of channels are not for parts")
		}
		epilogue(r, a, c, c*pixels)
		whole.W = a.W
		check(t, fmt.Sprintf("scaled parts, %d channels, round %d", c, i), a, naive(&whole, w), 1e-5, Conv[float32])
	}
}

// joined returns the parts of a as one.
func joined[T Float](a *Args[T], pixels, c int) []T {
	x := make([]T, pixels*c)
	for q := range pixels {
		at := x[q*c:]
		for _, p := range a.Parts {
			at = at[copy(at, p.X[q*p.C:(q+1)*p.C]):]
		}
	}
	return x
}

// The input of a convolution of single pixels in parts.
func TestParts(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for _, tab := range Tables {
		testParts[float32](t, tab, r, 1e-4)
		testParts[float64](t, tab, r, 1e-12)
		testScaledParts(t, tab, r)
	}
	for _, wrong := range []func(a *Args[float32]){
		func(a *Args[float32]) { a.Parts[1].C++ },
		func(a *Args[float32]) { a.Parts = a.Parts[:1] },
		func(a *Args[float32]) { a.Strides, a.In = []int{2}, []int{3} },
		func(a *Args[float32]) { a.W = Pack(Best(), make([]float32, 2*5*2), 2, 5, 1, []int{2}) },
		func(a *Args[float32]) {
			a.W, a.Y = Pack(Best(), make([]float32, 32), 32, 32, 32, []int{1}), make([]float32, 64)
			a.Parts = []Part[float32]{{make([]float32, 2*4), 4}, {make([]float32, 2*28), 28}}
		},
	} {
		a := &Args[float32]{N: 1, W: Pack(Best(), make([]float32, 2*5), 2, 5, 1, []int{1}), Y: make([]float32, 4),
			Parts: []Part[float32]{{make([]float32, 4), 2}, {make([]float32, 6), 3}}}
		a.In, a.Out, a.Kernel, a.Strides, a.Dilations, a.Before = []int{2}, []int{2}, []int{1}, []int{1}, []int{1}, []int{0}
		wrong(a)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("parts that do not fit are taken")
				}
			}()
			Conv(par.P{}, a)
		}()
	}
}
