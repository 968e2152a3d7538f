package prune

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/tensor"
)

// layersOfAllKinds is a model with a layer of each operator, weights of several
// types, and a normalisation.
func layersOfAllKinds(t *testing.T) *onnx.Model {
	b := newNet(17)
	x := b.conv(b.g.AddInput("x", image(8)), 8, 12, 3, 1, nil)
	ones := b.Const(tensor.Of(slices.Repeat([]float32{1}, 12), 12))
	x = b.Op("BatchNormalization", nil, x, ones, ones, ones, ones)
	x = b.Op("ConvTranspose", nil, x, b.weight(0, nil, 12, 8, 2, 2))
	x = b.Op("Transpose", onnx.NewAttrs("perm", []int64{2, 0, 3, 1}), x)
	x = b.Op("MatMul", nil, x, b.Op("Transpose", onnx.NewAttrs("perm", []int64{-1, 0}), b.weight(0, nil, 16, 8)))
	x = b.Op("ReduceMean", onnx.NewAttrs("axes", []int64{2}, "keepdims", int64(0)), x)
	x = b.Ops("", "LSTM", onnx.NewAttrs("hidden_size", int64(4)), 3, x, b.weight(0, nil, 1, 16, 16), b.weight(0, nil, 1, 16, 4), b.weight(0, nil, 1, 32))[0]
	x = b.Op("Reshape", nil, b.Op("Transpose", onnx.NewAttrs("perm", []int64{2, 0, 1, 3}), x), b.Ints(-1, 20))
	x = b.Op("Gemm", nil, x, b.weight(0, nil, 20, 6), b.weight(0, nil, 6))
	h := tensor.New(tensor.Float16, 6, 4)
	tensor.Narrow(h, b.weight(0, nil, 6, 4).Const)
	x = b.Op("MatMul", nil, b.Op("Cast", onnx.NewAttrs("to", int64(tensor.Float16)), x), b.Const(h))
	x = b.Op("Cast", onnx.NewAttrs("to", int64(tensor.Float32)), x)
	return b.finish(t, x)
}

func TestMagnitude(t *testing.T) {
	for _, sparsity := range []float64{0, 0.1, 0.5, 0.77} {
		for _, scope := range []Scope{PerLayer, Global} {
			m := layersOfAllKinds(t)
			c := m.Clone()
			r, err := Magnitude(c, sparsity, scope, quantize.Selection{})
			require.NoError(t, err)
			require.Len(t, r.Layers, 7)
			gone, all := int64(0), int64(0)
			for i, u := range weights(c.Graph) {
				l := r.Layers[i]
				n := int64(u.value.Const.Len())
				z := int64(zeros(u.value.Const))
				gone, all = gone+z, all+n
				require.Equal(t, n-z, l.After.Nonzeros)
				require.Equal(t, n, l.Before.Nonzeros)
				require.Equal(t, l.Was, l.Is)
				if scope == PerLayer {
					require.EqualValues(t, math.Round(sparsity*float64(n)), z, l.Node)
				}
				require.Zero(t, zeros(weights(m.Graph)[i].value.Const), "the original was written to")
			}
			if scope == Global {
				require.EqualValues(t, math.Round(sparsity*float64(all)), gone)
			}
			require.Equal(t, gone, r.Before.Nonzeros-r.After.Nonzeros, "biases and normalisations stay")
			require.Equal(t, r.Before.FLOPs, r.After.FLOPs)
			require.Positive(t, r.Before.FLOPs)
			require.Empty(t, onnx.Check(c))
			outputs(t, c)
		}
	}
	for _, bad := range []float64{-1, 1, 2, math.NaN()} {
		_, err := Magnitude(layersOfAllKinds(t), bad, PerLayer, quantize.Selection{})
		require.ErrorContains(t, err, "sparsity")
	}
}

func TestSelection(t *testing.T) {
	m := layersOfAllKinds(t)
	r, err := Magnitude(m, 0.5, Global, quantize.Selection{Ops: []string{"Conv"}})
	require.NoError(t, err)
	for _, l := range r.Layers {
		if l.Op == "Conv" {
			require.Empty(t, l.Reason)
			require.Equal(t, l.After.Parameters/2, l.After.Nonzeros)
		} else {
			require.Equal(t, "not among the chosen operators", l.Reason)
			require.Equal(t, l.Before, l.After)
		}
	}
	_, err = Magnitude(m, 0.5, Global, quantize.Selection{Exclude: []string{"none"}})
	require.ErrorContains(t, err, `no node "none"`)
}

// TestLeastOf compares counting with sorting.
func TestLeastOf(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		lists := make([][]float64, 1+r.IntN(4))
		type at struct{ list, i int }
		var order []at
		for l := range lists {
			for i := range r.IntN(50) {
				x := math.Abs(math.Ldexp(float64(r.IntN(5)), r.IntN(60)-30)) // with ties
				if r.IntN(40) == 0 {
					x = math.NaN()
				}
				lists[l] = append(lists[l], x)
				order = append(order, at{l, i})
			}
		}
		part := r.Float64()
		key := func(a at) uint64 { return math.Float64bits(lists[a.list][a.i]) }
		slices.SortStableFunc(order, func(a, b at) int { return cmp.Compare(key(a), key(b)) })
		want := make([][]int, len(lists))
		for _, a := range order[:int(math.Round(part*float64(len(order))))] {
			want[a.list] = append(want[a.list], a.i)
		}
		for _, w := range want {
			slices.Sort(w)
		}
		require.Equal(t, want, leastOf(lists, part, Global))
	}
}

func TestNM(t *testing.T) {
	for _, p := range []struct{ n, m int }{{2, 4}, {1, 4}, {1, 2}, {3, 4}, {2, 8}} {
		m := layersOfAllKinds(t)
		c := m.Clone()
		r, err := NM(c, p.n, p.m, quantize.Selection{})
		require.NoError(t, err)
		depth := []int{8, 12, 8, 16, 4, 20, 6}
		for i, l := range r.Layers {
			if depth[i]%p.m != 0 {
				require.Contains(t, l.Reason, "not a multiple", l.Node)
				require.Equal(t, l.Before, l.After)
				continue
			}
			require.Empty(t, l.Reason)
			require.Equal(t, l.Before.Parameters*int64(p.n)/int64(p.m), l.After.Nonzeros, "%v %v", l.Node, p)
		}
		// [out, in, kh, kw]: each group of m inputs at one position keeps n, the largest.
		was, is := weights(m.Graph)[0].value.Const, weights(c.Graph)[0].value.Const
		for o := range 12 {
			for k := range 9 {
				for g := 0; g < 8; g += p.m {
					kept, low, high := 0, math.Inf(1), 0.0
					for i := g; i < g+p.m; i++ {
						at := (o*8+i)*9 + k
						a, b := float64(tensor.Data[float32](was)[at]), float64(tensor.Data[float32](is)[at])
						if b != 0 {
							require.Equal(t, a, b)
							kept++
							low = min(low, math.Abs(b))
						} else {
							high = max(high, math.Abs(a))
						}
					}
					require.Equal(t, p.n, kept)
					require.GreaterOrEqual(t, low, high)
				}
			}
		}
		if p.m == 4 { // Gemm's [in, out]: along dimension 0; the transposed MatMul's [out, in]: along 1
			gemm := tensor.Data[float32](weights(c.Graph)[5].value.Const)
			matmul := tensor.Data[float32](weights(c.Graph)[2].value.Const)
			kept := func(d []float32, from, step int) (n int) {
				for i := range 4 {
					if d[from+i*step] != 0 {
						n++
					}
				}
				return n
			}
			for o := range 6 {
				require.Equal(t, p.n, kept(gemm, o, 6))
			}
			for o := range 16 {
				require.Equal(t, p.n, kept(matmul, o*8+4, 1))
			}
		}
		outputs(t, c)
	}
	for _, p := range [][2]int{{0, 4}, {4, 4}, {5, 4}, {-1, 2}} {
		_, err := NM(layersOfAllKinds(t), p[0], p[1], quantize.Selection{})
		require.ErrorContains(t, err, "0 < N < M")
	}
}

func TestBlock(t *testing.T) {
	for _, scope := range []Scope{PerLayer, Global} {
		m := layersOfAllKinds(t)
		r, err := Block(m, 4, 2, 0.5, scope, quantize.Selection{})
		require.NoError(t, err)
		w := weights(m.Graph)[5].value.Const // [20, 6]: 6 outputs by 20 inputs, in 2 by 10 blocks
		d := tensor.Data[float32](w)
		dead := 0
		for o := 0; o < 6; o += 4 {
			for i := 0; i < 20; i += 2 {
				zero, n := 0, 0
				for oo := o; oo < min(o+4, 6); oo++ {
					for ii := i; ii < i+2; ii++ {
						n++
						if d[ii*6+oo] == 0 {
							zero++
						}
					}
				}
				require.True(t, zero == 0 || zero == n, "a block is whole")
				if zero == n {
					dead++
				}
			}
		}
		if scope == PerLayer {
			require.Equal(t, 10, dead)
			require.Equal(t, r.Layers[0].After.Parameters/2, r.Layers[0].After.Nonzeros)
		}
		outputs(t, m)
	}
	_, err := Block(layersOfAllKinds(t), 0, 4, 0.5, PerLayer, quantize.Selection{})
	require.ErrorContains(t, err, "at least 1x1")
	_, err = Block(layersOfAllKinds(t), 4, 4, 1, PerLayer, quantize.Selection{})
	require.ErrorContains(t, err, "sparsity")
}

func TestSchedule(t *testing.T) {
	s := Schedule{Initial: 0.1, Final: 0.9, Begin: 100, End: 300, Every: 50}
	require.Equal(t, 0.1, s.Sparsity(0))
	require.InDelta(t, 0.1, s.Sparsity(100), 1e-12)
	require.InDelta(t, 0.9-0.8/8, s.Sparsity(200), 1e-12) // half way: (1/2)³ of the difference is left
	require.Equal(t, 0.9, s.Sparsity(300))
	require.Equal(t, 0.9, s.Sparsity(1e6))
	last := 0.0
	var due []int
	for step := range 400 {
		require.GreaterOrEqual(t, s.Sparsity(step), last-1e-12)
		last = s.Sparsity(step)
		if s.Due(step) {
			due = append(due, step)
		}
	}
	require.Equal(t, []int{100, 150, 200, 250, 300}, due)
	require.True(t, Schedule{End: 3}.Due(1))
	require.Equal(t, 0.5, Schedule{Final: 0.5, Begin: 7, End: 7}.Sparsity(7))
}

func TestScope(t *testing.T) {
	for _, s := range []Scope{PerLayer, Global} {
		p, err := ParseScope(s.String())
		require.NoError(t, err)
		require.Equal(t, s, p)
	}
	_, err := ParseScope("x")
	require.Error(t, err)
}
