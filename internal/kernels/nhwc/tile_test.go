package nhwc

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Equal columns have equal sums, whichever columns a tile computes with them.
func TestTileColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const segs, kc = 2, 27
	for _, tab := range Tables {
		x := random[float32](r, tab.MR32*segs*kc)
		b := make([]float32, segs*kc*Panel)
		for k := range segs * kc {
			v := r.Float32() - 0.5
			for j := range Panel {
				b[k*Panel+j] = v
			}
		}
		bias := make([]float32, Panel)
		for rows := 1; rows <= tab.MR32; rows++ {
			var want []uint32
			for w := Panel; w > 0; w-- {
				y := make([]float32, rows*Panel+1)
				list := make([]unsafe.Pointer, (segs+1)*rows)
				for i := range rows {
					for s := range segs {
						list[s*rows+i] = unsafe.Pointer(&x[(i*segs+s)*kc])
					}
					list[segs*rows+i] = unsafe.Pointer(&y[i*w])
				}
				y[rows*w] = 77
				tab.Tile32(rows, w, segs, kc, unsafe.Pointer(&list[0]), rows*ptrSize, 0, unsafe.Pointer(&b[0]), unsafe.Pointer(&list[segs*rows]), nil, 0, unsafe.Pointer(&bias[0]), 0, nil, 0)
				for i := range rows {
					if w == Panel {
						want = append(want, math.Float32bits(y[i*w]))
					}
					for j := range w {
						if got := math.Float32bits(y[i*w+j]); got != want[i] {
							t.Fatalf("%s, %d rows: row %d, column %d of %d is %v, column 0 of %d is %v",
								tab.Name, rows, i, j, w, y[i*w+j], Panel, math.Float32frombits(want[i]))
						}
					}
				}
				if y[rows*w] != 77 {
					t.Fatalf("%s, %d rows, %d columns: wrote behind the end", tab.Name, rows, w)
				}
			}
		}
	}
}

// What is written past the caches is what is written otherwise.
func TestStream(t *testing.T) {
	defer func(f func() int) { streamed = f }(streamed)
	r := rand.New(rand.NewPCG(9, 10))
	for _, tab := range Tables {
		for _, s := range []struct{ n, in, c, m, k, pad int }{{1, 9, 5, 32, 1, 0}, {2, 7, 3, 64, 3, 1}, {1, 5, 600, 96, 1, 0}, {3, 6, 8, 128, 2, 0}, {1, 8, 4, 40, 3, 1}} {
			out := s.in + 2*s.pad - s.k + 1
			two := func(n int) []int { return []int{n, n} }
			w, x, bias := random[float32](r, s.m*s.c*s.k*s.k), random[float32](r, s.n*s.in*s.in*s.c), random[float32](r, s.m)
			var y [2][]float32
			for i := range y {
				streamed = func() int { return (1 - i) * math.MaxInt } // not, then always
				y[i] = random[float32](r, s.n*out*out*s.m)
				a := &Args[float32]{N: s.n, Table: tab, W: Pack(tab, w, s.m, s.c, 1, two(s.k)), X: x, B: bias, Y: y[i],
					Window:  conv.Window{In: two(s.in), Kernel: two(s.k), Out: two(out), Strides: two(1), Dilations: two(1), Before: two(s.pad)},
					Scratch: func(n int) []float32 { return make([]float32, n) }}
				a.Clamp, a.Lo, a.Hi = true, -1, 1
				Conv(par.P{Threads: 2}, a)
			}
			if !slices.Equal(y[0], y[1]) {
				t.Errorf("%s, %+v: results differ", tab.Name, s)
			}
		}
	}
}
