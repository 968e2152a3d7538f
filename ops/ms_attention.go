package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// Attention (com.microsoft): MultiHeadAttention of the parts of input · weights + bias.
//
//	input: T[b, l, n]    weights: T[n, h*d + h*d + h*dv]    bias (optional): T[h*d + h*d + h*dv]
//	mask_index (optional): int32[b], [2b], [b, t] or [b, l, t]; see MultiHeadAttention
//	past (optional): T[2, b, h, p, d], keys and values    attention_bias (optional): T, broadcasts to [b, h, l, t]
//	output: T[b, l, h*dv]    present (optional): T[2, b, h, t, d], t = p + l
//
// qkv_hidden_sizes are the sizes of the three parts, equal without.
// do_rotary, a shared buffer of past and present and past_sequence_length are
// not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Attention
func init() {
	register(&Op{Domain: "com.microsoft", Name: "Attention", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{2, 7}, Out: Arity{1, 2}, Expand: expandAttentionMS},
	}})
}

func expandAttentionMS(c *ExpandContext) ([]*onnx.Value, error) {
	if c.Has(6) {
		return nil, fmt.Errorf("%w: input past_sequence_length", ErrUnsupported)
	}
	x := c.at("MatMul", 13, nil, 1, c.value(0), c.value(1))[0]
	if c.Has(2) {
		x = c.at("Add", 14, nil, 1, x, c.value(2))[0]
	}
	c.Ignore("rotary_embedding_dim") // without do_rotary
	parts := []*onnx.Value{x}
	if sizes := c.attrs.Ints("qkv_hidden_sizes", nil); len(sizes) > 0 {
		if len(sizes) != 3 {
			return nil, fmt.Errorf("attribute \"qkv_hidden_sizes\" is %v, want 3 sizes", sizes)
		}
		parts = append(parts, c.Builder.Ints(sizes...))
	}
	return c.attendParts(parts, c.value(3), c.value(4), c.value(5))
}

// value returns input i, nil if it is absent.
func (c *ExpandContext) value(i int) *onnx.Value {
	if c.Has(i) {
		return c.node.In[i]
	}
	return nil
}

// at adds a node of the standard with the meaning that it has in opset, which
// the model may not declare.
func (c *ExpandContext) at(name string, opset int, as onnx.Attrs, outs int, in ...*onnx.Value) []*onnx.Value {
	if c.Err() != nil {
		return make([]*onnx.Value, outs)
	}
	n := c.G.NewNodeIn("", name, as, in, outs)
	n.Opset = opset
	return c.Add(n)
}

// attendParts returns the outputs of an Attention whose queries, keys and values
// a Split of parts gives. What is absent is nil.
func (c *ExpandContext) attendParts(parts []*onnx.Value, mask, past, bias *onnx.Value) ([]*onnx.Value, error) {
	for _, name := range []string{"do_rotary", "past_present_share_buffer"} {
		if c.Int(name, 0) != 0 {
			return nil, fmt.Errorf("%w: attribute %q is 1", ErrUnsupported, name)
		}
	}
	as := onnx.NewAttrs("num_heads", c.Int("num_heads", 0), "unidirectional", c.Int("unidirectional", 0),
		"mask_filter_value", c.attrs.Float("mask_filter_value", -10000), "scale", c.attrs.Float("scale", 0))
	qkv := c.at("Split", 13, onnx.NewAttrs("axis", -1), 3, parts...)
	in := []*onnx.Value{qkv[0], qkv[1], qkv[2], nil, mask, bias}
	if past != nil {
		for _, v := range c.at("Split", 13, onnx.NewAttrs("axis", 0), 2, past) {
			in = append(in, c.at("Squeeze", 13, nil, 1, v, c.Builder.Ints(0))[0])
		}
	}
	if len(c.node.Out) < 2 || c.node.Out[1] == nil {
		return c.Ops("com.microsoft", "MultiHeadAttention", as, 1, in...), nil
	}
	out := c.Ops("com.microsoft", "MultiHeadAttention", as, 3, in...)
	var present []*onnx.Value
	for _, v := range out[1:] {
		present = append(present, c.at("Unsqueeze", 13, nil, 1, v, c.Builder.Ints(0))[0])
	}
	return []*onnx.Value{out[0], c.at("Concat", 13, onnx.NewAttrs("axis", 0), 1, present...)[0]}, nil
}
