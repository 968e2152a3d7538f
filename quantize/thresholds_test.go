package quantize

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/par"
)

// distributions are what activations look like.
var distributions = map[string]func(r *rand.Rand) float64{
	"normal":   func(r *rand.Rand) float64 { return r.NormFloat64() },
	"shifted":  func(r *rand.Rand) float64 { return r.NormFloat64() + 1.5 },
	"relu":     func(r *rand.Rand) float64 { return max(r.NormFloat64(), 0) },
	"laplace":  func(r *rand.Rand) float64 { return r.ExpFloat64() * float64(2*r.IntN(2)-1) },
	"tail":     func(r *rand.Rand) float64 { return r.NormFloat64() * math.Exp(r.NormFloat64()) },
	"negative": func(r *rand.Rand) float64 { return -r.ExpFloat64() },
	"uniform":  func(r *rand.Rand) float64 { return r.Float64()*3 - 1 },
}

func draw(name string, n int) []float32 {
	r := rand.New(rand.NewPCG(11, 13))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(distributions[name](r))
	}
	return x
}

// TestWindows: the whole range is tried, thresholds go down evenly, and 0 is inside.
func TestWindows(t *testing.T) {
	for _, c := range []struct{ n, zero, least int }{{1, 0, 1}, {1, 1, 1}, {4096, 0, 256}, {4096, 4096, 256}, {5000, 2000, 256}, {8192, 4096, 1}, {100, 20, 256}} {
		ws := windows(c.n, c.zero, c.least)
		require.Equal(t, window{0, c.n}, ws[0])
		require.LessOrEqual(t, len(ws), 2*maxWindows)
		for i, w := range ws {
			require.True(t, w.lo <= c.zero && c.zero <= w.hi && w.lo < w.hi && w.lo >= 0 && w.hi <= c.n, w)
			require.True(t, i == 0 || w.hi-w.lo >= c.least, w)
			require.True(t, i == 0 || w.hi-w.lo <= ws[i-1].hi-ws[i-1].lo, w)
		}
	}
}

// divergenceOf is the divergence written out from the values, with one slice
// for each step of its definition.
func divergenceOf(x []float32, lo, hi, width float64, levels int) float64 {
	n := int(math.Round((hi - lo) / width))
	bin := func(v float32) int {
		b := int(math.Floor((float64(v) - lo) / width))
		if v < 0 { // magnitudes are cut off towards 0
			b = int(math.Ceil((float64(v)-lo)/width)) - 1
			if q := float64(v) / width; q == math.Trunc(q) {
				b = int(math.Round((float64(v)-lo)/width)) - 1
			}
		}
		return b
	}
	inside, p := make([]float64, n), make([]float64, n)
	for _, v := range x {
		b := bin(v)
		p[min(max(b, 0), n-1)]++
		if b >= 0 && b < n {
			inside[b]++
		}
	}
	q := make([]float64, n)
	for l := range levels {
		sum, filled := 0.0, 0.0
		for i := range n {
			if i >= l*n/levels && i < (l+1)*n/levels {
				sum += inside[i]
				if p[i] > 0 {
					filled++
				}
			}
		}
		for i := range n {
			if i >= l*n/levels && i < (l+1)*n/levels && p[i] > 0 {
				q[i] = sum / filled
			}
		}
	}
	normal := func(d []float64) []float64 {
		empty := 0.0
		for _, v := range d {
			if v == 0 {
				empty++
			}
		}
		out, sum := make([]float64, n), 0.0
		for i, v := range d {
			if out[i] = 1e-4; v != 0 {
				out[i] = max(v-1e-4*empty/(float64(n)-empty), v/2)
			}
			sum += out[i]
		}
		for i := range out {
			out[i] /= sum
		}
		return out
	}
	p, q = normal(p), normal(q)
	kl := 0.0
	for i := range p {
		kl += p[i] * (math.Log(p[i]) - math.Log(q[i]))
	}
	return kl
}

// TestEntropyWindow holds each divergence against its definition, and the choice
// against all of them.
func TestEntropyWindow(t *testing.T) {
	for name := range distributions {
		x := draw(name, 40_000)
		h := newHistogram()
		h.fit(extent(x))
		h.add(par.P{}, x)
		count, zero := h.line()
		got := entropyWindow(count, zero, 256)
		var buf divergence
		least := math.Inf(1)
		dense := withoutZeros(count, zero)
		for i, w := range windows(len(count), zero, 256) {
			least = min(least, buf.of(dense, w, 256))
			d := buf.of(count, w, 256)
			if i%50 == 0 || w == got {
				want := divergenceOf(x, float64(w.lo-zero)*h.width(), float64(w.hi-zero)*h.width(), h.width(), 256)
				require.InDelta(t, want, d, 1e-9*(1+want), "%s %v", name, w)
			}
		}
		require.Equal(t, least, buf.of(dense, got, 256), name)
	}
}

// TestEntropyZeros: zeros, which are exact on all grids, do not change what is
// chosen, and what is chosen costs a rectified normal distribution little.
func TestEntropyZeros(t *testing.T) {
	for _, name := range []string{"normal", "relu", "tail", "negative"} {
		var all []window
		for _, zeros := range []int{1 << 12, 1 << 16, 1 << 20} {
			x := append(draw(name, 1<<18), make([]float32, zeros)...)
			h := newHistogram()
			h.fit(extent(x))
			h.add(par.P{}, x)
			count, zero := h.line()
			w := entropyWindow(count, zero, 256)
			all = append(all, w)
			require.Equal(t, all[0], w, name)
			if name != "relu" {
				continue
			}
			whole := quantisedError(x, 0, float64(extent(x)), 256)
			require.Less(t, quantisedError(x, 0, float64(w.hi-zero)*h.width(), 256), 2*whole)
		}
	}
}

// quantisedError is the squared error of x rounded to levels steps in [lo, hi].
func quantisedError(x []float32, lo, hi float64, levels int) float64 {
	step, sum := (hi-lo)/float64(levels-1), 0.0
	for _, v := range x {
		q := math.RoundToEven((min(max(float64(v), lo), hi)-lo)/step)*step + lo
		sum += (float64(v) - q) * (float64(v) - q)
	}
	return sum
}

// TestMSEWindow: what is chosen is, by the values themselves, as good as the best
// threshold there is.
func TestMSEWindow(t *testing.T) {
	for name := range distributions {
		for _, levels := range []int{16, 256} {
			x := draw(name, 40_000)
			h := newHistogram()
			h.fit(extent(x))
			h.add(par.P{}, x)
			count, zero := h.line()
			at := func(w window) float64 {
				return quantisedError(x, float64(w.lo-zero)*h.width(), float64(w.hi-zero)*h.width(), levels)
			}
			got := mseWindow(count, zero, levels)
			best := math.Inf(1)
			for i, w := range windows(len(count), zero, 1) {
				if i%4 == 0 {
					best = min(best, at(w))
				}
			}
			require.LessOrEqual(t, at(got), best*1.02, "%s, %d levels", name, levels)
			estimate := squaredError(count, zero, got, levels, math.Inf(1)) * h.width() * h.width()
			// Zeros are taken to be spread over their bin, too.
			require.InEpsilon(t, at(got), estimate, 0.1, "%s, %d levels", name, levels)
		}
	}
}

// TestThresholdsOfFew: histograms of one value, or of zeros.
func TestThresholdsOfFew(t *testing.T) {
	for _, x := range [][]float32{{5}, {-5}, {0}, {0, 0, 3}} {
		h := newHistogram()
		h.fit(extent(x))
		h.add(par.P{}, x)
		count, zero := h.line()
		for _, w := range []window{entropyWindow(count, zero, 256), mseWindow(count, zero, 256)} {
			require.True(t, w.lo >= 0 && w.lo < w.hi && w.hi <= len(count), "%v: %v", x, w)
		}
	}
}

func BenchmarkEntropy(b *testing.B) {
	x := draw("tail", 1<<18)
	h := newHistogram()
	h.fit(extent(x))
	h.add(par.P{}, x)
	count, zero := h.line()
	for b.Loop() {
		entropyWindow(count, zero, 256)
	}
}
