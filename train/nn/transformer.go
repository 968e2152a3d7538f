package nn

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MultiHeadAttention is scaled dot-product attention in Heads heads: of x to
// itself, or to Memory.
//
//	x: [batch, time, dim]    y: [batch, time, dim]
//	in_proj.weight: [3·dim, dim] without Memory; q.weight, k.weight, v.weight else; out_proj.weight: [dim, dim]
//
// Vaswani et al., Attention is all you need, 2017.
type MultiHeadAttention struct {
	Heads  int
	Causal bool // a position sees itself and those before it
	// Memory is what is attended to, [batch, length, size]. nil: x.
	Memory *onnx.Value
	// Mask is a bool value that broadcasts to [batch, Heads, time, length], true where
	// attention is allowed. nil: everywhere.
	Mask *onnx.Value
	// Dropout is applied to the result, before it is added to anything.
	Dropout float64
	// AttentionDropout is applied to the weights of attention, as PyTorch's
	// MultiheadAttention has it.
	AttentionDropout float64
	// Rotary turns queries and keys by their positions. nil: it does not.
	Rotary *Rotary
}

// Forward implements Layer.
func (l MultiHeadAttention) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	dim := s.Size(x, -1)
	if l.Heads < 1 || dim%l.Heads != 0 {
		s.Fail(fmt.Errorf("MultiHeadAttention of size %d in %d heads", dim, l.Heads))
		return nil
	}
	var q, k, v *onnx.Value
	if l.Memory == nil {
		all := s.Apply("in_proj", Linear{Out: 3 * dim, Init: XavierUniform(1)}, x)
		parts := s.Ops("", "Split", onnx.NewAttrs("axis", -1, "num_outputs", 3), 3, all)
		q, k, v = parts[0], parts[1], parts[2]
	} else {
		one := Linear{Out: dim, Init: XavierUniform(1)}
		q, k, v = s.Apply("q", one, x), s.Apply("k", one, l.Memory), s.Apply("v", one, l.Memory)
	}
	if l.Rotary != nil {
		if l.Memory != nil || dim/l.Heads%2 != 0 {
			s.Fail(fmt.Errorf("MultiHeadAttention.Rotary with heads of size %d, want an even size and no Memory", dim/l.Heads))
			return nil
		}
		turn := l.Rotary.build(s, x, dim/l.Heads, l.Heads)
		q, k = turn(q), turn(k)
	}
	var y *onnx.Value
	if l.AttentionDropout != 0 {
		y = l.weighted(s, q, k, v)
	} else {
		as := onnx.NewAttrs("q_num_heads", l.Heads, "kv_num_heads", l.Heads, "is_causal", l.Causal)
		y = s.Op("Attention", as, q, k, v, l.Mask)
	}
	y = s.Apply("out_proj", Linear{Out: dim}, y)
	if l.Dropout > 0 {
		y = s.Apply("dropout", Dropout{l.Dropout}, y)
	}
	return y
}

// weighted is Attention with its weights between operators, where they can be dropped.
// A position that may attend to nothing gives 0, as with Attention.
func (l MultiHeadAttention) weighted(s *Scope, q, k, v *onnx.Value) *onnx.Value {
	size := s.Size(q, -1) / l.Heads
	heads := func(x *onnx.Value, perm ...int) *onnx.Value {
		return s.Op("Transpose", onnx.NewAttrs("perm", perm), s.Op("Reshape", nil, x, s.Ints(0, 0, l.Heads, size)))
	}
	scale := s.Float(q.Type.DType, 1/math.Sqrt(float64(size)))
	w := s.Op("MatMul", nil, s.Op("Mul", nil, heads(q, 0, 2, 1, 3), scale), heads(k, 0, 2, 3, 1)) // [batch, heads, time, length]
	allowed := l.Mask
	if l.Causal {
		count := func(x *onnx.Value) *onnx.Value {
			n := s.Op("Squeeze", nil, s.Op("Shape", onnx.NewAttrs("start", 1, "end", 2), x))
			return s.Op("Range", nil, s.Const(tensor.Scalar(int64(0))), n, s.Const(tensor.Scalar(int64(1))))
		}
		before := s.Op("GreaterOrEqual", nil, s.Op("Unsqueeze", nil, count(q), s.Ints(1)), count(k))
		if allowed != nil {
			before = s.Op("And", nil, before, allowed)
		}
		allowed = before
	}
	if allowed != nil { // finite, or rows without anything would be NaN
		w = s.Op("Where", nil, allowed, w, s.Float(q.Type.DType, -1e30))
	}
	w = s.Op("Softmax", nil, w)
	if allowed != nil {
		w = s.Op("Where", nil, allowed, w, s.Float(q.Type.DType, 0))
	}
	w = s.Apply("attention_dropout", Dropout{l.AttentionDropout}, w)
	y := s.Op("MatMul", nil, w, heads(v, 0, 2, 1, 3))
	return s.Op("Reshape", nil, s.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), y), s.Ints(0, 0, l.Heads*size))
}

// FeedForward is Linear, an activation and Linear back to the size of x.
type FeedForward struct {
	Hidden     int
	Activation Layer // nil: GELU
	Dropout    float64
}

// Forward implements Layer.
func (l FeedForward) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	act := l.Activation
	if act == nil {
		act = GELU
	}
	y := s.Apply("act", act, s.Apply("0", Linear{Out: l.Hidden}, x))
	y = s.Apply("1", Linear{Out: s.Size(x, -1)}, y)
	if l.Dropout > 0 {
		y = s.Apply("dropout", Dropout{l.Dropout}, y)
	}
	return y
}

// TransformerLayer is one layer of an encoder, or of a decoder: with Causal, and with
// Memory for what the encoder made.
type TransformerLayer struct {
	Heads, Hidden int // of attention and of the feed-forward part
	Causal        bool
	Memory        *onnx.Value
	Mask          *onnx.Value // of x's attention to itself
	MemoryMask    *onnx.Value // of its attention to Memory
	Rotary        *Rotary     // of its attention to itself
	Dropout       float64
	// AttentionDropout is that of the weights of both attentions.
	AttentionDropout float64
	// NormFirst puts the normalisations before the parts instead of behind the
	// additions, which trains without a warm-up. Xiong et al., 2020.
	NormFirst  bool
	Activation Layer // nil: GELU
}

// Forward implements Layer.
func (l TransformerLayer) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	part := func(name string, body Layer) {
		norm := name + "_norm"
		if l.NormFirst {
			x = s.Op("Add", nil, x, s.Apply(name, body, s.Apply(norm, LayerNorm{}, x)))
		} else {
			x = s.Apply(norm, LayerNorm{}, s.Op("Add", nil, x, s.Apply(name, body, x)))
		}
	}
	part("self_attn", MultiHeadAttention{Heads: l.Heads, Causal: l.Causal, Mask: l.Mask, Rotary: l.Rotary, Dropout: l.Dropout, AttentionDropout: l.AttentionDropout})
	if l.Memory != nil {
		part("cross_attn", MultiHeadAttention{Heads: l.Heads, Memory: l.Memory, Mask: l.MemoryMask, Dropout: l.Dropout, AttentionDropout: l.AttentionDropout})
	}
	part("ffn", FeedForward{Hidden: l.Hidden, Activation: l.Activation, Dropout: l.Dropout})
	return x
}

// TransformerStack is an encoder, or with Memory a decoder: Layers layers, in parts called
// "layers.0", …, and with Norm a normalisation behind them.
type TransformerStack struct {
	TransformerLayer
	Layers int
	Norm   bool
}

// Forward implements Layer.
func (l TransformerStack) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	for i := range l.Layers {
		x = s.Apply(fmt.Sprint("layers.", i), l.TransformerLayer, x)
	}
	if l.Norm {
		x = s.Apply("norm", LayerNorm{}, x)
	}
	return x
}

// EncoderDecoder is PyTorch's nn.Transformer, with a normalisation behind the encoder and
// one behind the decoder. Vaswani et al., Attention is all you need, 2017.
type EncoderDecoder struct {
	Heads, Hidden    int
	Encoder, Decoder int  // layers
	Causal           bool // a position of the target sees itself and those before it
	// SourceMask, TargetMask and MemoryMask are bool values that broadcast to [batch, Heads, time,
	// length], true where the source may attend to itself, the target to itself and the
	// target to what was made of the source. nil: everywhere.
	SourceMask, TargetMask, MemoryMask *onnx.Value
	Dropout, AttentionDropout          float64
	NormFirst                          bool
	Activation                         Layer // nil: GELU
}

// Apply builds the network on source [batch, length, dim] and target [batch, time,
// dim] and returns [batch, time, dim].
func (l EncoderDecoder) Apply(s *Scope, source, target *onnx.Value) *onnx.Value {
	layer := TransformerLayer{Heads: l.Heads, Hidden: l.Hidden, Mask: l.SourceMask, Dropout: l.Dropout, AttentionDropout: l.AttentionDropout, NormFirst: l.NormFirst, Activation: l.Activation}
	layerOf := func(n int) Layer { return TransformerStack{layer, n, true} }
	memory := s.Apply("encoder", layerOf(l.Encoder), source)
	if s.Err() != nil {
		return nil
	}
	layer.Mask, layer.Causal, layer.Memory, layer.MemoryMask = l.TargetMask, l.Causal, memory, l.MemoryMask
	return s.Apply("decoder", layerOf(l.Decoder), target)
}
