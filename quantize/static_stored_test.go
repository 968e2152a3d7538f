package quantize

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// tagger is a bidirectional LSTM, a GRU and a product.
func tagger(b *ops.Builder) []*onnx.Value {
	x := input(b, "x", 5, 2, 8)
	h := named("h", b.Op("LSTM", onnx.NewAttrs("hidden_size", 16, "direction", "bidirectional"), x, param(b, "w", 2, 64, 8), param(b, "rr", 2, 64, 16), param(b, "bias", 2, 128)))
	perm := b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), h)
	flat := b.Op("Reshape", nil, perm, b.Ints(5, 2, 32))
	s := named("s", b.Op("GRU", onnx.NewAttrs("hidden_size", 16), flat, param(b, "gw", 1, 48, 32), param(b, "grr", 1, 48, 16)))
	return one(b.Op("MatMul", nil, s, param(b, "head", 16, 48)))
}

// Recurrent weights are stored as integers with a scale for each row of each gate
// and direction; the rest of the layer stays as it is, and a session keeps nothing of that.
func TestStaticRecurrent(t *testing.T) {
	m := newModel(t, 17, tagger)
	for _, c := range []StaticConfig{{}, {Format: QOperator}, {Weights: tensor.Uint8, AsymmetricWeights: true}} {
		q, s := quantised(t, m, c)
		require.Less(t, float64(s.After), 0.42*float64(s.Before)) // biases stay
		for _, ch := range s.Changes {
			if ch.Op == "LSTM" || ch.Op == "GRU" {
				require.Equal(t, c.weightsName()+" weights per channel, dequantized", ch.Format)
			}
		}
		for _, n := range q.Graph.Nodes {
			if n.Op != "LSTM" && n.Op != "GRU" {
				continue
			}
			require.True(t, n.In[0].From == nil || n.In[0].From.Op != "DequantizeLinear")
			for i, w := range n.In[1:3] {
				dq, rows := w.From, 48
				if n.Op == "LSTM" {
					require.Equal(t, "Reshape", dq.Op)
					shape, err := ops.IntsOf(dq.In[1].Const)
					require.NoError(t, err)
					require.Equal(t, m.Graph.Nodes[0].In[i+1].Const.Shape(), shape)
					dq, rows = dq.In[0].From, 128
				}
				require.Equal(t, "DequantizeLinear", dq.Op)
				require.Equal(t, c.weightsName(), dq.In[0].Const.DType().String())
				require.Equal(t, []int{rows}, dq.In[1].Const.Shape())
				require.Equal(t, !c.AsymmetricWeights, len(dq.In) == 2)
			}
			if len(n.In) > 3 {
				require.Equal(t, tensor.Float32, n.In[3].Const.DType())
			}
		}
		requireNear(t, m, q, optimize.Best, 0.3, 1, 2)
		best := q.Clone()
		_, err := optimize.Run(best, optimize.Best, optimize.Options{})
		require.NoError(t, err)
		for _, n := range best.Graph.Nodes {
			if n.Op == "LSTM" || n.Op == "GRU" {
				require.NotNil(t, n.In[1].Const, "W is computed in each run")
				require.NotNil(t, n.In[2].Const, "R is computed in each run")
			}
		}
	}
}

func (c *StaticConfig) weightsName() string {
	if c.Weights == tensor.Undefined {
		return tensor.Int8.String()
	}
	return c.Weights.String()
}

// What is stored can be excluded, is not worth it if small, and needs no axis
// with one scale for each tensor.
func TestStaticStoredReasons(t *testing.T) {
	m := newModel(t, 17, tagger)
	lstm := NodeName(m.Graph.Nodes[0])
	_, s := quantised(t, m, StaticConfig{Selection: Selection{Exclude: []string{lstm}}})
	require.Equal(t, "excluded", reasonOf(t, s, lstm))
	_, s = quantised(t, m, StaticConfig{Selection: Selection{Ops: []string{"MatMul"}}})
	require.Equal(t, "not among the chosen operators", reasonOf(t, s, lstm))

	small := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		h := b.Op("RNN", onnx.NewAttrs("hidden_size", 8), input(b, "x", 5, 2, 64), param(b, "w", 1, 8, 64), param(b, "rr", 1, 8, 8))
		g := b.Op("GRU", onnx.NewAttrs("hidden_size", 8), input(b, "z", 5, 2, 64), input(b, "gw", 1, 24, 64), param(b, "grr", 1, 24, 8))
		return []*onnx.Value{h, g, b.Op("MatMul", nil, h, param(b, "head", 8, 8))}
	})
	_, s = quantised(t, small, StaticConfig{})
	require.Contains(t, reasonOf(t, s, NodeName(small.Graph.Nodes[0])), `"rr" have 64 elements`)
	require.Contains(t, reasonOf(t, s, NodeName(small.Graph.Nodes[1])), `"gw" are not constant`)

	old := newModel(t, 10, func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("GRU", onnx.NewAttrs("hidden_size", 16), input(b, "x", 5, 2, 8), param(b, "w", 1, 48, 8), param(b, "rr", 1, 48, 16)))
	})
	q, s := quantised(t, old, StaticConfig{PerTensor: true})
	require.Equal(t, "int8 weights, dequantized", s.Changes[0].Format)
	require.Equal(t, 10, q.Opsets[""])
	require.Equal(t, "DequantizeLinear DequantizeLinear GRU", opsOf(q))
	requireNear(t, old, q, optimize.Best, 0.1, 1, 2)
	q, _ = quantised(t, old, StaticConfig{})
	require.Equal(t, 13, q.Opsets[""])
	requireNear(t, old, q, optimize.Best, 0.1, 1, 2)
}

// Zero points of weights that are all 0 are stored once for each length, those of biases not at all.
func TestStaticSharesZeros(t *testing.T) {
	m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		x := input(b, "x", 1, 4, 6, 6)
		for _, name := range []string{"1", "22", "333"} {
			x = named("c"+name, b.Op("Conv", nil, x, param(b, "w"+name, 4, 4, 1, 1), param(b, "bias"+name, 4)))
		}
		return one(x)
	})
	q, _ := quantised(t, m, StaticConfig{})
	zeros := map[string]int{}
	for _, n := range q.Graph.Nodes {
		if n.Op == "DequantizeLinear" && n.In[0].Const != nil {
			if n.In[0].Const.DType() == tensor.Int32 {
				require.Len(t, n.In, 2)
				continue
			}
			require.Len(t, n.In, 3)
			zeros[n.In[2].Name]++
		}
	}
	require.Equal(t, map[string]int{"zero_points_int8_4": 3}, zeros)
	requireNear(t, m, q, optimize.Best, 0.5, 1, 2)
}

// Recurrent weights can be trained with the roundings of what is stored.
func TestStaticStoredFake(t *testing.T) {
	m := newModel(t, 17, tagger)
	ranges := calibrate(t, m, StaticConfig{}, 1, 2)
	fake, s, err := FakeQuantized(m, ranges, StaticConfig{})
	require.NoError(t, err)
	require.Positive(t, s.Changed())
	for _, v := range m.Graph.Consts {
		if v.Const.DType() == tensor.Float32 {
			require.Equal(t, v.Const.Bytes(), find(fake.Graph, v.Name).Const.Bytes(), v.Name)
		}
	}
	requireNear(t, m, fake, optimize.Best, 0.3, 1, 2)
	w := find(fake.Graph, "rr")
	for i := range tensor.Data[float32](w.Const) {
		tensor.Data[float32](w.Const)[i] /= 2
	}
	back, err := WithWeights(m, fake)
	require.NoError(t, err)
	require.Equal(t, []int{2, 64, 16}, find(back.Graph, "rr").Const.Shape())
	again, _ := static(t, back, ranges, StaticConfig{})
	requireNear(t, fake, again, optimize.Best, 0.3, 1, 2)
}
