package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/par"
)

// samples returns n values of a skewed distribution with zeros, both of them.
func normals(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 7))
	x := make([]float32, n)
	for i := range x {
		switch r.IntN(8) {
		case 0:
			x[i] = 0
		case 1:
			x[i] = float32(math.Copysign(0, -1))
		default:
			x[i] = float32(r.NormFloat64()*math.Exp(r.NormFloat64()) + 0.5)
		}
	}
	return x
}

func extent(x []float32) float32 {
	return max(-slices.Min(x), slices.Max(x))
}

// TestHistogramCounts compares with counting in float64, once all is known.
func TestHistogramCounts(t *testing.T) {
	for _, n := range []int{1, 5, countFew - 1, countFew, 100_003} {
		x := normals(uint64(n), n)
		h := newHistogram()
		h.fit(extent(x))
		h.add(par.P{Threads: 2}, x)
		want := [2][bins]uint64{}
		for _, v := range x {
			sign := 0
			if math.Signbit(float64(v)) {
				sign = 1
			}
			want[sign][int(math.Abs(float64(v))/h.width())]++
		}
		require.Equal(t, want[0][:], h.count[0], n)
		require.Equal(t, want[1][:], h.count[1], n)
		if top := extent(x); top > 0 {
			used := max(h.used(0), h.used(1))
			require.Greater(t, used, bins/2-1, "width %v for %v", h.width(), top)
		}
	}
}

// TestHistogramOrder: what comes in small pieces, in any order, on any number of
// threads, gives the same bins as all at once.
func TestHistogramOrder(t *testing.T) {
	x := normals(1, 300_000)
	for i := range x {
		x[i] *= float32(math.Exp(float64(i) / 2e4)) // growing, so that bins are joined
	}
	all := newHistogram()
	all.fit(extent(x))
	all.add(par.P{}, x)
	for _, threads := range []int{1, 2, 5} {
		for _, piece := range []int{100, 4096, 70_000} {
			for _, backwards := range []bool{false, true} {
				h := newHistogram()
				pieces := slices.Collect(slices.Chunk(x, piece))
				if backwards {
					slices.Reverse(pieces)
				}
				for _, p := range pieces {
					h.fit(extent(p))
					h.add(par.P{Threads: threads}, p)
				}
				require.Equal(t, all.exp, h.exp)
				require.Equal(t, all.count, h.count, "%d threads, pieces of %d", threads, piece)
			}
		}
	}
}

func TestHistogramExtremes(t *testing.T) {
	for _, c := range [][]float32{
		{math.MaxFloat32, -math.MaxFloat32},
		{math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 0},
		{0, 0, 0},
		{1, math.MaxFloat32, math.SmallestNonzeroFloat32},
		{2, -2, 4, -4}, // powers of two lie at the start of a bin
	} {
		h := newHistogram()
		for _, v := range c {
			h.fit(max(v, -v))
			h.add(par.P{}, []float32{v})
		}
		var n uint64
		count, zero := h.line()
		for i, k := range count {
			n += k
			if k > 0 {
				lo, hi := float64(i-zero)*h.width(), float64(i+1-zero)*h.width()
				require.True(t, slices.ContainsFunc(c, func(v float32) bool { return float64(v) >= lo && float64(v) <= hi }), "%v: [%v, %v]", c, lo, hi)
			}
		}
		require.EqualValues(t, len(c), n)
	}
}

func TestQuantile(t *testing.T) {
	x := normals(3, 200_000)
	h := newHistogram()
	h.fit(extent(x))
	h.add(par.P{}, x)
	sorted := slices.Sorted(slices.Values(x))
	count, zero := h.line()
	for _, q := range []float64{0, 0.0001, 0.01, 0.3, 0.5, 0.9, 0.999, 0.99999, 1} {
		want := float64(sorted[min(int(q*float64(len(x))), len(x)-1)])
		// Where values are rare, the next one may lie some bins away.
		next := float64(sorted[max(min(int(q*float64(len(x))), len(x)-1)-1, 0)])
		require.InDelta(t, want, h.quantile(count, -zero, q), 2*h.width()+want-next, q)
	}
}

func BenchmarkHistogram(b *testing.B) {
	x := normals(1, 1<<20)
	h := newHistogram()
	h.fit(extent(x))
	b.SetBytes(4 << 20)
	for b.Loop() {
		h.add(par.P{Threads: 1}, x)
	}
}
