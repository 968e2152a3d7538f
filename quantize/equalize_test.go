package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// unequal scales the indices of an axis of v by factors that differ much.
func unequal(v *onnx.Value, axis int) *onnx.Value {
	r := rand.New(rand.NewPCG(5, uint64(v.Const.Len())))
	by := make([]float32, v.Const.Dim(axis))
	for i := range by {
		by[i] = float32(math.Exp(1.5 * r.NormFloat64()))
	}
	x := tensor.Data[float32](v.Const)
	granularity{axis: axis}.parts(v.Const.Shape()).each(func(i, c int) { x[i] *= by[c] })
	return v
}

// equalizable are chains of products whose channels have unequal weights, with
// how many pairs they are.
var equalizable = map[string]struct {
	pairs int
	build func(b *ops.Builder) []*onnx.Value
}{
	"depthwise": {2, func(b *ops.Builder) []*onnx.Value { // as in MobileNet
		x := input(b, "x", 1, 3, 8, 8)
		h := b.Op("Relu", nil, b.Op("Conv", nil, x, unequal(param(b, "w", 12, 3, 1, 1), 0), param(b, "b", 12)))
		h = b.Op("Relu", nil, b.Op("Conv", onnx.NewAttrs("group", 12, "pads", []int{1, 1, 1, 1}), h, unequal(param(b, "ww", 12, 1, 3, 3), 0), param(b, "bb", 12)))
		return []*onnx.Value{b.Op("Conv", nil, h, param(b, "www", 4, 12, 1, 1), param(b, "bbb", 4))}
	}},
	"groups": {2, func(b *ops.Builder) []*onnx.Value { // 2 groups read what 3 groups wrote
		x := input(b, "x", 1, 6, 6, 6)
		h := b.Op("LeakyRelu", onnx.NewAttrs("alpha", 0.1), b.Op("Conv", onnx.NewAttrs("group", 3), x, unequal(param(b, "w", 12, 2, 3, 3), 0)))
		h = b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{2, 2}), b.Op("Conv", onnx.NewAttrs("group", 2), h, unequal(param(b, "ww", 8, 6, 1, 1), 0), param(b, "bb", 8)))
		return []*onnx.Value{b.Op("Conv", onnx.NewAttrs("group", 4), h, param(b, "www", 8, 2, 1, 1))}
	}},
	"transposed": {2, func(b *ops.Builder) []*onnx.Value {
		x := input(b, "x", 1, 4, 5, 5)
		h := b.Op("ConvTranspose", onnx.NewAttrs("group", 2, "strides", []int{2, 2}), x, unequal(param(b, "w", 4, 3, 3, 3), 1), param(b, "b", 6))
		h = b.Op("PRelu", nil, h, param(b, "slope", 6, 1, 1))
		h = b.Op("ConvTranspose", onnx.NewAttrs("group", 3), h, unequal(param(b, "ww", 6, 2, 2, 2), 1))
		return []*onnx.Value{b.Op("Conv", nil, h, param(b, "www", 2, 6, 1, 1))}
	}},
	"matrices": {3, func(b *ops.Builder) []*onnx.Value {
		x := input(b, "x", 4, 10)
		h := b.Op("Relu", nil, b.Op("Gemm", onnx.NewAttrs("transB", 1, "alpha", 0.5, "beta", 2.0), x, unequal(param(b, "w", 16, 10), 0), param(b, "b", 16)))
		h = b.Op("Clip", nil, b.Op("Gemm", nil, h, unequal(param(b, "ww", 16, 20), 1)), b.Float(tensor.Float32, 0))
		h = b.Op("Relu", nil, b.Op("Add", nil, param(b, "bbb", 12), b.Op("MatMul", nil, h, unequal(param(b, "www", 20, 12), 1))))
		return []*onnx.Value{b.Op("MatMul", nil, h, param(b, "wwww", 12, 5))}
	}},
}

// TestEqualize: the function stays, and the channels of each pair have ranges alike.
func TestEqualize(t *testing.T) {
	for name, c := range equalizable {
		m := newModel(t, 13, c.build)
		var before [][]float32
		for _, v := range m.Graph.Consts {
			before = append(before, slices.Clone(tensor.Data[float32](v.Const)))
		}
		q := m.Clone()
		e := Equalize(q.Graph)
		require.NoError(t, q.Graph.Check())
		require.Len(t, e.Pairs, c.pairs, "%s: %v", name, e.Left)
		require.Len(t, e.Left, 1, name) // the last product
		require.Less(t, e.Sweeps, maxSweeps, name)
		for i, v := range m.Graph.Consts {
			require.Equal(t, before[i], tensor.Data[float32](v.Const), "%s: the original shares %q", name, v.Name)
		}
		in := samples(t, m, 1)
		want, got := run(t, m, optimize.None, in)["y0"].(*tensor.Tensor), run(t, q, optimize.None, in)["y0"].(*tensor.Tensor)
		var sum errorSum
		require.NoError(t, sum.add(want, got))
		require.Less(t, sum.result("").RelativeL2, 1e-6, name)
		changed := 0
		for i, n := range q.Graph.Nodes {
			if !isProduct(n) {
				continue
			}
			p, why := pairOf(q.Graph, n)
			if why != "" {
				continue
			}
			r1, r2 := p.first.magnitudes(), p.second.magnitudes()
			free := len(p.biases) == 0
			for ch := range r1 {
				if free {
					require.InEpsilon(t, r1[ch], r2[ch], 0.01, "%s, channel %d of node %d", name, ch, i)
				}
				require.LessOrEqual(t, r1[ch], r2[ch]*1.01, "%s: only a bias stops a channel, from growing", name)
			}
			changed++
		}
		require.Equal(t, c.pairs, changed)
	}
}

// TestEqualizeHelps: with one scale for all channels of a weight, quantising
// loses less after equalisation.
func TestEqualizeHelps(t *testing.T) {
	for name, c := range equalizable {
		m := newModel(t, 13, c.build)
		snr := func(q *onnx.Model) float64 {
			q, _ = quantised(t, q, StaticConfig{PerTensor: true})
			in := samples(t, m, 1)
			var sum errorSum
			require.NoError(t, sum.add(run(t, m, optimize.None, in)["y0"].(*tensor.Tensor), run(t, q, optimize.None, in)["y0"].(*tensor.Tensor)))
			return sum.result("").SNR
		}
		e := m.Clone()
		Equalize(e.Graph)
		require.Greater(t, snr(e), snr(m)+1, name)
	}
}

// TestEqualizeLeaves: what would change the function stays as it was, with the reason.
func TestEqualizeLeaves(t *testing.T) {
	conv := func(b *ops.Builder, x *onnx.Value, w string, out, in int) *onnx.Value {
		return b.Op("Conv", nil, x, unequal(param(b, w, out, in, 1, 1), 0))
	}
	for why, build := range map[string]func(b *ops.Builder) []*onnx.Value{
		`Clip "y", which reads its results, is not positively homogeneous in each channel`: func(b *ops.Builder) []*onnx.Value {
			h := named("y", b.Op("Clip", nil, conv(b, input(b, "x", 1, 3, 4, 4), "w", 6, 3), b.Float(tensor.Float32, 0), b.Float(tensor.Float32, 6)))
			return []*onnx.Value{conv(b, h, "ww", 2, 6)}
		},
		"its results have 2 readers": func(b *ops.Builder) []*onnx.Value {
			h := conv(b, input(b, "x", 1, 3, 4, 4), "w", 6, 3)
			return []*onnx.Value{conv(b, b.Op("Relu", nil, h), "ww", 2, 6), b.Op("Relu", nil, h)}
		},
		"its results are an output of the graph": func(b *ops.Builder) []*onnx.Value {
			h := conv(b, input(b, "x", 1, 3, 4, 4), "w", 6, 3)
			return []*onnx.Value{h, conv(b, h, "ww", 2, 6)}
		},
		`its weights "w" are used elsewhere, too`: func(b *ops.Builder) []*onnx.Value {
			w := unequal(param(b, "w", 5, 5), 0)
			return []*onnx.Value{b.Op("MatMul", nil, b.Op("MatMul", nil, input(b, "x", 2, 5), w), w)}
		},
		`what is added to its results, "b", is no constant vector of float32 for its channels`: func(b *ops.Builder) []*onnx.Value {
			h := b.Op("Gemm", nil, input(b, "x", 2, 5), unequal(param(b, "w", 5, 6), 1), param(b, "b", 2, 1))
			return []*onnx.Value{b.Op("MatMul", nil, h, param(b, "ww", 6, 2))}
		},
		`Gemm "y0", which reads its results: it reads channels along its rows`: func(b *ops.Builder) []*onnx.Value {
			h := b.Op("MatMul", nil, input(b, "x", 2, 5), unequal(param(b, "w", 5, 6), 1))
			return []*onnx.Value{b.Op("Gemm", onnx.NewAttrs("transA", 1), h, param(b, "ww", 2, 6))}
		},
		`its weights "w" have NaN or infinite elements`: func(b *ops.Builder) []*onnx.Value {
			w := param(b, "w", 6, 3, 1, 1)
			tensor.Data[float32](w.Const)[3] = float32(math.NaN())
			return []*onnx.Value{conv(b, b.Op("Conv", nil, input(b, "x", 1, 3, 4, 4), w), "ww", 2, 6)}
		},
	} {
		m := newModel(t, 13, build)
		before := m.Clone()
		e := Equalize(m.Graph)
		require.Empty(t, e.Pairs, why)
		require.Contains(t, e.Left[0].Reason, why)
		for i, v := range m.Graph.Consts {
			require.Equal(t, before.Graph.Consts[i].Const.Bytes(), v.Const.Bytes(), why)
		}
	}
}

// TestEqualizeBias: a channel with hardly any weights does not get a bias that
// takes the range of all others.
func TestEqualizeBias(t *testing.T) {
	m := newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		w := param(b, "w", 4, 3, 1, 1)
		for i := range 3 {
			tensor.Data[float32](w.Const)[i] *= 1e-12
		}
		h := named("h", b.Op("Conv", nil, input(b, "x", 1, 3, 4, 4), w, param(b, "b", 4)))
		return []*onnx.Value{b.Op("Conv", nil, h, param(b, "ww", 2, 4, 1, 1))}
	})
	q := m.Clone()
	require.Len(t, Equalize(q.Graph).Pairs, 1)
	in := samples(t, m, 1)
	top := func(m *onnx.Model) float32 {
		return extent(tensor.Data[float32](run(t, m, optimize.None, in, "h")["h"].(*tensor.Tensor)))
	}
	require.Less(t, top(q), 4*top(m))
}
