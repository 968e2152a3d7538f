package nn

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// The functions of this file build whole networks; Build makes models of them.

// MLP is linear layers with ReLU between them.
type MLP struct {
	Hidden  []int
	Out     int
	Dropout float64
}

// Forward implements Layer.
func (l MLP) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	if s.Rank(x) > 2 {
		x = s.Op("Flatten", nil, x)
	}
	for i, n := range l.Hidden {
		x = s.Op("Relu", nil, s.Apply(fmt.Sprint(i), Linear{Out: n}, x))
		if l.Dropout > 0 {
			x = s.Apply(fmt.Sprint(i), Dropout{l.Dropout}, x)
		}
	}
	return s.Apply(fmt.Sprint(len(l.Hidden)), Linear{Out: l.Out}, x)
}

// CNN is blocks of 3×3 convolution, BatchNorm, ReLU and 2×2 maximum, the mean
// over all positions and a linear layer.
//
//	x: [batch, channels, height, width]    y: [batch, Classes]
type CNN struct {
	Channels []int // of the blocks
	Classes  int
	Dropout  float64 // before the linear layer
}

// Forward implements Layer.
func (l CNN) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	for i, n := range l.Channels {
		b := Sequential{Conv{Out: n, Kernel: 3, Pad: 1, NoBias: true, Init: KaimingNormal(0)}, BatchNorm{}, ReLU}
		if i < len(l.Channels)-1 {
			b = append(b, MaxPool(2))
		}
		x = s.Apply(fmt.Sprint("block", i), b, x)
	}
	x = s.Op("Flatten", nil, s.Op("GlobalAveragePool", nil, x))
	if l.Dropout > 0 {
		x = s.Apply("dropout", Dropout{l.Dropout}, x)
	}
	return s.Apply("fc", Linear{Out: l.Classes}, x)
}

// ResNet is a residual network of basic blocks: [2 2 2 2] is ResNet-18, [3 4 6 3]
// ResNet-34. Names are those of torchvision. He et al., Deep residual learning, 2016.
type ResNet struct {
	Blocks  []int
	Classes int
	Width   int  // channels of the first stage. 0: 64
	Small   bool // a 3×3 first convolution without a maximum behind it, for small images
}

// Forward implements Layer.
func (l ResNet) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	width := l.Width
	if width == 0 {
		width = 64
	}
	conv := func(s *Scope, i, out, kernel, stride int, x *onnx.Value) *onnx.Value {
		x = s.Apply(fmt.Sprint("conv", i), Conv{Out: out, Kernel: kernel, Stride: stride, Pad: kernel / 2, NoBias: true, Init: KaimingNormal(0)}, x)
		return s.Apply(fmt.Sprint("bn", i), BatchNorm{}, x)
	}
	if l.Small {
		x = s.Op("Relu", nil, conv(s, 1, width, 3, 1, x))
	} else {
		x = s.Op("Relu", nil, conv(s, 1, width, 7, 2, x))
		x = Pool{Kernel: 3, Stride: 2, Pad: 1}.Forward(s, x)
	}
	for i, n := range l.Blocks {
		out := width << i
		for k := range n {
			stride := 1
			if i > 0 && k == 0 {
				stride = 2
			}
			x = s.Apply(fmt.Sprintf("layer%d.%d", i+1, k), Func(func(s *Scope, x *onnx.Value) *onnx.Value {
				y := s.Op("Relu", nil, conv(s, 1, out, 3, stride, x))
				y = conv(s, 2, out, 3, 1, y)
				if stride != 1 || s.Size(x, 1) != out {
					x = s.Apply("downsample", Sequential{Conv{Out: out, Kernel: 1, Stride: stride, NoBias: true, Init: KaimingNormal(0)}, BatchNorm{}}, x)
				}
				return s.Op("Relu", nil, s.Op("Add", nil, y, x))
			}), x)
		}
	}
	x = s.Op("Flatten", nil, s.Op("GlobalAveragePool", nil, x))
	return s.Apply("fc", Linear{Out: l.Classes}, x)
}

// TextRNN is an embedding, a recurrent network and a linear layer on its last state: with Padded,
// that before the ids Pad at the end of a text.
//
//	x: int64 [batch, time]    y: [batch, Classes]
type TextRNN struct {
	Vocab, Embedding, Hidden, Classes int
	Kind                              string // RNN, GRU or LSTM. "": RNN
	Bidirectional                     bool
	Dropout                           float64
	Pad                               int // an id that stands behind texts, if Padded
	Padded                            bool
}

// Forward implements Layer.
func (l TextRNN) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	kind := l.Kind
	if kind == "" {
		kind = "RNN"
	}
	var lengths *onnx.Value
	if l.Padded {
		words := s.Op("Not", nil, s.Op("Equal", nil, x, s.Const(tensor.Scalar(int64(l.Pad)))))
		words = s.Op("Cast", onnx.NewAttrs("to", int(tensor.Int32)), words)
		count := s.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), words, s.Ints(1))
		lengths = s.Op("Max", nil, count, s.Const(tensor.Scalar(int32(1)))) // a text of nothing but padding
	}
	x = s.Apply("embedding", Embedding{Num: l.Vocab, Dim: l.Embedding}, x)
	x = s.Apply("rnn", Recurrent{Kind: kind, Hidden: l.Hidden, Bidirectional: l.Bidirectional, Last: true, Lengths: lengths}, x)
	if l.Dropout > 0 {
		x = s.Apply("dropout", Dropout{l.Dropout}, x)
	}
	return s.Apply("fc", Linear{Out: l.Classes}, x)
}

// Transformer is the body of BERT-style encoders and GPT-style decoders: token
// and position embeddings and layers of attention.
//
//	x: int64 [batch, time]    y: [batch, time, Dim]
type Transformer struct {
	Vocab, Max, Dim, Layers, Heads int
	Hidden                         int  // of the feed-forward parts. 0: 4·Dim
	Causal                         bool // GPT: each position sees those before it; normalisations come first
	Pad                            int  // an id that nobody attends to, if Masked
	Masked                         bool
	Dropout                        float64
	AttentionDropout               float64 // of the weights of attention
}

// Forward implements Layer.
func (l Transformer) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	hidden := l.Hidden
	if hidden == 0 {
		hidden = 4 * l.Dim
	}
	var mask *onnx.Value
	if l.Masked { // [batch, 1, 1, time]
		mask = s.Op("Not", nil, s.Op("Equal", nil, x, s.Const(tensor.Scalar(int64(l.Pad)))))
		mask = s.Op("Unsqueeze", nil, mask, s.Ints(1, 2))
	}
	x = s.Apply("tokens", Embedding{Num: l.Vocab, Dim: l.Dim, Init: Normal(0, 0.02)}, x)
	x = s.Apply("positions", Positions{l.Max}, x)
	if !l.Causal {
		x = s.Apply("norm", LayerNorm{}, x)
	}
	if l.Dropout > 0 {
		x = s.Apply("dropout", Dropout{l.Dropout}, x)
	}
	for i := range l.Layers {
		x = s.Apply(fmt.Sprint("layers.", i), TransformerLayer{Heads: l.Heads, Hidden: hidden, Causal: l.Causal, Mask: mask, Dropout: l.Dropout, AttentionDropout: l.AttentionDropout, NormFirst: l.Causal}, x)
	}
	if l.Causal {
		x = s.Apply("norm", LayerNorm{}, x)
	}
	return x
}

// BERT classifies sequences by the state of their first token.
//
//	x: int64 [batch, time]    y: [batch, Classes]
type BERT struct {
	Transformer
	Classes int
}

// Forward implements Layer.
func (l BERT) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	x = s.Apply("encoder", l.Transformer, x)
	x = s.Op("Gather", onnx.NewAttrs("axis", 1), x, s.Const(tensor.Scalar(int64(0))))
	x = s.Op("Tanh", nil, s.Apply("pooler", Linear{Out: l.Dim}, x))
	return s.Apply("classifier", Linear{Out: l.Classes}, x)
}

// GPT gives the logits of the next token at every position.
//
//	x: int64 [batch, time]    y: [batch, time, Vocab]
type GPT struct{ Transformer }

// Forward implements Layer.
func (l GPT) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	l.Causal = true
	x = s.Apply("decoder", l.Transformer, x)
	return s.Apply("lm_head", Linear{Out: l.Vocab, NoBias: true, Init: Normal(0, 0.02)}, x)
}

// ViT classifies images, cut into square patches, by attention between these.
//
//	x: [batch, channels, height, width]    y: [batch, Classes]
//
// Dosovitskiy et al., An image is worth 16x16 words, 2021, with the mean over
// patches in the place of a class token.
type ViT struct {
	Patch, Dim, Layers, Heads, Classes int
	Dropout                            float64
	AttentionDropout                   float64 // of the weights of attention
}

// Forward implements Layer.
func (l ViT) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	if l.Patch < 1 {
		s.Fail(fmt.Errorf("ViT.Patch is %d, want at least 1", l.Patch))
		return nil
	}
	patches := (s.Size(x, 2) / l.Patch) * (s.Size(x, 3) / l.Patch)
	x = s.Apply("patches", Conv{Out: l.Dim, Kernel: l.Patch, Stride: l.Patch}, x)
	x = s.Op("Reshape", nil, x, s.Ints(0, l.Dim, patches))
	x = s.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1}), x)
	x = s.Apply("positions", Positions{patches}, x)
	for i := range l.Layers {
		x = s.Apply(fmt.Sprint("layers.", i), TransformerLayer{Heads: l.Heads, Hidden: 4 * l.Dim, Dropout: l.Dropout, AttentionDropout: l.AttentionDropout, NormFirst: true}, x)
	}
	x = s.Apply("norm", LayerNorm{}, x)
	x = s.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), x, s.Ints(1))
	return s.Apply("head", Linear{Out: l.Classes}, x)
}

// Autoencoder squeezes vectors through Code numbers.
//
//	x: [batch, in]    y: [batch, in]
type Autoencoder struct {
	Hidden []int // from the input to the code
	Code   int
}

// Forward implements Layer.
func (l Autoencoder) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	in := s.Size(x, -1)
	z := s.Apply("encoder", MLP{Hidden: l.Hidden, Out: l.Code}, x)
	back := make([]int, len(l.Hidden))
	for i, n := range l.Hidden {
		back[len(back)-1-i] = n
	}
	return s.Apply("decoder", MLP{Hidden: back, Out: in}, s.Op("Relu", nil, z))
}

// DLRM recommends: numbers and categories become vectors, whose products in
// pairs a perceptron scores. Naumov et al., Deep learning recommendation model, 2019.
type DLRM struct {
	Categories []int // the number of values of each
	Dim        int   // of the vectors
	Bottom     []int // hidden layers for the numbers
	Top        []int // hidden layers for the products
}

// Apply builds the network on numbers [batch, n] and categories int64 [batch,
// len(Categories)], and returns logits [batch, 1].
func (l DLRM) Apply(s *Scope, numbers, categories *onnx.Value) *onnx.Value {
	dense := s.Op("Relu", nil, s.Apply("bottom", MLP{Hidden: l.Bottom, Out: l.Dim}, numbers))
	vectors := []*onnx.Value{s.Op("Unsqueeze", nil, dense, s.Ints(1))}
	for i, n := range l.Categories {
		ids := s.Op("Gather", onnx.NewAttrs("axis", 1), categories, s.Ints(i)) // [batch, 1]
		vectors = append(vectors, s.Apply(fmt.Sprint("embeddings.", i), Embedding{Num: n, Dim: l.Dim, Init: Normal(0, 0.05)}, ids))
	}
	k := len(vectors)
	all := s.Op("Concat", onnx.NewAttrs("axis", 1), vectors...) // [batch, k, dim]
	products := s.Op("MatMul", nil, all, s.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1}), all))
	var pairs []int
	for i := range k {
		for j := range i {
			pairs = append(pairs, i*k+j)
		}
	}
	flat := s.Op("Gather", onnx.NewAttrs("axis", 1), s.Op("Reshape", nil, products, s.Ints(0, k*k)), s.Ints(pairs...))
	return s.Apply("top", MLP{Hidden: l.Top, Out: 1}, s.Op("Concat", onnx.NewAttrs("axis", 1), dense, flat))
}
