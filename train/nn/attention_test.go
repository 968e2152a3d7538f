package nn

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// Without dropping anything, attention whose weights can be dropped is Attention, which
// TestPyTorch compares with PyTorch's.
func TestAttentionDropoutInference(t *testing.T) {
	masked := func(l MultiHeadAttention) Layer {
		return Func(func(s *Scope, x *onnx.Value) *onnx.Value {
			// Position 0 may attend to nothing.
			m := tensor.Of([]bool{false, false, false, false, true, true, false, true, false, true, false, true, true, true, true, true}, 4, 4)
			l.Mask = s.Const(m)
			return l.Forward(s, x)
		})
	}
	memory := func(l MultiHeadAttention) Layer {
		return Func(func(s *Scope, x *onnx.Value) *onnx.Value {
			l.Memory = s.Op("Slice", nil, x, s.Ints(1), s.Ints(4), s.Ints(1))
			return l.Forward(s, x)
		})
	}
	plain := func(l MultiHeadAttention) Layer { return l }
	for name, c := range map[string]struct {
		wrap func(MultiHeadAttention) Layer
		l    MultiHeadAttention
	}{
		"plain":             {plain, MultiHeadAttention{Heads: 2}},
		"causal":            {plain, MultiHeadAttention{Heads: 2, Causal: true}},
		"rotary":            {plain, MultiHeadAttention{Heads: 2, Causal: true, Rotary: &Rotary{Max: 8}}},
		"masked":            {masked, MultiHeadAttention{Heads: 4}},
		"masked and causal": {masked, MultiHeadAttention{Heads: 4, Causal: true}},
		"memory":            {memory, MultiHeadAttention{Heads: 1}},
	} {
		_, want := build(t, Floats("x", 4, 8), c.wrap(c.l), 3)
		c.l.AttentionDropout = 0.4
		_, got := build(t, Floats("x", 4, 8), c.wrap(c.l), 3)
		require.NoError(t, tensor.Compare(got, want, tensor.Tolerance{Abs: 1e-6, Rel: 1e-5}), name)
	}
	_, err := Build(1, []Input{Floats("x", 4, 8)}, func(s *Scope, x []*onnx.Value) []Output {
		return []Output{{"y", s.Apply("net", MultiHeadAttention{Heads: 2, AttentionDropout: 1}, x[0])}}
	})
	require.ErrorContains(t, err, "Dropout.P is 1")
}

// What is dropped are the weights after softmax: with the mask fixed, Y = (P ⊙ mask)·V of
// P = softmax(Q·Kᵀ/√d) in one head.
func TestAttentionDropoutDefinition(t *testing.T) {
	const time, size = 3, 4
	m, err := Build(1, []Input{Floats("x", time, size)}, func(s *Scope, x []*onnx.Value) []Output {
		return []Output{{"y", MultiHeadAttention{Heads: 1, AttentionDropout: 0.5}.Forward(s, x[0])}}
	})
	require.NoError(t, err)
	mask := []float32{0, 2, 2, 2, 0, 2, 0, 0, 2}
	for _, n := range m.Graph.Nodes {
		if n.Op == "Dropout" {
			mul := m.Graph.NewNode("Mul", nil, []*onnx.Value{n.In[0], m.Graph.NewConst("mask", tensor.Of(mask, 3, 3))}, 1)
			m.Graph.Insert(n, mul)
			m.Graph.Replace(n.Out[0], mul.Out[0])
			m.Graph.Remove(n)
			break
		}
	}
	w := map[string][]float32{}
	for _, v := range m.Graph.Consts {
		if v.Const.DType() == tensor.Float32 {
			w[v.Name] = tensor.Data[float32](v.Const)
		}
	}
	linear := func(name string, x []float64, out int) []float64 { // [3, size] → [3, out]
		y := make([]float64, time*out)
		for i := range y {
			y[i] = float64(w[name+".bias"][i%out])
			for k := range size {
				y[i] += x[i/out*size+k] * float64(w[name+".weight"][i%out*size+k])
			}
		}
		return y
	}
	x64 := optest.Normal(7, 1, time, size)
	x := tensor.New(tensor.Float32, 1, time, size)
	for i, v := range tensor.Data[float64](x64) {
		tensor.Data[float32](x)[i] = float32(v)
	}
	all := linear("in_proj", tensor.Data[float64](x64), 3*size)
	attended := make([]float64, time*size)
	for i := range time {
		var p [time]float64
		sum := 0.0
		for j := range time {
			for k := range size {
				p[j] += all[i*3*size+k] * all[j*3*size+size+k] / 2
			}
			p[j] = math.Exp(p[j])
			sum += p[j]
		}
		for j := range time {
			for k := range size {
				attended[i*size+k] += p[j] / sum * float64(mask[i*time+j]) * all[j*3*size+2*size+k]
			}
		}
	}
	want := linear("out_proj", attended, size)
	s, err := runtime.New(m, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(context.Background(), map[string]tensor.Value{"x": x})
	require.NoError(t, err)
	for i, v := range tensor.Data[float32](out["y"].(*tensor.Tensor)) {
		require.InDelta(t, want[i], float64(v), 1e-5)
	}
}

// Weights are dropped while training, the same at any number of threads, and nothing is
// left of it in what is exported.
func TestAttentionDropoutTraining(t *testing.T) {
	ctx := context.Background()
	x, y := tensor.New(tensor.Float32, 16, 4, 8), tensor.New(tensor.Float32, 16, 4, 8)
	for i, v := range tensor.Data[float64](optest.Normal(1, 16, 4, 8)) {
		tensor.Data[float32](x)[i], tensor.Data[float32](y)[i] = float32(v), float32(math.Sin(3*v))
	}
	set := train.Arrays{"x": x, "y": y}
	fit := func(p float64, threads int) []float64 {
		m, err := Build(1, []Input{Floats("x", 4, 8)}, func(s *Scope, in []*onnx.Value) []Output {
			return []Output{{"out", s.Apply("net", TransformerLayer{Heads: 2, Hidden: 16, Causal: true, AttentionDropout: p}, in[0])}}
		})
		require.NoError(t, err)
		tr, err := train.New(m, train.Config{Loss: train.MSE{}, Target: "y", Optimizer: train.Adam{LR: 0.01}, Seed: 2, Threads: threads})
		require.NoError(t, err)
		defer tr.Close()
		h, err := tr.Fit(ctx, train.FitOptions{Train: &train.Loader{Dataset: set, BatchSize: 8}, Epochs: 3})
		require.NoError(t, err)
		e, err := tr.Export(ctx, train.ExportOptions{Inputs: map[string]*tensor.Tensor{"x": x}})
		require.NoError(t, err)
		for _, n := range e.Graph.Nodes {
			require.NotEqual(t, "Dropout", n.Op)
		}
		return []float64{h[0].TrainLoss, h[1].TrainLoss, h[2].TrainLoss}
	}
	one := fit(0.5, 1)
	require.Equal(t, one, fit(0.5, 2))
	require.NotEqual(t, one, fit(0, 1))
	require.Less(t, one[2], one[0])
}
