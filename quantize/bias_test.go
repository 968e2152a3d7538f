package quantize

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// biased is a Gemm [1, 4] x [4, 3] with the given weights of the second channel and bias.
func biased(t *testing.T, second float32, bias ...float32) *onnx.Model {
	return newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		w := param(b, "w", 4, 3)
		for i := range 4 {
			tensor.Data[float32](w.Const)[3*i+1] *= second
		}
		return one(b.Op("Gemm", nil, input(b, "x", 1, 4), w, b.G.NewConst("b", tensor.Of(bias))))
	})
}

// integersOf returns what the DequantizeLinear of that name reads.
func integersOf(t *testing.T, m *onnx.Model, name string) (codes *tensor.Tensor, scales []float32) {
	t.Helper()
	for _, n := range m.Graph.Nodes {
		if n.Out[0].Name == name {
			return n.In[0].Const, tensor.Data[float32](n.In[1].Const)
		}
	}
	t.Fatalf("no value %q", name)
	return nil, nil
}

func TestBias(t *testing.T) {
	bias := []float32{0.3, -0.2, 5}
	for _, c := range []StaticConfig{{}, {PerTensor: true}, {AsymmetricWeights: true}, {Weights: tensor.Uint8}, {Activations: tensor.Int16}} {
		q, s := quantised(t, biased(t, 1, bias...), c)
		require.NotContains(t, s.Changes[0].Format, "float bias")
		_, x := integersOf(t, q, "x_dq")
		_, w := integersOf(t, q, "w_dq")
		b, unit := integersOf(t, q, "b_dq")
		require.Equal(t, tensor.Int32, b.DType())
		for i, k := range tensor.Data[int32](b) {
			require.InEpsilon(t, float64(x[0])*float64(w[i%len(w)]), unit[i%len(unit)], 1e-6)
			require.InDelta(t, bias[i], float64(k)*float64(unit[i%len(unit)]), 0.51*float64(unit[i%len(unit)]))
		}
	}
}

// A bias that is 2³⁰ times its unit or more makes the scale of its channel wider;
// that of a channel without weights is its own.
func TestBiasScales(t *testing.T) {
	for _, second := range []float32{0, 1e-12, 1e-30} {
		for _, c := range []StaticConfig{{}, {AsymmetricWeights: true}, {Format: QOperator}} {
			m := biased(t, second, 0.3, -2, 0)
			q, s := quantised(t, m, c)
			require.NotContains(t, s.Changes[0].Format, "float bias")
			acts, weights := steps(q)
			requireNear(t, m, q, optimize.Best, 4*acts+12*weights, 1, 2)
			if c.Format == QDQ {
				b, unit := integersOf(t, q, "b_dq")
				k := tensor.Data[int32](b)[1]
				require.InEpsilon(t, -2, float64(k)*float64(unit[1]), 1e-6)
				require.LessOrEqual(t, math.Abs(float64(k)), float64(maxBias))
			}
		}
	}
	// One scale for all channels is not given up for one bias.
	m := biased(t, 1, 1e7, 0, 0)
	for f, ops := range map[StaticFormat]string{QDQ: "Gemm", QOperator: "Gemm"} {
		q, s := quantised(t, m, StaticConfig{PerTensor: true, Format: f})
		require.Contains(t, s.Changes[0].Format, "float bias that does not fit int32")
		require.Contains(t, opsOf(q), ops)
		requireNear(t, m, q, optimize.Best, 1e5, 1, 2)
	}
}

// What cannot be an int32 vector stays in floating point, or with the operators
// of QOperator the whole node does.
func TestBiasStays(t *testing.T) {
	gemm := func(bias func(b *ops.Builder) *onnx.Value) *onnx.Model {
		return newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
			return one(b.Op("Gemm", nil, input(b, "x", 2, 4), param(b, "w", 4, 3), bias(b)))
		})
	}
	for _, c := range []struct {
		why  string
		bias func(b *ops.Builder) *onnx.Value
	}{
		{"its bias is not constant", func(b *ops.Builder) *onnx.Value { return input(b, "z", 3) }},
		{"its bias is no vector", func(b *ops.Builder) *onnx.Value { return param(b, "b", 2, 3) }},
		{"its bias is no vector", func(b *ops.Builder) *onnx.Value { return param(b, "b", 2, 1) }},
	} {
		m := gemm(c.bias)
		q, s := quantised(t, m, StaticConfig{})
		require.Equal(t, "uint8 x int8 per channel, float bias", s.Changes[0].Format)
		acts, weights := steps(q)
		requireNear(t, m, q, optimize.Best, 4*acts+12*weights, 1, 2)
		_, s = quantised(t, m, StaticConfig{Format: QOperator})
		require.Equal(t, c.why, s.Changes[0].Reason)
	}
	nan := gemm(func(b *ops.Builder) *onnx.Value {
		return b.G.NewConst("b", tensor.Of([]float32{0, float32(math.NaN()), 0}))
	})
	_, s := quantised(t, nan, StaticConfig{})
	require.Equal(t, "its bias has NaN or infinite elements", s.Changes[0].Reason)
	q, s := quantised(t, biased(t, 1, 1, 2, 3), StaticConfig{BlockSize: 2})
	require.Equal(t, "uint8 x int8 in blocks of 2, float bias", s.Changes[0].Format)
	require.Equal(t, 1, strings.Count(opsOf(q), "Gemm"))
}

// A bias of two products with other inputs is quantised for each; weights once.
func TestBiasShared(t *testing.T) {
	m := newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		w, bias := param(b, "w", 4, 4), param(b, "b", 4)
		h := named("h", b.Op("Gemm", nil, input(b, "x", 2, 4), w, bias))
		return one(b.Op("Gemm", nil, h, w, bias))
	})
	q, s := quantised(t, m, StaticConfig{})
	require.Equal(t, 2, s.Changed())
	var names []string
	for _, v := range q.Graph.Consts {
		if strings.Contains(v.Name, "quantized") && v.Const.DType() != tensor.Float32 && v.Const.Rank() > 0 && !strings.Contains(v.Name, "zero") {
			names = append(names, v.Name)
		}
	}
	require.ElementsMatch(t, []string{"w_quantized", "b_quantized", "b_quantized_2"}, names)
	requireNear(t, m, q, optimize.Best, 0.4, 1, 2)
	// The scale of the second channel would have to be wider for one of the readers.
	tensor.Data[float32](m.Graph.Consts[1].Const)[1] = 1e8
	for i := range 4 {
		tensor.Data[float32](m.Graph.Consts[0].Const)[4*i+1] *= 1e-3
	}
	_, s = quantised(t, m, StaticConfig{})
	require.Contains(t, s.Changes[0].Format, "float bias that does not fit int32")
}
