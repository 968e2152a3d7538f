package quantize

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// squaredErrors returns the squared error of each channel of x with the given scales, and
// checks that no element is off by more than half a step.
func squaredErrors(t *testing.T, g grid, x []float32, outer, channels, inner int, scales []float32) []float64 {
	sums := make([]float64, channels)
	for i, v := range x {
		c := i / inner % channels
		a := affine{scales[c], 0}
		e := float64(g.code(v, a))*float64(a.scale) - float64(v)
		require.LessOrEqual(t, math.Abs(e), 0.501*float64(a.scale))
		sums[c] += e * e
	}
	return sums
}

func TestFit(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Int8, tensor.Uint8} {
		g, err := gridOf(d, true, false)
		require.NoError(t, err)
		g = grid{tensor.Int8, g.lo - (g.lo+g.hi)/2, g.hi - (g.lo+g.hi)/2, true}
		for _, s := range []struct {
			outer, channels, inner int
			gain                   float64 // of the squared error, at least
		}{{1, 40, 9, 0.25}, {1, 40, 64, 0.12}, {64, 37, 1, 0.12}, {4, 33, 36, 0.08}, {700, 20, 1, 0.02}, {1, 3, 5000, 0}} {
			x := gaussian(7, s.outer*s.channels*s.inner)
			first := make([]float32, s.channels)
			for i, v := range x {
				c := i / s.inner % s.channels
				first[c] = max(first[c], g.affine(Range{min(v, -v), max(v, -v)}).scale)
			}
			scales := append([]float32(nil), first...)
			g.fit(par.P{}, x, s.outer, s.channels, s.inner, scales)
			before, after := 0.0, 0.0
			was, is := squaredErrors(t, g, x, s.outer, s.channels, s.inner, first), squaredErrors(t, g, x, s.outer, s.channels, s.inner, scales)
			for c := range was {
				require.LessOrEqual(t, is[c], was[c]*(1+1e-6), "channel %d of %v", c, s)
				before, after = before+was[c], after+is[c]
			}
			require.LessOrEqual(t, after, (1-s.gain)*before+1e-9, s)
			if s.gain == 0 {
				require.Equal(t, first, scales, "of many weights all scales are as good")
			}
			again := append([]float32(nil), first...)
			g.fit(par.P{Threads: 3}, x, s.outer, s.channels, s.inner, again)
			require.Equal(t, scales, again, "at any number of threads")
		}
	}
}

// What is on the grid stays; nothing comes of zeros and of the least scale; and zero points would move.
func TestFitKeeps(t *testing.T) {
	g, err := gridOf(tensor.Int8, true, false)
	require.NoError(t, err)
	x := make([]float32, 3*20)
	for i := range 20 {
		x[i] = float32(i-9) * 0.25
		x[40+i] = float32(i-9) * 0x1p-103
	}
	scales := []float32{0.25, 1, minScale}
	g.fit(par.P{}, x, 1, 3, 20, scales)
	require.Equal(t, []float32{0.25, 1}, scales[:2])
	require.GreaterOrEqual(t, scales[2], float32(minScale))
	wide, err := gridOf(tensor.Uint8, false, false)
	require.NoError(t, err)
	scales = []float32{0.3, 0.3, 0.3}
	wide.fit(par.P{}, gaussian(3, 60), 1, 3, 20, scales)
	require.Equal(t, []float32{0.3, 0.3, 0.3}, scales)
}
