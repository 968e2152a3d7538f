package quantize

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// encoder is a layer of a transformer. outlier scales what one channel of the
// feed-forward network adds to the residual sum, as trained models have it.
func encoder(t *testing.T, outlier float32) *onnx.Model {
	const d = 16
	weights := 0 // each of another name, and so of other elements
	return newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		norm := func(x *onnx.Value) *onnx.Value {
			return b.Op("LayerNormalization", nil, x, param(b, b.G.Name+x.Name+"g", d))
		}
		table := param(b, "table", 8, d)
		ids := b.Const(tensor.Of([]int64{1, 5, 2, 7}, 4))
		words := named("words", b.Op("Gather", nil, table, ids))
		x := named("x0", b.Op("Add", nil, named("placed", b.Op("Add", nil, words, param(b, "positions", 4, d))), input(b, "x", 4, d)))
		product := func(name string, x *onnx.Value, n, m int) *onnx.Value {
			weights++
			return named(name, b.Op("MatMul", nil, x, param(b, strings.Repeat("w", weights), n, m)))
		}
		q, k, v := product("q", x, d, d), product("k", x, d, d), product("v", x, d, d)
		scores := named("scores", b.Op("MatMul", nil, q, b.Op("Transpose", nil, k)))
		p := named("p", b.Op("Softmax", nil, scores))
		h := named("h", b.Op("Add", nil, x, product("o", named("context", b.Op("MatMul", nil, p, v)), d, d)))
		h = named("n1", norm(h))
		up := named("act", b.Op("Relu", nil, product("up", h, d, 2*d)))
		w := param(b, "down weights", 2*d, d)
		for i := range 2 * d {
			tensor.Data[float32](w.Const)[i*d+3] *= outlier
		}
		down := named("biased", b.Op("Add", nil, named("down", b.Op("MatMul", nil, up, w)), param(b, "down bias", d)))
		return one(norm(named("sum", b.Op("Add", nil, h, down))))
	})
}

// What multiplies or looks up weights is all that is quantised of a transformer,
// and its results are not rounded. The runtime's rules find the integer products.
func TestStaticTransformer(t *testing.T) {
	m := encoder(t, 1)
	require.Equal(t, []string{"x0", "context", "n1", "act"}, Activations(m, StaticConfig{}))
	q, s := quantised(t, m, StaticConfig{})
	var changed []string
	for _, c := range s.Changes {
		if c.Format != "" {
			changed = append(changed, c.Node)
		} else {
			require.Contains(t, c.Reason, "in a transformer only", c.Node)
		}
	}
	require.ElementsMatch(t, []string{"words", "placed", "q", "k", "v", "o", "up", "down"}, changed)
	require.Len(t, strings.Split(opsOf(q), " QuantizeLinear"), 5)
	for _, v := range q.Graph.Consts {
		require.NotContains(t, []string{"table", "positions"}, v.Name) // they are stored in 8 bits
	}
	r, err := optimize.Run(q.Clone(), optimize.Machine, optimize.Options{})
	require.NoError(t, err)
	require.Equal(t, []int{5, 1, 1}, []int{r.Counts["qdq-matmul-float"], r.Counts["qdq-matmul"], r.Counts["qdq-move"]}, r) // a Relu may end one

	// Operators or nodes that are asked for are quantised as in other models.
	_, s = quantised(t, m, StaticConfig{Selection: Selection{Ops: []string{"MatMul", "Softmax"}}})
	for _, name := range []string{"scores", "p", "context"} {
		require.Equal(t, "", reasonOf(t, s, name))
	}
	_, s = quantised(t, m, StaticConfig{Selection: Selection{Include: []string{"scores", "p"}}})
	require.Equal(t, 2, s.Changed())

	// Operators on integers write integers: what they are is the same.
	q, s = quantised(t, m, StaticConfig{Format: QOperator})
	require.Equal(t, 8, s.Changed())
	require.Equal(t, "", reasonOf(t, s, "act")) // the Relu of sums is part of their product
	require.Equal(t, 6, strings.Count(opsOf(q), "QLinearMatMul"))
	require.Contains(t, opsOf(q), "Softmax")
	require.NotContains(t, opsOf(q), "Relu")
	requireNear(t, m, q, optimize.None, 0.1, 1, 2)
	requireNear(t, m, q, optimize.Machine, 0.1, 1, 2)
}

// A Relu of sums goes with the product also where nothing behind it is quantised.
func TestStaticTransformerEndsInFloats(t *testing.T) {
	m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x := input(b, "x", 4, 16)
		p := b.Op("Softmax", nil, b.Op("MatMul", nil, x, b.Op("Transpose", nil, x)))
		h := named("up", b.Op("MatMul", nil, b.Op("MatMul", nil, p, x), param(b, "w", 16, 16)))
		return one(b.Op("Add", nil, x, named("act", b.Op("Relu", nil, h))))
	})
	for _, f := range []StaticFormat{QDQ, QOperator} {
		q, s := quantised(t, m, StaticConfig{Format: f})
		require.Equal(t, "", reasonOf(t, s, "up"))
		for _, level := range []optimize.Level{optimize.None, optimize.Machine} {
			requireNear(t, m, q, level, 0.1, 1, 2)
		}
	}
}

// One channel far wider than the others, which the normalization makes up for,
// must not cost the others their precision.
func TestStaticTransformerOutliers(t *testing.T) {
	m := encoder(t, 100)
	noise := func(c StaticConfig) float64 {
		q, _ := quantised(t, m, c)
		in := samples(t, m, 1)
		want, got := run(t, m, optimize.None, in), run(t, q, optimize.None, in)
		sum, n := 0.0, 0.0
		x, y := tensor.Data[float32](want["y0"].(*tensor.Tensor)), tensor.Data[float32](got["y0"].(*tensor.Tensor))
		for i := range x {
			if i%16 != 3 {
				sum += float64(x[i]-y[i]) * float64(x[i]-y[i])
				n += float64(x[i]) * float64(x[i])
			}
		}
		return sum / n
	}
	all := noise(StaticConfig{Selection: Selection{Ops: []string{"MatMul", "Add", "Relu", "Softmax", "LayerNormalization", "Transpose", "Gather"}}})
	products := noise(StaticConfig{})
	require.Less(t, 10*products, all)
}

// Models are not taken for transformers that multiply no computed matrix by a
// Softmax, or whose weights are mostly those of convolutions.
func TestIsTransformer(t *testing.T) {
	is := func(m *onnx.Model) bool {
		_, p, err := planStatic(m, nil, StaticConfig{})
		require.NoError(t, err)
		return p.transformer
	}
	require.True(t, is(encoder(t, 1)))
	require.False(t, is(residual(t, 13))) // its Softmax gives the output
	attention := func(channels int) *onnx.Model {
		return newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
			x := b.Op("Conv", nil, input(b, "x", 1, 4, 6), param(b, "conv", channels, 4, 1))
			x = b.Op("MatMul", nil, x, param(b, "w", 6, 6))
			p := b.Op("Softmax", nil, b.Op("MatMul", nil, x, b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1}), x)))
			p = b.Op("Reshape", nil, p, b.Ints(1, channels, channels)) // on the way to the product
			return one(b.Op("MatMul", nil, p, x))
		})
	}
	require.True(t, is(attention(8)))
	require.False(t, is(attention(10)))
	require.False(t, is(newModel(t, 13, func(b *ops.Builder) []*onnx.Value { // experts are mixed by constants
		return one(b.Op("MatMul", nil, b.Op("Softmax", nil, b.Op("MatMul", nil, input(b, "x", 2, 4), param(b, "a", 4, 4))), param(b, "c", 4, 4)))
	})))
}
