package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

var sizes = []int{0, 1, 7, 31, 32, 33, 95, 96, 200, 70001}

// eachTable runs f with each table in force.
func eachTable(t *testing.T, f func(t *testing.T)) {
	for _, tab := range tables {
		t.Run(tab.name, func(t *testing.T) {
			restore, err := cpu.Force(tab.name)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t)
		})
	}
}

// numbers returns n floats: many halves, some that are no numbers.
func numbers(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	x := make([]float32, n)
	for i := range x {
		switch rng.IntN(10) {
		case 0:
			x[i] = float32(math.NaN())
		case 1:
			x[i] = float32(math.Inf(1 - 2*rng.IntN(2)))
		case 2, 3, 4:
			x[i] = float32(rng.IntN(1200)-600) / 2
		case 5:
			x[i] = math.Float32frombits(rng.Uint32())
		default:
			x[i] = float32(rng.NormFloat64() * 100)
		}
	}
	return x
}

func nearest(v float64, zero, lo, hi int32) int32 {
	if !(v > float64(lo-zero)) {
		return lo
	}
	if v > float64(hi-zero) {
		return hi
	}
	return int32(math.RoundToEven(v)) + zero
}

func testBytes[D Byte](t *testing.T, lo, hi int32) {
	for _, n := range sizes {
		x := numbers(n)
		ints := make([]int32, n)
		for i := range ints {
			ints[i] = int32(math.Float32bits(x[i])) >> (i % 24)
		}
		for _, zero := range []int32{lo, 0, 5, hi} {
			for _, scale := range []float32{1, 0.37, 3e-5, 2} {
				got := make([]D, n+2)
				got[0], got[n+1] = 77, 77
				Quantize(got[1:n+1], x, scale, zero, lo, hi)
				for i, v := range x {
					if want := nearest(float64(v/scale), zero, lo, hi); int32(got[i+1]) != want {
						t.Fatalf("%d elements: %v / %v + %d is %d, want %d", n, v, scale, zero, got[i+1], want)
					}
				}
				each, scales, zeros := make([]D, n), slices.Repeat([]float32{scale}, n), slices.Repeat([]float32{float32(zero)}, n)
				QuantizeEach(each, x, scales, zeros, lo, hi)
				if !slices.Equal(each, got[1:n+1]) {
					t.Fatalf("%d elements: one by one the result is another", n)
				}
				if zero == 0 {
					QuantizeEach(each, x, scales, nil, lo, hi)
					if !slices.Equal(each, got[1:n+1]) {
						t.Fatalf("%d elements: one by one the result is another", n)
					}
				}
				back := make([]float32, n+2)
				back[0], back[n+1] = 77, 77
				Dequantize(back[1:n+1], got[1:n+1], scale, zero)
				for i, v := range back[1 : n+1] {
					if want := float32(int32(got[i+1])-zero) * scale; v != want {
						t.Fatalf("%d elements: (%d - %d)·%v is %v, want %v", n, got[i+1], zero, scale, v, want)
					}
				}
				Requantize(got[1:n+1], ints, scale, zero, lo, hi)
				for i, v := range ints {
					if want := nearest(float64(float32(v)*scale), zero, lo, hi); int32(got[i+1]) != want {
						t.Fatalf("%d elements: %v · %v + %d is %d, want %d", n, v, scale, zero, got[i+1], want)
					}
				}
				RequantizeEach(each, ints, scales, zero, lo, hi)
				if !slices.Equal(each, got[1:n+1]) {
					t.Fatalf("%d elements: one by one the result is another", n)
				}
				if got[0] != 77 || got[n+1] != 77 || back[0] != 77 || back[n+1] != 77 {
					t.Fatalf("%d elements: wrote outside", n)
				}
			}
		}
		f, half, one := make([]float32, n), slices.Repeat([]float32{0.5}, n), slices.Repeat([]float32{1}, n)
		Floats(f, ints)
		for i, v := range f {
			if v != float32(ints[i]) {
				t.Fatalf("%d is %v", ints[i], v)
			}
		}
		Scaled(f, ints, half, one)
		for i, v := range f {
			if v != float32(ints[i])*0.5+1 {
				t.Fatalf("%d becomes %v", ints[i], v)
			}
		}
	}
}

func TestBytes(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		testBytes[uint8](t, 0, 255)
		testBytes[int8](t, -128, 127)
	})
}

func TestIntegers(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		for _, n := range append(sizes, 97, 129) {
			x := append(numbers(n), math.MaxInt32, -1<<31, -1<<31-256, 1<<31-128, 0.99, -0.99, float32(math.Copysign(0, -1)))
			x = x[len(x)-n:]
			got := make([]int32, n+1)
			got[n] = 99
			Integers(got[:n], x)
			for i, v := range x {
				want := int32(math.MinInt32)
				if f := math.Trunc(float64(v)); f >= math.MinInt32 && f <= math.MaxInt32 {
					want = int32(f)
				}
				if got[i] != want {
					t.Fatalf("%v becomes %d, want %d", v, got[i], want)
				}
			}
			if got[n] != 99 {
				t.Fatalf("wrote beyond %d elements", n)
			}
		}
	})
}

func TestBounds(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		for _, n := range sizes {
			x := numbers(n)
			for i, v := range x {
				if v-v != 0 && i%3 > 0 {
					x[i] = float32(i)
				}
			}
			var lo, hi float32
			for _, v := range x {
				if v == v {
					lo, hi = min(lo, v), max(hi, v)
				}
			}
			if l, h := Bounds(x); l != lo || h != hi {
				t.Fatalf("%d elements: %v %v, want %v %v", n, l, h, lo, hi)
			}
		}
		if lo, hi := Bounds([]float32{3, 2}); lo != 0 || hi != 3 {
			t.Error("the bounds do not hold 0")
		}
	})
}

func BenchmarkBytes(b *testing.B) {
	x, y := make([]float32, 1<<16), make([]uint8, 1<<16)
	b.Run("quantize", func(b *testing.B) {
		b.SetBytes(1 << 18)
		for b.Loop() {
			Quantize(y, x, 0.1, 3, 0, 255)
		}
	})
	b.Run("dequantize", func(b *testing.B) {
		b.SetBytes(1 << 18)
		for b.Loop() {
			Dequantize(x, y, 0.1, 3)
		}
	})
}
