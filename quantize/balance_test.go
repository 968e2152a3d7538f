package quantize

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// expected is the squared error of a sum of weights with errors es of inputs of
// variance 1 and mean square meanShare.
func expected(es []float64) float64 {
	var s, ss float64
	for _, e := range es {
		s += e
		ss += e * e
	}
	return ss + meanShare*s*s
}

// best is the least expected error when each weight has the code below or above it.
func best(w []float64) float64 {
	least := math.Inf(1)
	es := make([]float64, len(w))
	for m := range 1 << len(w) {
		for i, v := range w {
			es[i] = math.Floor(v) + float64(m>>i&1) - v
		}
		least = min(least, expected(es))
	}
	return least
}

// channelErrors returns the errors of channel c of axis, in steps.
func channelErrors(g grid, x []float32, codes *tensor.Tensor, axis, c int, a affine) (es []float64) {
	outer, channels, inner := split(codes.Shape(), axis)
	for o := range outer {
		for i := range inner {
			at := (o*channels+c)*inner + i
			q := int(codes.Bytes()[at])
			if g.dtype.IsSigned() {
				q = int(int8(q))
			}
			es = append(es, float64(q-a.zero)-float64(x[at])/float64(a.scale))
		}
	}
	return es
}

func TestBalance(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, shape := range []struct {
		dims []int
		axis int
	}{{[]int{6, 10}, 0}, {[]int{10, 6}, 1}, {[]int{4, 1, 3, 3}, 0}, {[]int{5, 40, 2}, 1}, {[]int{8, 64, 3, 3}, 0}, {[]int{300, 20}, 1}, {[]int{3, 1}, 0}} {
		for _, g := range []grid{{tensor.Int8, -127, 127, true}, {tensor.Uint8, 0, 255, false}, {tensor.Int8, -7, 7, true}} {
			x := make([]float32, tensor.New(tensor.Uint8, shape.dims...).Len())
			for i := range x {
				x[i] = float32(rng.NormFloat64())
				if i%7 == 0 {
					x[i] = 0
				}
			}
			w := tensor.Of(x, shape.dims...)
			by := granularity{axis: shape.axis}
			rs, _ := by.parts(shape.dims).ranges(x)
			ps := make([]affine, len(rs))
			for i, r := range rs {
				ps[i] = g.affine(r)
			}
			at := func(c int) affine { return ps[c] }
			nearest := g.quantizeBy(w, by, ps).codes
			got := nearest.Clone()
			g.balance(par.P{}, x, got, shape.axis, at)
			before, after, optimum, drift, n := 0.0, 0.0, 0.0, 0.0, 0
			for c, a := range ps {
				old, es := channelErrors(g, x, nearest, shape.axis, c, a), channelErrors(g, x, got, shape.axis, c, a)
				require.LessOrEqual(t, expected(es), expected(old)+1e-9, "channel %d of %v", c, shape.dims)
				sum, exact := 0.0, []float64{}
				for i, e := range es {
					require.Less(t, math.Abs(e), 1.0, "a code is the one below or above")
					sum += e
					exact = append(exact, old[i]) // has the same fractions
				}
				before, after, n = before+expected(old), after+expected(es), n+len(es)
				drift = max(drift, math.Abs(sum))
				if len(es) <= 10 {
					optimum += best(exact)
				}
			}
			if n/len(ps) >= 64 { // enough weights near the middle
				require.Less(t, drift, 1.6, "%v on %v", shape.dims, g)
				require.Less(t, after, 0.85*before, "%v on %v", shape.dims, g)
			}
			if optimum > 0 {
				require.Less(t, after, 1.15*optimum, "%v on %v", shape.dims, g)
			}
			again := nearest.Clone()
			g.balance(par.P{Threads: 3}, x, again, shape.axis, at)
			require.Equal(t, got, again, "at any number of threads")
		}
	}
}

func TestBalanceKeepsBounds(t *testing.T) {
	// All errors are alike, and only codes at the end of the grid could move.
	g := grid{tensor.Int8, -2, 2, true}
	x := []float32{2.4, 2.4, 2.4, 2.4, -2.4}
	codes := tensor.Of([]int8{2, 2, 2, 2, -2}, 1, 5)
	g.balance(par.P{}, x, codes, 0, func(int) affine { return affine{1, 0} })
	require.Equal(t, []int8{2, 2, 2, 2, -2}, tensor.Data[int8](codes))
}

func TestBalanced(t *testing.T) {
	const n, k = 16, 300
	w := gaussian(3, n*k)
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 64*k) // what a Relu leaves
	for i := range x {
		x[i] = float32(max(0, rng.NormFloat64()))
	}
	outputs := func(b *Blocks) (e float64) {
		for s := range 64 {
			for i := range n {
				sum := 0.0
				for j := range k {
					v := float32(int(b.Codes[i*k+j])-int(b.zero(i, j/b.Block))) * b.Scales[i*b.PerRow()+j/b.Block]
					sum += float64(v-w[i*k+j]) * float64(x[s*k+j])
				}
				e += sum * sum
			}
		}
		return e
	}
	for _, g := range []BlockGrid{{4, 32, true, false}, {4, 32, true, true}, {4, 64, false, false}, {8, 128, true, true}} {
		plain, err := RTN(w, n, k, nil, g, 1)
		require.NoError(t, err)
		b, err := Balanced(w, n, k, nil, g, 1)
		require.NoError(t, err)
		require.Equal(t, plain.Scales, b.Scales)
		require.Less(t, outputs(b), 0.8*outputs(plain), g)
		require.Less(t, blocksError(b, w), 1.05*blocksError(plain, w), g)
		for _, c := range b.Codes {
			require.Less(t, int(c), 1<<g.Bits)
		}
		again, err := Balanced(w, n, k, nil, g, 4)
		require.NoError(t, err)
		require.Equal(t, b, again, "at any number of threads")
	}
	_, err := Balanced(w, 2, 2, nil, BlockGrid{4, 32, true, false}, 1)
	require.ErrorContains(t, err, "want 2 x 2")
}
