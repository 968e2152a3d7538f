package qconv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
)

// sizes of a test: output sizes follow.
type sizes struct {
	n, cg, mg, group                     int
	in, kernel, strides, dilations, pads []int // pads: before, then after
}

func (s sizes) args() *Args {
	a := &Args{N: s.n, C: s.cg * s.group, Window: Window{In: s.in, Kernel: s.kernel, Strides: s.strides, Dilations: s.dilations, Before: s.pads[:len(s.in)]}}
	for i, x := range s.in {
		a.Out = append(a.Out, (x+s.pads[i]+s.pads[i+len(s.in)]-(s.kernel[i]-1)*s.dilations[i]-1)/s.strides[i]+1)
	}
	return a
}

// naive computes what Run should.
func naive(a *Args, s sizes, w []byte, signed bool, zw, bias []int32, scale []float32, zero, lo, hi int32) []byte {
	y := make([]byte, s.n*product(a.Out)*s.mg*s.group)
	for i, sum := range naiveSums(a, s, w, signed, zw, bias) {
		q := math.RoundToEven(float64(float32(sum)*scale[min(i%(s.mg*s.group), len(scale)-1)])) + float64(zero)
		y[i] = byte(int32(min(max(q, float64(lo)), float64(hi))))
	}
	return y
}

func naiveSums(a *Args, s sizes, w []byte, signed bool, zw, bias []int32) []int32 {
	m, d := s.mg*s.group, len(s.in)
	out, taps := product(a.Out), product(s.kernel)
	y := make([]int32, s.n*out*m)
	pos, tap := make([]int, d), make([]int, d)
	for n := range s.n {
		for o := range out {
			seek(pos, a.Out, o)
			for ch := range m {
				sum := bias[ch]
				for t := range taps {
					seek(tap, s.kernel, t)
					at, inside := 0, true
					for i := range d {
						x := pos[i]*s.strides[i] - s.pads[i] + tap[i]*s.dilations[i]
						inside = inside && x >= 0 && x < s.in[i]
						at = at*s.in[i] + x
					}
					if !inside {
						continue
					}
					for c := range s.cg {
						v := int32(w[(ch*s.cg+c)*taps+t])
						if signed {
							v = int32(int8(v))
						}
						if len(zw) > 0 {
							v -= zw[min(ch, len(zw)-1)]
						}
						sum += v * (int32(a.X[(n*product(s.in)+at)*a.C+ch/s.mg*s.cg+c]) - int32(a.Zero))
					}
				}
				y[(n*out+o)*m+ch] = sum
			}
		}
	}
	return y
}

func eachTable(t *testing.T, f func(t *testing.T)) {
	for _, level := range cpu.Levels() {
		t.Run(level, func(t *testing.T) {
			restore, err := cpu.Force(level)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t)
		})
	}
}

func TestRun(t *testing.T) {
	cases := []sizes{
		{1, 3, 8, 1, []int{9, 11}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{1, 1, 1, 1}},
		{2, 16, 40, 1, []int{5, 7}, []int{1, 1}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 5, 33, 1, []int{6, 6}, []int{1, 1}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 8, 20, 1, []int{8, 8}, []int{1, 1}, []int{2, 2}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 64, 64, 1, []int{7, 7}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 4, 6, 3, []int{8, 9}, []int{3, 2}, []int{1, 2}, []int{2, 3}, []int{2, 1, 0, 3}},
		{2, 6, 5, 1, []int{17}, []int{5}, []int{2}, []int{1}, []int{4, 2}},
		{1, 2, 3, 2, []int{4, 5, 6}, []int{2, 3, 2}, []int{1, 1, 2}, []int{1, 1, 1}, []int{0, 1, 1, 1, 1, 0}},
		{1, 1, 1, 32, []int{9, 9}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{2, 1, 1, 100, []int{6, 7}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{1, 0, 1, 1}},
		{1, 1, 1, 17, []int{12, 12}, []int{5, 5}, []int{1, 1}, []int{2, 2}, []int{4, 4, 4, 4}},
		{1, 1, 1, 70, []int{20}, []int{7}, []int{3}, []int{1}, []int{3, 3}},
		{1, 1, 1, 65, []int{3, 4, 5}, []int{2, 2, 2}, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 0, 1, 0, 1, 0}},
		{1, 1, 1, 16, []int{2, 2}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{2, 2, 2, 2}},
		{2, 1, 1, 8, []int{11, 12}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 1, 1, 12, []int{9, 7}, []int{4, 3}, []int{3, 2}, []int{1, 1}, []int{2, 1, 1, 0}},
		{1, 1, 1, 7, []int{2, 9000}, []int{5, 3}, []int{1, 2}, []int{1, 1}, []int{2, 1, 2, 2}},       // lines in pieces
		{1, 1, 1, 15, []int{2, 20001}, []int{2, 2}, []int{1, 3}, []int{1, 20000}, []int{0, 9, 0, 9}}, // tap by tap
		{1, 1, 1, 1, []int{9, 30}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
		{3, 1, 1, 40, []int{7, 9}, []int{5, 5}, []int{1, 1}, []int{1, 1}, []int{2, 2, 2, 2}},
		{1, 1, 1, 40, []int{9, 9}, []int{3, 3}, []int{4, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 1, 2, 8, []int{5, 5}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 4, 70, 1, []int{14, 31}, []int{5, 3}, []int{1, 1}, []int{2, 1}, []int{1, 1, 1, 1}},
		{2, 6, 40, 1, []int{12, 20}, []int{1, 1}, []int{3, 2}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 8, 20, 1, []int{3, 40}, []int{1, 1}, []int{1, 2}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 5, 70, 1, []int{4, 120}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 300, 70, 1, []int{4, 5}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{2, 8, 40, 3, []int{9, 13}, []int{3, 3}, []int{2, 1}, []int{1, 2}, []int{1, 1, 1, 1}},
		// Lines gathered, with and without what lies outside, kernels along time or space alone.
		{2, 3, 8, 1, []int{5, 9, 21}, []int{3, 3, 3}, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 1, 1, 1, 1, 1}},
		{1, 3, 20, 1, []int{6, 9, 25}, []int{5, 4, 7}, []int{1, 2, 2}, []int{1, 1, 1}, []int{2, 0, 3, 2, 2, 3}},
		{2, 8, 9, 1, []int{5, 6, 12}, []int{2, 3, 1}, []int{2, 1, 1}, []int{2, 1, 3}, []int{0, 1, 2, 1, 1, 0}},
		{1, 5, 6, 1, []int{3, 4, 5, 10}, []int{2, 1, 3, 2}, []int{1, 1, 1, 1}, []int{1, 1, 1, 1}, []int{1, 0, 1, 1, 0, 0, 1, 0}},
		{2, 8, 9, 1, []int{5, 6, 12}, []int{1, 3, 3}, []int{1, 1, 1}, []int{1, 1, 1}, []int{0, 1, 1, 0, 1, 1}},
		{2, 8, 9, 1, []int{5, 6, 12}, []int{3, 1, 1}, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 0, 0, 1, 0, 0}},
		{2, 3, 9, 1, []int{2, 5, 3, 4}, []int{1, 3, 1, 1}, []int{1, 2, 1, 1}, []int{1, 1, 1, 1}, []int{0, 1, 0, 0, 0, 1, 0, 0}},
		{2, 3, 5, 1, []int{2, 3, 4}, []int{1, 1, 1}, []int{1, 1, 1}, []int{1, 1, 1}, []int{0, 0, 0, 0, 0, 0}},
		{1, 8, 6, 2, []int{5, 6, 7}, []int{1, 3, 3}, []int{1, 1, 1}, []int{1, 1, 1}, []int{0, 1, 1, 0, 1, 1}},
		{1, 4, 1, 32, []int{950}, []int{31}, []int{1}, []int{1}, []int{15, 15}}, // rows of all groups, many tasks
	}
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		for _, s := range cases {
			for kind := range 12 {
				few := kind >= 6
				kind := kind % 6
				a := s.args()
				m, taps := s.mg*s.group, product(s.kernel)
				a.Zero = byte(rng.IntN(256))
				a.X = make([]byte, s.n*product(s.in)*a.C)
				w, bias, scale := make([]byte, m*s.cg*taps), make([]int32, m), make([]float32, m)
				for i := range a.X {
					a.X[i] = byte(rng.IntN(256))
				}
				for i := range w {
					if w[i] = byte(rng.IntN(256)); few {
						w[i] = byte(int8(w[i]) >> 1) // as reduce_range makes them
					}
				}
				for i := range bias {
					bias[i], scale[i] = int32(rng.IntN(3000)), rng.Float32()/100/float32(s.cg*taps)
				}
				signed := kind%2 == 0
				var zw []int32
				lo, hi, zero := int32(0), int32(255), int32(rng.IntN(256))
				switch kind {
				case 1:
					zw = []int32{128}
				case 2:
					lo, hi, zero = -128, 127, -5
					scale = scale[:1]
				case 3, 4:
					zw = make([]int32, m)
					for i := range zw {
						zw[i] = int32(rng.IntN(100))
					}
					if !few { // the most that a weight can be
						w[0], zw[0] = 255, 0
					}
				case 5:
					scale[0] = 3
				}
				if kind == 4 { // the same numbers as signed bytes
					a.Signed = true
					for i := range a.X {
						a.X[i] ^= 0x80
					}
				}
				p := par.P{Threads: 1 + kind%2}
				wt := NewWeights(p, w, m, s.cg, s.group, taps, s.kernel[len(s.kernel)-1], signed, zw).Narrow()
				a.W, a.R = wt, NewRound(wt, int32(a.Zero), zw, bias, scale, 1, zero, lo, hi)
				size := s.n * product(a.Out) * m
				whole := make([]byte, size+64)
				for i := range whole {
					whole[i] = 0xa5
				}
				a.Y = whole[:size:size]
				Run(p, a, func(n int) []byte { return make([]byte, n) })
				if a.Signed {
					for i := range a.X {
						a.X[i] ^= 0x80
					}
				}
				want := naive(a, s, w, signed, zw, bias, scale, zero, lo, hi)
				for i, v := range want {
					if a.Y[i] != v {
						t.Fatalf("%+v kind %d: element %d is %d, want %d", s, kind, i, a.Y[i], v)
					}
				}
				for _, v := range whole[size:] {
					if v != 0xa5 {
						t.Fatalf("%+v: wrote beyond the end", s)
					}
				}
			}
		}
	})
}

// The weights of depthwise convolutions that are furthest from their zero points are no
// two signed bytes.
func TestWidestWeights(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		for _, s := range []sizes{
			{1, 1, 1, 70, []int{20}, []int{7}, []int{3}, []int{1}, []int{3, 3}},
			{1, 1, 1, 32, []int{20}, []int{3}, []int{1}, []int{1}, []int{1, 1}},
			{1, 1, 1, 70, []int{9, 9}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		} {
			for _, ends := range [][2]byte{{255, 0}, {0, 255}, {254, 0}, {255, 1}} { // a weight and its zero point
				a := s.args()
				m, taps := s.group, product(s.kernel)
				a.Zero, a.X = 60, make([]byte, s.n*product(s.in)*a.C)
				for i := range a.X {
					a.X[i] = byte(i * 7)
				}
				w, bias, scale, zw := make([]byte, m*taps), make([]int32, m), []float32{1e-3}, make([]int32, m)
				for i := range w {
					w[i] = byte(i*31) >> 1
				}
				w[5*taps+1], zw[5], w[m*taps-1], zw[m-1] = ends[0], int32(ends[1]), ends[0], int32(ends[1])
				wt := NewWeights(par.P{}, w, m, 1, s.group, taps, s.kernel[len(s.kernel)-1], false, zw)
				a.W, a.R = wt, NewRound(wt, int32(a.Zero), zw, bias, scale, 1, 128, 0, 255)
				a.Y = make([]byte, s.n*product(a.Out)*m)
				Run(par.P{}, a, func(n int) []byte { return make([]byte, n) })
				for i, v := range naive(a, s, w, false, zw, bias, scale, 128, 0, 255) {
					if a.Y[i] != v {
						t.Fatalf("%+v, %d less %d: element %d is %d, want %d", s, ends[0], ends[1], i, a.Y[i], v)
					}
				}
			}
		}
	})
}

func TestFloats(t *testing.T) {
	cases := []sizes{
		{1, 3, 8, 1, []int{9, 11}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{1, 1, 1, 1}},
		{2, 16, 40, 1, []int{5, 7}, []int{1, 1}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 4, 6, 3, []int{8, 9}, []int{3, 2}, []int{1, 2}, []int{2, 3}, []int{2, 1, 0, 3}},
		{1, 5, 70, 1, []int{4, 120}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 1, 1, 32, []int{9, 9}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 1, 1, 30, []int{9, 9}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{2, 1, 1, 100, []int{6, 7}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{1, 0, 1, 1}},
		{1, 1, 1, 17, []int{12, 12}, []int{5, 5}, []int{1, 1}, []int{2, 2}, []int{4, 4, 4, 4}},
		{1, 1, 1, 70, []int{20}, []int{7}, []int{3}, []int{1}, []int{3, 3}},
		{1, 1, 1, 5, []int{4, 5}, []int{2, 2}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
	}
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 9))
		var round Round
		for _, s := range cases {
			for kind := range 8 {
				few := kind >= 4
				kind := kind % 4
				a := s.args()
				m, taps := s.mg*s.group, product(s.kernel)
				a.Zero = byte(rng.IntN(256))
				a.X = make([]byte, s.n*product(s.in)*a.C)
				w, scale, shift := make([]byte, m*s.cg*taps), make([]float32, m), make([]float32, m)
				for i := range a.X {
					a.X[i] = byte(rng.IntN(256))
				}
				for i := range w {
					if w[i] = byte(rng.IntN(256)); few {
						w[i] = byte(int8(w[i]) >> 1) // as reduce_range makes them
					}
				}
				for i := range scale {
					scale[i], shift[i] = 1./128, float32(rng.IntN(30))
				}
				var zw []int32
				if kind%2 == 1 {
					zw = []int32{3}
				}
				if kind > 1 {
					scale, shift = scale[:1], nil
				} else {
					a.Act = func(f []float32) {
						for i := range f {
							f[i] = -f[i]
						}
					}
				}
				wt := NewWeights(par.P{}, w, m, s.cg, s.group, taps, s.kernel[len(s.kernel)-1], kind%2 == 0, zw).Narrow()
				round = Round{} // groups differ in size
				round.SetFloats(wt, 7, zw, scale, 2, nil)
				round.SetFloats(wt, int32(a.Zero), zw, scale, 1, shift)
				a.W, a.R = wt, &round
				size := s.n * product(a.Out) * m
				whole := make([]float32, size+64)
				a.F = whole[:size:size]
				Run(par.P{Threads: 1 + kind%2}, a, func(n int) []byte { return make([]byte, n) })
				sums := naiveSums(a, s, w, kind%2 == 0, zw, make([]int32, m))
				for i, v := range sums {
					want := float32(v) / 128
					if shift != nil {
						want = -(want + shift[i%m])
					}
					if a.F[i] != want {
						t.Fatalf("%+v kind %d: element %d is %v, want %v", s, kind, i, a.F[i], want)
					}
				}
				for _, v := range whole[size:] {
					if v != 0 {
						t.Fatalf("%+v: wrote beyond the end", s)
					}
				}
			}
		}
	})
}

func TestMax(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 4))
		for _, s := range []sizes{
			{2, 1, 1, 70, []int{6, 7}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{1, 0, 1, 1}},
			{1, 1, 1, 32, []int{12, 12}, []int{5, 5}, []int{1, 1}, []int{2, 2}, []int{4, 4, 4, 4}},
			{1, 1, 1, 5, []int{20}, []int{1}, []int{3}, []int{1}, []int{0, 0}},
			{2, 1, 1, 24, []int{11, 9}, []int{3, 3}, []int{2, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
			{1, 1, 1, 3, []int{4, 6, 9}, []int{2, 3, 2}, []int{1, 1, 1}, []int{1, 2, 1}, []int{1, 1, 1, 0, 0, 1}},
		} {
			for _, signed := range []bool{false, true} {
				a := s.args()
				a.X, a.Y = make([]byte, s.n*product(s.in)*a.C), make([]byte, s.n*product(a.Out)*a.C)
				for i := range a.X {
					a.X[i] = byte(rng.Uint32())
				}
				Max(par.P{}, a.N, a.C, &a.Window, a.X, a.Y, signed)
				value := func(v byte) int {
					if signed {
						return int(int8(v))
					}
					return int(v)
				}
				d := len(s.in)
				pos, tap := make([]int, d), make([]int, d)
				for i, v := range a.Y {
					seek(pos, a.Out, i/a.C%product(a.Out))
					want := -128
					if !signed {
						want = 0
					}
					for k := range product(s.kernel) {
						seek(tap, s.kernel, k)
						at, inside := 0, true
						for j := range d {
							x := pos[j]*s.strides[j] - s.pads[j] + tap[j]*s.dilations[j]
							inside = inside && x >= 0 && x < s.in[j]
							at = at*s.in[j] + x
						}
						if inside {
							want = max(want, value(a.X[(i/a.C/product(a.Out)*product(s.in)+at)*a.C+i%a.C]))
						}
					}
					if value(v) != want {
						t.Fatalf("%+v: element %d is %d, want %d", s, i, value(v), want)
					}
				}
			}
		}
	})
}

func BenchmarkRun(b *testing.B) {
	for _, s := range []sizes{
		{1, 3, 64, 1, []int{224, 224}, []int{7, 7}, []int{2, 2}, []int{1, 1}, []int{3, 3, 3, 3}},
		{1, 3, 32, 1, []int{224, 224}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 64, 64, 1, []int{56, 56}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 256, 256, 1, []int{14, 14}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 512, 512, 1, []int{7, 7}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 64, 256, 1, []int{56, 56}, []int{1, 1}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 16, 96, 1, []int{112, 112}, []int{1, 1}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
		{1, 1, 1, 32, []int{112, 112}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 1, 1, 144, []int{56, 56}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 1, 1, 96, []int{112, 112}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 1, 1, 960, []int{7, 7}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 1, 1, 1152, []int{14, 14}, []int{5, 5}, []int{1, 1}, []int{1, 1}, []int{2, 2, 2, 2}},
		{1, 1, 1, 240, []int{28, 28}, []int{5, 5}, []int{1, 1}, []int{1, 1}, []int{2, 2, 2, 2}},
		{1, 1, 1, 8, []int{112, 112}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 2048, 512, 1, []int{28, 28}, []int{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 512, 512, 1, []int{28, 28}, []int{3, 3}, []int{1, 1}, []int{4, 4}, []int{4, 4, 4, 4}},
		{1, 3, 8, 1, []int{224, 224}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{1, 1, 1, 1}},
		{1, 96, 24, 1, []int{112, 112}, []int{1, 1}, []int{1, 1}, []int{1, 1}, []int{0, 0, 0, 0}},
	} {
		a := s.args()
		m := s.mg * s.group
		a.X, a.Y = make([]byte, product(s.in)*a.C), make([]byte, product(a.Out)*m)
		w, rng := make([]byte, m*s.cg*product(s.kernel)), rand.New(rand.NewPCG(1, 2))
		for i := range w { // as trained weights are
			w[i] = byte(int8(min(max(rng.NormFloat64()*34, -127), 127)))
		}
		for _, level := range cpu.Levels()[1:] {
			b.Run(fmt.Sprintf("%dx%d_%v_%v_s%d_%s", s.cg, s.group, s.in, s.kernel, s.strides[0], level), func(b *testing.B) {
				restore, _ := cpu.Force(level)
				defer restore()
				a.W = NewWeights(par.P{}, w, m, s.cg, s.group, product(s.kernel), s.kernel[len(s.kernel)-1], true, nil).Narrow()
				a.R = NewRound(a.W, 3, nil, nil, []float32{0.01}, 1, 0, 0, 255)
				best := time.Hour // others may use the machine too
				for b.Loop() {
					begin := time.Now()
					Run(par.P{}, a, func(n int) []byte { return make([]byte, n) })
					best = min(best, time.Since(begin))
				}
				b.ReportMetric(float64(best.Microseconds()), "us")
				b.ReportMetric(float64(product(a.Out)*m*s.cg*product(s.kernel))/best.Seconds()/1e9, "GMAC/s")
			})
		}
	}
}
