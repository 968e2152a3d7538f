package nn

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// build makes a model of one layer, checks it and runs it on random inputs.
func build(t *testing.T, in Input, l Layer, batch int) (*onnx.Model, *tensor.Tensor) {
	t.Helper()
	m, err := Build(3, []Input{in}, func(s *Scope, x []*onnx.Value) []Output {
		return []Output{{"y", s.Apply("net", l, x[0])}}
	})
	require.NoError(t, err)
	require.Empty(t, onnx.Check(m))
	file, err := onnx.Encode(m)
	require.NoError(t, err)
	s, err := runtime.OpenBytes(file, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	shape := []int{batch}
	for _, d := range in.Dims[1:] {
		n, ok := d.Size()
		if !ok {
			n = 5
		}
		shape = append(shape, n)
	}
	x := tensor.New(in.DType, shape...)
	r := rand.New(rand.NewPCG(1, 1))
	if in.DType == tensor.Int64 {
		for i := range tensor.Data[int64](x) {
			tensor.Data[int64](x)[i] = r.Int64N(10)
		}
	} else {
		for i := range tensor.Data[float32](x) {
			tensor.Data[float32](x)[i] = float32(r.NormFloat64())
		}
	}
	out, err := s.Run(context.Background(), map[string]tensor.Value{in.Name: x})
	require.NoError(t, err)
	y := out["y"].(*tensor.Tensor)
	for _, v := range tensor.Data[float32](y) {
		require.False(t, math.IsNaN(float64(v)))
	}
	return m, y
}

func params(m *onnx.Model) map[string][]int {
	out := map[string][]int{}
	for _, v := range m.Graph.Consts {
		if v.Const.DType() == tensor.Float32 && v.Const.Rank() > 0 {
			out[v.Name] = v.Const.Shape()
		}
	}
	return out
}

func TestLayers(t *testing.T) {
	image, words, series := Floats("x", 4, 8, 8), Input{"x", tensor.Int64, []onnx.Dim{onnx.Name("batch"), onnx.Name("time")}}, Floats("x", 6, 8)
	for name, c := range map[string]struct {
		in     Input
		l      Layer
		shape  []int
		params map[string][]int
	}{
		"linear":     {Floats("x", 4), Linear{Out: 3}, []int{2, 3}, map[string][]int{"net.weight": {3, 4}, "net.bias": {3}}},
		"linear 3":   {series, Linear{Out: 3, NoBias: true}, []int{2, 6, 3}, map[string][]int{"net.weight": {3, 8}}},
		"embedding":  {words, Embedding{Num: 10, Dim: 3}, []int{2, 5, 3}, map[string][]int{"net.weight": {10, 3}}},
		"conv":       {image, Conv{Out: 6, Kernel: 3, Stride: 2, Pad: 1, Groups: 2}, []int{2, 6, 4, 4}, map[string][]int{"net.weight": {6, 2, 3, 3}, "net.bias": {6}}},
		"conv 1":     {series, Conv{Out: 5, Kernel: 3, Dilation: 2}, []int{2, 5, 4}, map[string][]int{"net.weight": {5, 6, 3}, "net.bias": {5}}},
		"transposed": {image, ConvTranspose{Out: 3, Kernel: 3, Stride: 2, Pad: 1, OutputPad: 1}, []int{2, 3, 16, 16}, map[string][]int{"net.weight": {4, 3, 3, 3}, "net.bias": {3}}},
		"pool":       {image, Sequential{MaxPool(2), AvgPool(2), Flatten{}}, []int{2, 16}, map[string][]int{}},
		"batch norm": {image, BatchNorm{}, []int{2, 4, 8, 8}, map[string][]int{"net.weight": {4}, "net.bias": {4}, "net.running_mean": {4}, "net.running_var": {4}}},
		"norms":      {series, Sequential{LayerNorm{}, RMSNorm{}, GroupNorm{Groups: 2}}, []int{2, 6, 8}, map[string][]int{"net.0.weight": {8}, "net.0.bias": {8}, "net.1.weight": {8}, "net.2.weight": {6}, "net.2.bias": {6}}},
		"lstm": {series, Recurrent{Kind: "LSTM", Hidden: 5, Layers: 2, Bidirectional: true, Dropout: 0.5}, []int{2, 6, 10}, map[string][]int{
			"net.0.weight_ih": {2, 20, 8}, "net.0.weight_hh": {2, 20, 5}, "net.0.bias": {2, 40}, "net.1.weight_ih": {2, 20, 10}, "net.1.weight_hh": {2, 20, 5}, "net.1.bias": {2, 40}}},
		"gru":         {series, Recurrent{Kind: "GRU", Hidden: 5, Last: true, ResetAfter: true}, []int{2, 5}, nil},
		"attention":   {series, MultiHeadAttention{Heads: 2, Causal: true}, []int{2, 6, 8}, map[string][]int{"net.in_proj.weight": {24, 8}, "net.in_proj.bias": {24}, "net.out_proj.weight": {8, 8}, "net.out_proj.bias": {8}}},
		"residual":    {Floats("x", 4), Residual{Body: Sequential{Linear{Out: 4}, ReLU}}, []int{2, 4}, map[string][]int{"net.body.0.weight": {4, 4}, "net.body.0.bias": {4}}},
		"sinusoids":   {series, Sinusoids{Max: 10}, []int{2, 6, 8}, map[string][]int{}},
		"activations": {Floats("x", 4), Sequential{LeakyReLU(0.1), GELU, SiLU, Mish, ELU, SELU, Softplus, Sigmoid, Tanh, Softmax, Dropout{0.5}, Identity}, []int{2, 4}, map[string][]int{}},
		"mlp":         {image, MLP{Hidden: []int{7}, Out: 2}, []int{2, 2}, nil},
		"cnn":         {image, CNN{Channels: []int{4, 8}, Classes: 3, Dropout: 0.1}, []int{2, 3}, nil},
		"resnet":      {Floats("x", 3, 32, 32), ResNet{Blocks: []int{1, 1}, Classes: 3, Width: 8}, []int{2, 3}, nil},
		"text":        {words, TextRNN{Vocab: 10, Embedding: 4, Hidden: 6, Classes: 1}, []int{2, 1}, nil},
		"bert":        {words, BERT{Transformer{Vocab: 10, Max: 9, Dim: 8, Layers: 2, Heads: 2, Masked: true, Dropout: 0.1}, 3}, []int{2, 3}, nil},
		"gpt":         {words, GPT{Transformer{Vocab: 10, Max: 9, Dim: 8, Layers: 1, Heads: 2}}, []int{2, 5, 10}, nil},
		"vit":         {image, ViT{Patch: 4, Dim: 8, Layers: 1, Heads: 2, Classes: 3}, []int{2, 3}, nil},
		"autoencoder": {Floats("x", 8), Autoencoder{Hidden: []int{6}, Code: 2}, []int{2, 8}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, y := build(t, c.in, c.l, 2)
			require.Equal(t, c.shape, y.Shape())
			if c.params != nil {
				require.Equal(t, c.params, params(m))
			}
		})
	}
}

// Vaswani et al., section 3.5, and learned positions, added to zeros.
func TestPositions(t *testing.T) {
	after := func(l Layer) Layer {
		return Func(func(s *Scope, x *onnx.Value) *onnx.Value {
			return l.Forward(s, s.Op("Mul", nil, x, s.Float(tensor.Float32, 0)))
		})
	}
	_, y := build(t, Floats("x", 6, 8), after(Sinusoids{Max: 10}), 2)
	for i, v := range tensor.Data[float32](y) {
		p, k := float64(i/8%6), i%8
		angle := p / math.Pow(10000, float64(k-k%2)/8)
		want := math.Sin(angle)
		if k%2 == 1 {
			want = math.Cos(angle)
		}
		require.InDelta(t, want, float64(v), 1e-6, "position %g, element %d", p, k)
	}
	m, y := build(t, Floats("x", 6, 8), after(Positions{Max: 10}), 2)
	for _, v := range m.Graph.Consts {
		if v.Name == "net.weight" {
			w := tensor.Data[float32](v.Const)[:48]
			require.Equal(t, slices.Concat(w, w), tensor.Data[float32](y))
			return
		}
	}
	t.Fatal("there is no weight")
}

func TestDLRM(t *testing.T) {
	m, err := Build(1, []Input{Floats("numbers", 5), Ints("categories", 3)}, func(s *Scope, in []*onnx.Value) []Output {
		return []Output{{"y", DLRM{Categories: []int{10, 20, 30}, Dim: 8, Bottom: []int{16}, Top: []int{16}}.Apply(s, in[0], in[1])}}
	})
	require.NoError(t, err)
	require.Empty(t, onnx.Check(m))
	require.Equal(t, []int{16, 8 + 6}, params(m)["top.0.weight"])
}

func TestBuildErrors(t *testing.T) {
	for want, l := range map[string]Layer{
		"net: Linear.Out is 0":        Linear{},
		"net.1: Linear.Out is 0":      Sequential{ReLU, Linear{}},
		"net: Recurrent of kind":      Recurrent{Kind: "rnn", Hidden: 1},
		"net: Conv of 4 to 0":         Conv{},
		"in 3 heads":                  MultiHeadAttention{Heads: 3},
		`two parameters "net.weight"`: Func(func(s *Scope, x *onnx.Value) *onnx.Value { return LayerNorm{}.Forward(s, LayerNorm{}.Forward(s, x)) }),
		"Dropout.P is 1":              Dropout{1},
		`Mode is "sums"`:              EmbeddingBag{Num: 2, Dim: 2, Mode: "sums"},
		"takes no weights": Func(func(s *Scope, x *onnx.Value) *onnx.Value {
			return EmbeddingBag{Num: 2, Dim: 2, Weights: x}.Forward(s, x)
		}),
		"EmbeddingBag of float32":    EmbeddingBag{Num: 2, Dim: 2},
		"VAE with a code of 2 of":    Func(func(s *Scope, x *onnx.Value) *onnx.Value { VAE{Code: 2}.Apply(s, x); return nil }),
		"AdaptivePool to 3":          AdaptivePool{Out: 3},
		"Pool with kernel 2, stride": Pool{Kernel: 2, Mean: true, Norm: 2},
		"want an even size":          MultiHeadAttention{Heads: 8, Rotary: &Rotary{Max: 8}},
		"Rotary for 0 positions":     MultiHeadAttention{Heads: 2, Rotary: &Rotary{}},
	} {
		_, err := Build(1, []Input{Floats("x", 4, 8, 8)}, func(s *Scope, x []*onnx.Value) []Output { return []Output{{"y", s.Apply("net", l, x[0])}} })
		require.ErrorContains(t, err, want)
	}
}

func TestInit(t *testing.T) {
	draw := func(f Init, shape ...int) (data []float32, mean, std, most float64) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		data = make([]float32, n)
		f(rand.New(rand.NewPCG(1, 2)), data, shape)
		for _, v := range data {
			mean += float64(v) / float64(n)
			most = max(most, math.Abs(float64(v)))
		}
		for _, v := range data {
			std += (float64(v) - mean) * (float64(v) - mean) / float64(n)
		}
		return data, mean, math.Sqrt(std), most
	}
	for name, c := range map[string]struct {
		f         Init
		std, most float64
	}{
		"xavier uniform":  {XavierUniform(2), 2 * math.Sqrt(2/(90.0+360)), 2 * math.Sqrt(6/(90.0+360))},
		"xavier normal":   {XavierNormal(1), math.Sqrt(2 / (90.0 + 360)), 1},
		"kaiming uniform": {KaimingUniform(0), math.Sqrt(2 / 90.0), math.Sqrt(6 / 90.0)},
		"kaiming normal":  {KaimingNormal(1), math.Sqrt(1 / 90.0), 1},
		"truncated":       {TruncatedNormal(0.5), 0.5 * 0.88, 1},
		"uniform":         {Uniform(-1, 1), 1 / math.Sqrt(3), 1},
	} {
		_, mean, std, most := draw(c.f, 40, 10, 3, 3)
		require.InDelta(t, 0, mean, 0.05*c.std*3, name)
		require.InEpsilon(t, c.std, std, 0.05, name)
		require.LessOrEqual(t, most, c.most*1.0001, name)
	}
	for _, shape := range [][2]int{{6, 4}, {4, 6}} {
		w, _, _, _ := draw(Orthogonal(2), shape[0], shape[1])
		dot := func(i, j int) (s float64) {
			for k := range max(shape[0], shape[1]) {
				if shape[0] < shape[1] {
					s += float64(w[i*shape[1]+k]) * float64(w[j*shape[1]+k])
				} else {
					s += float64(w[k*shape[1]+i]) * float64(w[k*shape[1]+j])
				}
			}
			return s
		}
		for i := range 4 {
			for j := range 4 {
				want := 0.0
				if i == j {
					want = 4
				}
				require.InDelta(t, want, dot(i, j), 1e-5)
			}
		}
	}
	eye, _, _, _ := draw(Eye(0.5), 3, 3)
	require.Equal(t, []float32{0.5, 0, 0, 0, 0.5, 0, 0, 0, 0.5}, eye)
	m, _ := build(t, Floats("x", 6, 8), Recurrent{Kind: "LSTM", Hidden: 3, Bidirectional: true, HiddenInit: Eye(1)}, 2)
	for _, v := range m.Graph.Consts {
		if v.Name == "net.0.weight_hh" { // 2 directions of 4 gates
			require.Equal(t, slices.Repeat([]float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, 8), tensor.Data[float32](v.Const))
		}
	}
	require.Contains(t, params(m), "net.0.weight_hh")
	a, _, _, _ := draw(Normal(0, 1), 5)
	b, _, _, _ := draw(Normal(0, 1), 5)
	require.True(t, slices.Equal(a, b))
}

func TestParametersBeyondMemory(t *testing.T) {
	in := Input{Name: "x", DType: tensor.Float32, Dims: onnx.Sizes(1, 4)}
	sizes := []int{math.MaxInt / 16, math.MaxInt / 2, int(runtime.DefaultMemory()/16) + 1}
	if strconv.IntSize == 64 { // within what an int counts, beyond any memory
		sizes = append(sizes, math.MaxInt/64)
	}
	for _, out := range sizes {
		_, err := Build(1, []Input{in}, func(s *Scope, v []*onnx.Value) []Output {
			return []Output{{Name: "y", Value: s.Apply("b", Linear{Out: 4}, s.Apply("a", Linear{Out: out}, v[0]))}}
		})
		require.ErrorIs(t, err, tensor.ErrSize)
		require.ErrorContains(t, err, "weight")
	}
}
