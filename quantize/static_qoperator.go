package quantize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// integers turns each operator between DequantizeLinear and QuantizeLinear into
// one on integers. One that has no such form with what its bias turned out to be
// stays between them.
func (w *staticWriter) integers(order []*onnx.Node) {
	for _, n := range order {
		d := w.p.nodes[n]
		if d.reason != "" || n.Graph == nil || slices.ContainsFunc(n.In, func(v *onnx.Value) bool { return w.p.inner[v] }) {
			continue // it stays, or belongs to the operator before it
		}
		if d.role == stores {
			continue
		}
		if d.role == reads {
			n.SetInput(0, quantOf(n.In[0]).v)
			continue
		}
		if d.note != "" {
			continue
		}
		outs := w.p.results(n, d)
		switch n.Op {
		case "HardSigmoid", "HardSwish", "Tanh":
			y := quantOf(outs[0].Users()[0].Out[0])
			w.g.Replace(y.v, w.unary(n, quantOf(n.In[0]), y))
			w.g.Remove(y.v.From)
			w.g.Remove(n)
			continue
		}
		if len(outs) == 1 && w.p.inner[outs[0]] {
			w.integer(n, d, []*onnx.Value{outs[0].Users()[0].Out[0]}, outs[0].Users()[0])
			continue
		}
		w.integer(n, d, outs, nil)
	}
}

// integer puts the integer form of n, and of the Relu or Clip act behind it, in
// the place of what quantises outs.
func (w *staticWriter) integer(n *onnx.Node, d *decision, outs []*onnx.Value, act *onnx.Node) {
	var y []quantValue
	for _, v := range outs {
		y = append(y, quantOf(v.Users()[0].Out[0]))
	}
	domain, op, as := d.op.domain, d.op.integer, n.Attrs
	count := 1
	var in []*onnx.Value
	switch {
	case op == same:
		domain, op, count = n.Domain, n.Op, len(n.Out)
		in = append(in, n.In...)
		in[0] = quantOf(in[0]).v
		if op == "Pad" && len(in) > 2 && in[2] != nil {
			x := tensor.Data[float32](in[2].Const)[0]
			in[2] = w.constant(in[2].Name+"_quantized", scalarCode(w.p.acts.dtype, w.p.acts.code(x, y[0].affine())))
		}
	case op == "Clip":
		in = []*onnx.Value{quantOf(n.In[0]).v}
		lo, hi, _ := w.bounds(n, y[0])
		as, in = nil, append(in, w.code(n, "_min", lo), w.code(n, "_max", hi))
	case op == "QLinearConcat":
		in = []*onnx.Value{y[0].scale, y[0].zero}
		for _, v := range n.In {
			in = quantOf(v).append(in)
		}
	default:
		if op == "QLinearWhere" {
			in = append(in, n.In[0])
		}
		for i, v := range n.In {
			if i != d.op.bias || i == 0 {
				if q := quantOf(v); q.v != nil {
					in = q.append(in)
				}
			}
		}
		var bias *onnx.Value
		if b := d.op.bias; b > 0 && len(n.In) > b && n.In[b] != nil {
			bias = n.In[b].From.In[0]
		}
		if op == "QGemm" {
			in = append(in, bias)
		}
		in = append(in, y[0].scale, y[0].zero)
		if op == "QLinearConv" && bias != nil {
			in = append(in, bias)
		}
		as = integerAttrs(n, as)
	}
	k := w.g.NewNodeIn(domain, op, as, in, count)
	if domain == microsoft {
		k = w.microsoftNode(op, as, in, count)
	}
	k.Name = w.name(w.p.names[n] + "_quant")
	w.g.Insert(n, k)
	at := 0
	for i, v := range k.Out {
		if count > 1 && (n.Out[i] == nil || at >= len(outs) || n.Out[i] != outs[at]) {
			if n.Out[i] == nil {
				k.Out[i] = nil
				continue
			}
			v.Type = n.Out[i].Type // of integers already
			w.g.Replace(n.Out[i], v)
			continue
		}
		q := y[at].v
		v.Name = w.name(outs[at].Name + "_quantized")
		v.Type = q.Type
		if act != nil {
			v = w.bounded(act, k, v, y[at])
		}
		if n.Op == "ReduceMean" {
			v = w.squeezed(n, v)
		}
		w.g.Replace(q, v)
		w.g.Remove(q.From)
		at++
	}
	if act != nil {
		w.g.Remove(act)
	}
	w.g.Remove(n)
}

// integerAttrs returns the attributes of the integer form of n.
func integerAttrs(n *onnx.Node, as onnx.Attrs) onnx.Attrs {
	switch n.Op {
	case "AveragePool":
		return as.Without("dilations")
	case "Gemm":
		return as.Without("beta")
	case "ReduceMean":
		return nil
	case "Softmax": // since opset 13 over one axis, the last by default
		axis, _ := onnx.Attribute(n, "axis", int64(-1))
		return onnx.NewAttrs("axis", axis, "opset", n.Opset)
	}
	return as
}

// quantValue is a tensor of integers with its parameters.
type quantValue struct{ v, scale, zero *onnx.Value }

// quantOf returns the integers that v is dequantized from, or that it is if it
// is what QuantizeLinear returns; none if it is neither.
func quantOf(v *onnx.Value) (q quantValue) {
	if v == nil || v.From == nil || len(v.From.In) < 3 {
		return q
	}
	q = quantValue{v, v.From.In[1], v.From.In[2]}
	switch v.From.Op {
	case "DequantizeLinear":
		q.v = v.From.In[0]
	case "QuantizeLinear":
	default:
		return quantValue{}
	}
	return q
}

func (q quantValue) append(in []*onnx.Value) []*onnx.Value { return append(in, q.v, q.scale, q.zero) }

func (q quantValue) affine() affine {
	zero, _ := ops.IntsOf(q.zero.Const)
	return affine{tensor.Data[float32](q.scale.Const)[0], zero[0]}
}

// bounds returns the integers between which the Relu or Clip n keeps y; needed
// is false if y has no others.
func (w *staticWriter) bounds(n *onnx.Node, y quantValue) (lo, hi int, needed bool) {
	g, a := w.p.acts, y.affine()
	low, high := float32(math.Inf(-1)), float32(math.Inf(1))
	if n.Op == "Relu" {
		low = 0
	} else if l, h, ok := w.p.clipBounds(n); ok {
		if l != nil {
			low = *l
		}
		if h != nil {
			high = *h
		}
	}
	lo, hi = g.code(low, a), g.code(high, a)
	return lo, max(lo, hi), lo > g.lo || hi < g.hi
}

// code makes an integer of the type of activations.
func (w *staticWriter) code(n *onnx.Node, suffix string, v int) *onnx.Value {
	return w.constant(w.p.names[n]+suffix, scalarCode(w.p.acts.dtype, v))
}

// bounded puts a Clip behind v, which k computes, if the Relu or Clip act does
// more than the type of y.
func (w *staticWriter) bounded(act, k *onnx.Node, v *onnx.Value, y quantValue) *onnx.Value {
	lo, hi, needed := w.bounds(act, y)
	if !needed {
		return v
	}
	c := w.g.NewNode("Clip", nil, []*onnx.Value{v, w.code(act, "_min", lo), w.code(act, "_max", hi)}, 1)
	c.Name = w.name(w.p.names[act] + "_quant")
	c.Out[0].Name = w.name(w.p.names[act] + "_quant_Output")
	c.Out[0].Type = v.Type
	w.g.Insert(y.v.From, c)
	return c.Out[0]
}

// clipBounds returns the bounds of a Clip of opset 11 or newer, nil where it has
// none; ok is false if one is computed.
func (p *plan) clipBounds(n *onnx.Node) (lo, hi *float32, ok bool) {
	var b [2]*float32
	for i := range b {
		if len(n.In) <= i+1 || n.In[i+1] == nil {
			continue
		}
		v := n.In[i+1]
		if !p.constant(v) || v.Const.DType() != tensor.Float32 || v.Const.Len() != 1 {
			return nil, nil, false
		}
		b[i] = &tensor.Data[float32](v.Const)[0]
	}
	return b[0], b[1], true
}
