package quantize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// What a model returns has been computed by its last products and a few nodes behind
// them, the tail. Rounding there loses precision for nobody: what is read next is
// not multiplied by integers. So the tail is computed in floating point, and where a
// product by a matrix is behind it, that gives floats itself, for which runtimes have kernels.
// A convolution gives integers, as ONNX Runtime's does; what only moves them stays.

// findTail fills in p.tail and p.floats.
func (p *plan) findTail() {
	if p.c.Format != QDQ || len(p.c.Selection.Ops) > 0 || p.transformer { // whose results are floats anyway
		return
	}
	last := map[*onnx.Node]bool{} // no product reads what these compute
	ends := func(n *onnx.Node) bool {
		return !slices.ContainsFunc(n.Out, func(v *onnx.Value) bool {
			return v != nil && slices.ContainsFunc(v.Users(), func(u *onnx.Node) bool { return !last[u] })
		})
	}
	for _, n := range slices.Backward(p.order) {
		op := opOf(n)
		choice := op != nil && op.role == reads // an index, whatever is done with it
		last[n] = choice || !p.multiplies(n) && ends(n)
	}
	behind, floats := map[*onnx.Value]bool{}, map[*onnx.Value]bool{}
	for _, n := range p.order {
		op := opOf(n)
		if p.multiplies(n) || slices.ContainsFunc(n.In, func(v *onnx.Value) bool { return behind[v] }) {
			for _, v := range n.Out {
				behind[v] = v != nil
			}
		}
		switch {
		case op == nil:
		case p.multiplies(n):
			p.floats[n] = (n.Op == "MatMul" || n.Op == "Gemm") && ends(n) && !slices.ContainsFunc(n.Out[0].Users(), p.named)
			if !p.floats[n] && op.role != stores {
				continue
			}
		case last[n] && len(n.Out) > 0 && behind[n.Out[0]] && !p.named(n) && !p.keepsIntegers(n, op, floats):
			p.tail[n] = true
		default:
			continue
		}
		for _, v := range n.Out {
			floats[v] = v != nil
		}
	}
}

// multiplies reports whether n is a product or a table, or weights are stored for it.
func (p *plan) multiplies(n *onnx.Node) bool {
	op := opOf(n)
	if len(n.In) == 0 || n.In[0] == nil || len(n.Out) == 0 || n.Out[0] == nil { // it stays, anyway
		return false
	}
	return op != nil && (op.sums || len(op.weights) > 0 || p.readsWeights(n, op))
}

// keepsIntegers reports whether n of the tail goes with the integers that it reads:
// it moves them, or bounds what a convolution sums before that is rounded.
func (p *plan) keepsIntegers(n *onnx.Node, op *staticOp, floats map[*onnx.Value]bool) bool {
	if len(n.In) == 0 || n.In[0] == nil || floats[n.In[0]] {
		return false
	}
	if r := p.roleOf(n, op); r == moves || r == reads {
		return true
	}
	from := n.In[0].From
	return (n.Op == "Relu" || n.Op == "Clip") && from != nil && ops.NormalDomain(from.Domain) == "" && (from.Op == "Conv" || from.Op == "ConvTranspose")
}

// named reports whether n was asked for by name.
func (p *plan) named(n *onnx.Node) bool {
	if len(p.c.Selection.Include) == 0 {
		return false
	}
	ok, _ := p.c.Selection.Allows(n)
	return ok
}
