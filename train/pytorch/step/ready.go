package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/train/nn"
)

// family is a network that is built here, with the loss it is trained by.
type family struct {
	inputs []nn.Input
	layer  nn.Layer
	loss   string
}

var body = nn.Transformer{Vocab: 60, Max: 16, Dim: 32, Layers: 2, Heads: 2}

// families are small ones of the ready networks.
var families = map[string]family{
	"mlp":         {[]nn.Input{nn.Floats("x", 20)}, nn.MLP{Hidden: []int{32, 24}, Out: 5}, "cross_entropy"},
	"cnn":         {[]nn.Input{nn.Floats("x", 3, 16, 16)}, nn.CNN{Channels: []int{8, 16}, Classes: 5, Dropout: 0.1}, "cross_entropy"},
	"resnet":      {[]nn.Input{nn.Floats("x", 3, 16, 16)}, nn.ResNet{Blocks: []int{1, 1}, Width: 8, Classes: 5, Small: true}, "cross_entropy"},
	"text-rnn":    {[]nn.Input{nn.Ints("x", 12)}, nn.TextRNN{Vocab: 60, Embedding: 16, Hidden: 16, Classes: 5}, "cross_entropy"},
	"text-gru":    {[]nn.Input{nn.Ints("x", 12)}, nn.TextRNN{Vocab: 60, Embedding: 16, Hidden: 16, Classes: 5, Kind: "GRU", Bidirectional: true}, "cross_entropy"},
	"text-lstm":   {[]nn.Input{nn.Ints("x", 12)}, nn.TextRNN{Vocab: 60, Embedding: 16, Hidden: 16, Classes: 5, Kind: "LSTM", Dropout: 0.1}, "cross_entropy"},
	"bert":        {[]nn.Input{nn.Ints("x", 12)}, nn.BERT{Transformer: body, Classes: 5}, "cross_entropy"},
	"bert-masked": {[]nn.Input{nn.Ints("x", 12)}, nn.BERT{Transformer: masked(body), Classes: 5}, "cross_entropy"},
	"gpt":         {[]nn.Input{nn.Ints("x", 12)}, nn.GPT{Transformer: body}, "cross_entropy"},
	"vit":         {[]nn.Input{nn.Floats("x", 3, 16, 16)}, nn.ViT{Patch: 4, Dim: 32, Layers: 2, Heads: 2, Classes: 5}, "cross_entropy"},
	"autoencoder": {[]nn.Input{nn.Floats("x", 20)}, nn.Autoencoder{Hidden: []int{16}, Code: 4}, "mse"},
	"dlrm":        {[]nn.Input{nn.Floats("x", 5), nn.Ints("categories", 3)}, nil, "bce_with_logits"},
	"norms": {[]nn.Input{nn.Floats("x", 8, 16)}, nn.Sequential{nn.Conv{Out: 8, Kernel: 3}, nn.GroupNorm{Groups: 2}, nn.GELU, nn.RMSNorm{}, nn.Flatten{},
		nn.Linear{Out: 5}}, "cross_entropy"},
	"bag":    {[]nn.Input{nn.Ints("x", 12)}, nn.Sequential{nn.EmbeddingBag{Num: 60, Dim: 16, Padded: true}, nn.Linear{Out: 5}}, "cross_entropy"},
	"rotary": {[]nn.Input{nn.Ints("x", 12)}, nn.Sequential{nn.Embedding{Num: 60, Dim: 16}, rotary, mean, nn.Linear{Out: 5}}, "cross_entropy"},
	"encoder-decoder": {[]nn.Input{nn.Ints("x", 12)}, nn.Sequential{nn.Embedding{Num: 60, Dim: 16}, nn.Func(func(s *nn.Scope, x *onnx.Value) *onnx.Value {
		return nn.EncoderDecoder{Heads: 2, Hidden: 32, Encoder: 1, Decoder: 1, Causal: true}.Apply(s, x, x)
	}), mean, nn.Linear{Out: 5}}, "cross_entropy"},
	"transposed": {[]nn.Input{nn.Floats("x", 3, 16, 16)}, nn.Sequential{nn.Conv{Out: 8, Kernel: 3, Stride: 2}, nn.ConvTranspose{Out: 4, Kernel: 4, Stride: 2}, nn.ReLU,
		nn.AdaptivePool{Out: 4, Mean: true}, nn.AvgPool(2), nn.Flatten{}, nn.Linear{Out: 5}}, "cross_entropy"},
	"vae": {[]nn.Input{nn.Floats("x", 20)}, nn.Func(func(s *nn.Scope, x *onnx.Value) *onnx.Value {
		return nn.VAE{Hidden: []int{16}, Code: 4, Real: true}.Apply(s, x)[0].Value
	}), "mse"},
}

var rotary = nn.TransformerLayer{Heads: 2, Hidden: 32, Rotary: &nn.Rotary{Max: 16}}

// mean is the mean over time.
var mean = nn.Func(func(s *nn.Scope, x *onnx.Value) *onnx.Value {
	return s.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), x, s.Ints(1))
})

func masked(t nn.Transformer) nn.Transformer {
	t.Masked = true
	return t
}

// build makes the model of a family.
func build(name string) (*onnx.Model, string, error) {
	f, ok := families[name]
	if !ok {
		return nil, "", fmt.Errorf("there is no family %q", name)
	}
	m, err := nn.Build(1, f.inputs, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		if f.layer == nil {
			return []nn.Output{{Name: "y", Value: nn.DLRM{Categories: []int{5, 5, 5}, Dim: 8, Bottom: []int{16}, Top: []int{16}}.Apply(s, in[0], in[1])}}
		}
		return []nn.Output{{Name: "y", Value: s.Apply("net", f.layer, in[0])}}
	})
	return m, f.loss, err
}
