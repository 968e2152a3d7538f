package quantize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// attentionOps are the operators that are attention as a whole.
var attentionOps = nameSet("Attention MultiHeadAttention GroupQueryAttention PackedAttention PackedMultiHeadAttention DecoderMaskedMultiHeadAttention")

// isTransformer reports whether g computes attention, and has more of its weights
// in matrix products than in convolutions.
func (p *plan) isTransformer() bool {
	attends, products, convolutions := false, 0, 0
	for _, n := range p.order {
		switch domain := ops.NormalDomain(n.Domain); {
		case domain != "" && domain != microsoft:
		case attentionOps[n.Op], n.Op == "Softmax" && p.weighs(n.Out[0]):
			attends = true
		case len(n.In) > 1 && n.In[1] != nil && p.constant(n.In[1]):
			switch n.Op {
			case "MatMul", "Gemm":
				products += n.In[1].Const.Len()
			case "Conv", "ConvTranspose":
				convolutions += n.In[1].Const.Len()
			}
		}
	}
	return attends && products > convolutions
}

// weighs reports whether v, as it is or after its elements have been moved or
// masked, is multiplied by another matrix that is computed.
func (p *plan) weighs(v *onnx.Value) bool {
	return slices.ContainsFunc(v.Users(), func(u *onnx.Node) bool {
		switch u.Op {
		case "MatMul":
			return !slices.ContainsFunc(u.In, func(x *onnx.Value) bool { return x == nil || p.constant(x) })
		case "Cast", "Dropout", "Identity", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Where", "Mul":
			return u.Graph == p.g && p.weighs(u.Out[0])
		}
		return false
	})
}

// spared says why n stays in floating point because the model is a transformer or
// because it is in the tail, "" if it does not: it reads weights, was asked for by name, or
// works on sums that are not rounded before it.
func (p *plan) spared(n *onnx.Node, op *staticOp) string {
	if p.tail[n] {
		return "what it computes is returned and no product reads it"
	}
	if !p.transformer || p.named(n) || p.readsWeights(n, op) || p.inner[n.In[0]] {
		return ""
	}
	if p.loop {
		return "in a loop only what multiplies or looks up weights is quantised, unless operators are chosen"
	}
	return "in a transformer only what multiplies or looks up weights is quantised, unless operators are chosen"
}

// wide reports whether the results of n stay in floating point. What reads them
// as integers rounds them for itself.
func (p *plan) wide(n *onnx.Node, op *staticOp) bool {
	return p.floats[n] || p.transformer && p.c.Format == QDQ && p.readsWeights(n, op)
}

// readsWeights reports whether n multiplies by constant weights, looks up rows
// of a constant table or adds one.
func (p *plan) readsWeights(n *onnx.Node, op *staticOp) bool {
	return n.Op == "Gather" && p.constant(n.In[0]) || p.tableOf(n) >= 0 || slices.ContainsFunc(op.weights, func(s weightSlot) bool {
		return s.input < len(n.In) && n.In[s.input] != nil && p.constant(n.In[s.input])
	})
}

// tableOf returns which input of an Add in a transformer is a constant table, such
// as that of positions, which is large enough to be stored as integers; -1: none.
func (p *plan) tableOf(n *onnx.Node) int {
	if !p.transformer || p.c.Format != QDQ || n.Op != "Add" {
		return -1
	}
	return slices.IndexFunc(n.In, func(v *onnx.Value) bool {
		if v == nil || !p.constant(v) {
			return false
		}
		dims := 0
		for _, d := range v.Const.Shape() {
			if d > 1 {
				dims++
			}
		}
		return dims > 1
	})
}
