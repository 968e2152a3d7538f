package quant

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randomBinary returns one of four kinds.
func randomBinary(rng *rand.Rand, kind int) *Binary {
	p := &Binary{Product: kind&1 != 0, Signed: kind&2 != 0, FA: rng.Float32(), FB: rng.Float32(), ZA: rng.Int32N(100), ZB: rng.Int32N(100), Zero: rng.Int32N(50), Hi: 255}
	if p.Signed {
		p.Lo, p.Hi = -128, 127
	}
	if p.Product {
		p.FA /= 100
	}
	return p
}

func TestBinary(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for _, n := range sizes[:len(sizes)-1] {
			for kind := range 16 {
				p := randomBinary(rng, kind)
				if kind&4 != 0 {
					p.Lo, p.Hi = p.Zero, p.Hi-20
				}
				if kind&8 != 0 {
					p.FA *= 1e9
				}
				a, b, y := make([]byte, n), make([]byte, n), make([]byte, n+1)
				for i := range a {
					a[i], b[i] = byte(rng.Uint32()), byte(rng.Uint32())
				}
				y[n] = 77
				p.Run(y[:n], a, b)
				value := func(v byte) int32 {
					if p.Signed {
						return int32(int8(v))
					}
					return int32(v)
				}
				for i := range a {
					x, z := float64(value(a[i])-p.ZA), float64(value(b[i])-p.ZB)
					v := x*float64(p.FA) + z*float64(p.FB)
					if p.Product {
						v = x * z * float64(p.FA)
					}
					v += float64(p.Zero)
					low := min(max(math.RoundToEven(v-1e-4-1e-6*math.Abs(v)), float64(p.Lo)), float64(p.Hi))
					high := min(max(math.RoundToEven(v+1e-4+1e-6*math.Abs(v)), float64(p.Lo)), float64(p.Hi))
					if got := float64(value(y[i])); got < low || got > high {
						t.Fatalf("%+v: %d and %d give %v, want %v", p, a[i], b[i], got, low)
					}
				}
				if y[n] != 77 {
					t.Fatal("wrote beyond the end")
				}
			}
			in, out := make([]byte, n), make([]byte, n+1)
			var table [256]byte
			for i := range table {
				table[i] = byte(i*37 + 11)
			}
			for i := range in {
				in[i] = byte(rng.Uint32())
			}
			out[n] = 77
			Lookup(out[:n], in, &table)
			for i, v := range in {
				if out[i] != table[v] {
					t.Fatalf("%d is %d, want %d", v, out[i], table[v])
				}
			}
			if out[n] != 77 {
				t.Fatal("wrote beyond the end")
			}
			sums, x := make([]int32, n), make([]byte, n)
			for i := range x {
				x[i], sums[i] = byte(i*7), int32(i)
			}
			Sum(sums, x)
			for i, v := range sums {
				if v != int32(i)+int32(byte(i*7)) {
					t.Fatalf("sum %d is %d", i, v)
				}
			}
		}
	})
}

// The halves are those of sums and products with their zero point, as in ONNX Runtime.
func TestBinaryHalves(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		p := &Binary{FA: 0.5, FB: 0.5, ZA: 1, Zero: 4, Hi: 255}
		a, b, y := make([]byte, 200), make([]byte, 200), make([]byte, 200)
		for i := range a {
			a[i], b[i] = byte(i), 2
		}
		p.Run(y, a, b)
		for i, v := range y {
			if want := byte(math.RoundToEven(float64(i+9) / 2)); v != want {
				t.Fatalf("%d gives %d, want %d", i, v, want)
			}
		}
		p.ZA, p.Zero = 0, 3
		p.Run(y, a, b)
		for i, v := range y {
			if want := byte(math.RoundToEven(float64(i+8) / 2)); v != want {
				t.Fatalf("%d gives %d, want %d", i, v, want)
			}
		}
		p.Product, p.FA, p.ZB = true, 0.5, 1
		p.Run(y, a, b)
		for i, v := range y {
			if want := byte(math.RoundToEven(float64(i+6) / 2)); v != want {
				t.Fatalf("product %d gives %d, want %d", i, v, want)
			}
		}
	})
}

// Every pair of bytes gives the same in a routine's blocks and in what they leave.
func TestBinaryEveryPair(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 10))
		a, b, y := make([]byte, 1<<16), make([]byte, 1<<16), make([]byte, 1<<16)
		for i := range a {
			a[i], b[i] = byte(i), byte(i>>8)
		}
		for kind := range 16 {
			p := randomBinary(rng, kind)
			p.Run(y, a, b)
			var one [1]byte
			for i := range y {
				if p.Run(one[:], a[i:i+1], b[i:i+1]); one[0] != y[i] {
					t.Fatalf("%+v: %d and %d give %d alone and %d among others", p, a[i], b[i], one[0], y[i])
				}
			}
		}
	})
}

// Factors that are too large for 32 bits give what float32 does, to the bit.
func TestBinaryWide(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		inf := float32(math.Inf(1))
		for _, n := range []int{1, 31, 100, 1024, 3001} {
			for kind := range 16 {
				p := &Binary{Product: kind&1 != 0, Signed: kind&2 != 0, FA: rng.Float32(), FB: 1e9 * (rng.Float32() - 0.5), ZA: rng.Int32N(100), ZB: rng.Int32N(100), Zero: rng.Int32N(50), Hi: 255}
				switch {
				case p.Product:
					p.FA, p.FB = 0.7e5*(rng.Float32()-0.5), 0
				case kind&4 != 0:
					p.FB = -inf
				}
				if p.Product && kind&12 == 12 {
					p.FA = inf
				}
				if p.Signed {
					p.Lo, p.Hi = -128, 127
				}
				a, b, y := make([]byte, n), make([]byte, n), make([]byte, n)
				for i := range a {
					a[i], b[i] = byte(rng.Uint32()), byte(p.ZB)
					if kind&8 != 0 && i%3 == 0 {
						b[i] = byte(rng.Uint32())
					}
				}
				p.Run(y, a, b)
				for i := range a {
					x, z := float32(int32(a[i])-p.ZA), float32(int32(b[i])-p.ZB)
					if p.Signed {
						x, z = float32(int32(int8(a[i]))-p.ZA), float32(int32(int8(b[i]))-p.ZB)
					}
					v := float32(x*p.FA) + float32(z*p.FB)
					if p.Product {
						v = float32(x*z) * p.FA
					}
					if want := byte(round(v, float32(p.Lo-p.Zero), float32(p.Hi-p.Zero)) + p.Zero); y[i] != want {
						t.Fatalf("%+v: %d and %d give %d, want %d", p, a[i], b[i], y[i], want)
					}
				}
			}
		}
	})
}
