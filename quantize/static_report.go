package quantize

import (
	"fmt"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// count returns how many nodes are quantised.
func (p *plan) count() (n int) {
	for _, d := range p.nodes {
		if d.reason == "" {
			n++
		}
	}
	for _, q := range p.nested {
		n += q.count()
	}
	return n
}

// QuantizedNodes returns how many nodes of m, and of graphs nested in it, read or
// write quantised tensors.
func QuantizedNodes(m *onnx.Model) (n int) {
	if m.Graph == nil {
		return 0
	}
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, x := range g.Nodes {
			if quantizes(x) {
				n++
			}
		}
	})
	return n
}

// nothingLeft is the error of a model that is quantised, and in which no node
// could be; nil for other models.
func nothingLeft(m *onnx.Model, s *Summary) error {
	n := QuantizedNodes(m)
	if n == 0 || s.Changed() > 0 {
		return nil
	}
	why := ""
	if len(s.Changes) > 0 {
		why = fmt.Sprintf("; %s %q: %s", s.Changes[0].Op, s.Changes[0].Node, s.Changes[0].Reason)
	}
	return fmt.Errorf("quantize: %w: it has %d nodes that quantise, and none that could be%s", ErrQuantized, n, why)
}

// quantizes reports whether n reads or writes quantised tensors by itself.
func quantizes(n *onnx.Node) bool {
	switch n.Op {
	case "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm", "MatMulNBits",
		"MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention", "GatherBlockQuantized":
		return true
	}
	return strings.HasPrefix(n.Op, "QLinear")
}

// changes lists what became of all nodes that compute floating-point numbers or
// were quantised, those of nested graphs behind the node that they are in.
func (p *plan) changes() []Change {
	out := []Change{}
	for _, n := range p.order {
		d := p.nodes[n]
		switch {
		case d.reason == "":
			out = append(out, Change{Node: p.names[n], Op: n.Op, Format: p.format(n, d)})
		case floats(n) && n.Op != "QuantizeLinear" && n.Op != "DequantizeLinear" && d.reason != nestedReason:
			out = append(out, Change{Node: p.names[n], Op: n.Op, Reason: d.reason})
		}
		for _, b := range n.Bodies() {
			for _, q := range p.nested {
				if q.g == b {
					out = append(out, q.changes()...)
				}
			}
		}
	}
	return out
}

// floats reports whether n writes a floating-point tensor, as far as is known.
func floats(n *onnx.Node) bool {
	for _, v := range n.Out {
		if v != nil && (v.Type.DType.IsFloat() || v.Type.Kind == onnx.UnknownKind || v.Type.DType == tensor.Undefined) {
			return true
		}
	}
	return false
}

// format says on what n computes, e.g. "uint8 x int8 per channel".
func (p *plan) format(n *onnx.Node, d *decision) string {
	f := p.acts.dtype.String()
	weights := p.weights.dtype.String()
	if len(d.weight) == 0 {
		if d.op.either && len(d.acts) == 2 {
			f += " x " + f
		}
		return f + d.note
	}
	if d.role == stores {
		f = weights + " weights"
	} else {
		f += " x " + weights
	}
	switch by := p.granularity(n, d.weight[0]); {
	case by.block > 0:
		f += fmt.Sprintf(" in blocks of %d", by.block)
	case by.axis >= 0:
		f += " per channel"
	}
	if d.role == stores {
		f += ", dequantized"
	}
	return f + d.note
}

// granularity returns which of the weights s of n have a scale in common.
func (p *plan) granularity(n *onnx.Node, s weightSlot) granularity {
	rank := n.In[s.input].Type.Rank()
	if k := s.blocks(n, rank); p.c.BlockSize > 0 && k >= 0 {
		return granularity{axis: k, block: p.c.BlockSize}
	}
	if k := s.axis(n, rank); !p.c.PerTensor && k >= 0 && k < rank {
		return granularity{axis: k, rows: s.rows}
	}
	return perTensor
}
