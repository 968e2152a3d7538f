package nhwc

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
)

// raceEnabled is set by a file that is built with the race detector, with which
// pools forget at random.
var raceEnabled bool

// A convolution that is done again allocates nothing, but for what the pools
// lose to the garbage collector now and then.
func TestAllocations(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, s := range []struct {
		name             string
		in, c, m, group  int
		kernel, stride   int
		winograd, transp bool
	}{
		{"1x1", 14, 64, 80, 1, 1, 1, false, false},
		{"3x3", 14, 20, 40, 1, 3, 2, false, false},
		{"few channels", 30, 3, 40, 1, 3, 2, false, false},
		{"depthwise", 14, 64, 64, 64, 3, 1, false, false},
		{"depthwise by taps", 14, 64, 64, 64, 4, 1, false, false},
		{"Winograd, few tiles", 14, 64, 64, 1, 3, 1, true, false},
		{"Winograd", 60, 64, 64, 1, 3, 1, true, false},
		{"transposed", 14, 20, 40, 1, 4, 2, false, true},
	} {
		two := func(n int) []int { return []int{n, n} }
		out := (s.in+2-s.kernel)/s.stride + 1
		a := &Args[float32]{N: 1, Window: conv.Window{In: two(s.in), Kernel: two(s.kernel), Out: two(out), Strides: two(s.stride), Dilations: two(1), Before: two(1)}}
		a.B, a.Clamp, a.Hi = random[float32](r, s.m), true, 1
		w := random[float32](r, s.m*s.c/s.group*s.kernel*s.kernel)
		run, x, y := Conv[float32], s.in, out
		switch {
		case s.transp:
			a.W = PackTransposed(Best(), w, s.m, s.c, s.group, a.Kernel, a.Strides, a.Dilations)
			run, x, y = Transposed[float32], out, s.in
		case s.winograd:
			a.W = PackWinograd(Best(), w, s.m, s.c)
		default:
			a.W = Pack(Best(), w, s.m, s.c, s.group, a.Kernel)
		}
		a.X, a.Y = random[float32](r, x*x*s.c), make([]float32, y*y*s.m)
		buf := make([]float32, 1<<20)
		a.Scratch = func(n int) []float32 { return buf[:n] }
		p := par.P{Threads: 1}
		if n := testing.AllocsPerRun(20, func() { run(p, a) }); n >= 1 && !raceEnabled {
			t.Errorf("%s: %v allocations per run", s.name, n)
		}
	}
}
