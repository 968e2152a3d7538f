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
	as := onnx.NewAttrs("q_num_heads", l.Heads, "kv_num_heads", l.Heads, "is_causal", l.Causal)
	y := s.Op("Attention", as, q, k, v, l.Mask)
	y = s.Apply("out_proj", Linear{Out: dim}, y)
	if l.Dropout > 0 {
		y = s.Apply("dropout", Dropout{l.Dropout}, y)
	}
	return y
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
	Dropout       float64
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
	part("self_attn", MultiHeadAttention{Heads: l.Heads, Causal: l.Causal, Mask: l.Mask, Dropout: l.Dropout})
	if l.Memory != nil {
		part("cross_attn", MultiHeadAttention{Heads: l.Heads, Memory: l.Memory, Dropout: l.Dropout})
	}
	part("ffn", FeedForward{Hidden: l.Hidden, Activation: l.Activation, Dropout: l.Dropout})
	return x
}

// Positions adds a learned vector for each position, up to Max.
//
//	x: [batch, time, dim]    weight: [Max, dim]
type Positions struct{ Max int }

// Forward implements Layer.
func (l Positions) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	w := s.Param("weight", Normal(0, 0.02), l.Max, s.Size(x, -1))
	n := s.Op("Shape", onnx.NewAttrs("start", 1, "end", 2), x)
	return s.Op("Add", nil, x, s.Op("Slice", nil, w, s.Ints(0), n, s.Ints(0)))
}

// Sinusoids adds sines and cosines of the position, up to Max, which are no parameters.
// Vaswani et al., 2017, section 3.5.
type Sinusoids struct{ Max int }

// Forward implements Layer.
func (l Sinusoids) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	dim := s.Size(x, -1)
	if l.Max < 1 || dim < 1 {
		s.Fail(fmt.Errorf("Sinusoids for %d positions of size %d", l.Max, dim))
		return nil
	}
	table := make([]float32, l.Max*dim)
	for p := range l.Max {
		for i := range dim {
			a := float64(p) / math.Pow(10000, float64(i/2*2)/float64(dim))
			if i%2 == 0 {
				table[p*dim+i] = float32(math.Sin(a))
			} else {
				table[p*dim+i] = float32(math.Cos(a))
			}
		}
	}
	t := s.Op("Constant", onnx.NewAttrs("value", tensor.Of(table, l.Max, dim)))
	n := s.Op("Shape", onnx.NewAttrs("start", 1, "end", 2), x)
	return s.Op("Add", nil, x, s.Op("Slice", nil, t, s.Ints(0), n, s.Ints(0)))
}
