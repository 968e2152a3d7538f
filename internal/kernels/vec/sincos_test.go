package vec

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSinCos(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var xs []float32
	for range 200_000 {
		xs = append(xs, float32(r.NormFloat64()*math.Pow(10, r.Float64()*9-3)))
	}
	for k := range 2000 { // where sine or cosine nearly vanish
		x := float32(float64(k) * math.Pi / 2)
		xs = append(xs, x, -x, math.Nextafter32(x, 0), math.Nextafter32(x, 1e9), float32(float64(k*331)*math.Pi/2))
	}
	xs = append(xs, 0, float32(math.Copysign(0, -1)), 1e-30, 1e-45, reducible, math.Nextafter32(reducible, 0), 3e38)
	for _, table := range Tables {
		t.Run(table.Name, func(t *testing.T) { testSinCos(t, table, xs) })
	}
}

func testSinCos(t *testing.T, table *Table, xs []float32) {
	y := make([]float32, len(xs))
	for _, f := range []struct {
		name string
		run  func(dst, src []float32)
		want func(float64) float64
	}{{"Sin", table.Sin, math.Sin}, {"Cos", table.Cos, math.Cos}} {
		small := xs[:0:0] // by themselves, since a large one has all around it computed as it is
		for _, x := range xs {
			if x > -reducible && x < reducible {
				small = append(small, x)
			}
		}
		z := make([]float32, len(small))
		f.run(z, small)
		for i, x := range small {
			want := f.want(float64(x))
			ulp := math.Abs(float64(math.Nextafter32(float32(want), 2)) - float64(float32(want)))
			if d := math.Abs(float64(z[i]) - want); d > ulp {
				t.Fatalf("%s(%v) = %v, want %v", f.name, x, z[i], want)
			}
		}
		for n := range 70 { // writes what it should, and nothing else
			dst := make([]float32, n+32)
			for i := range dst {
				dst[i] = 7
			}
			f.run(dst[:n], small[:n])
			for i, v := range dst {
				want := float32(7)
				if i < n {
					want = z[i]
				}
				require.Equal(t, want, v)
			}
		}
		f.run(y, xs)
		for i, x := range xs {
			want := f.want(float64(x))
			ulp := math.Abs(float64(math.Nextafter32(float32(want), 2)) - float64(float32(want)))
			if d := math.Abs(float64(y[i]) - want); d > ulp {
				t.Fatalf("%s(%v) = %v, want %v", f.name, x, y[i], want)
			}
		}
		inf := []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}
		f.run(inf, inf)
		for _, v := range inf {
			require.True(t, v != v)
		}
	}
	table.Sin(y[:2], []float32{0, float32(math.Copysign(0, -1))})
	require.False(t, math.Signbit(float64(y[0])))
	require.True(t, math.Signbit(float64(y[1])), "sin(-0) is -0")
}

func BenchmarkSin(b *testing.B) {
	x := make([]float32, 4096)
	for i := range x {
		x[i] = float32(i) * 0.37
	}
	y := make([]float32, len(x))
	for _, f := range []struct {
		name string
		run  func()
	}{{"reduced", func() { Best().Sin(y, x) }}, {"math", func() {
		for i, v := range x {
			y[i] = float32(math.Sin(float64(v)))
		}
	}}} {
		b.Run(f.name, func(b *testing.B) {
			for b.Loop() {
				f.run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x)), "ns/element")
		})
	}
}
