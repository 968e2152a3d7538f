package quantize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Some functions have no integer operator of their own and are another one with
// other scales.

// unary returns the integer form of n, a HardSigmoid, HardSwish or Tanh, of x
// with the parameters y.
func (w *staticWriter) unary(n *onnx.Node, x, y quantValue) *onnx.Value {
	switch n.Op {
	case "Tanh":
		return w.tanh(n, x, y)
	case "HardSigmoid":
		alpha, beta := hardSigmoidOf(n)
		return w.hardSigmoid(n, x, y, alpha, beta)
	}
	// HardSwish is x · HardSigmoid(x) with these.
	a := w.p.acts.affine(*unit)
	h := quantValue{nil, w.number(n, "_gate_scale", a.scale), w.code(n, "_gate_zero_point", a.zero)}
	h.v = w.hardSigmoid(n, x, h, 1./6, 0.5)
	return w.microsoft(n, "QLinearMul", x.v, x.scale, x.zero, h.v, h.scale, h.zero, y.scale, y.zero)
}

// tanh writes tanh(x) = 2·sigmoid(2x) - 1: the input has twice its scale, the
// output half of it and a zero point that takes off 1.
func (w *staticWriter) tanh(n *onnx.Node, x, y quantValue) *onnx.Value {
	a, b := x.affine(), y.affine()
	zero := b.zero - int(math.RoundToEven(1/float64(b.scale)))
	return w.microsoft(n, "QLinearSigmoid", x.v, w.number(n, "_input_scale", 2*a.scale), x.zero, w.number(n, "_sigmoid_scale", b.scale/2), w.code(n, "_sigmoid_zero_point", zero))
}

// hardSigmoid writes max(0, min(1, alpha·x + beta)): a sum with a constant that
// is cut off where the type of y, or a Clip, ends.
func (w *staticWriter) hardSigmoid(n *onnx.Node, x, y quantValue, alpha, beta float32) *onnx.Value {
	g := w.p.acts
	b, code := affine{scale: max(float32(math.Abs(float64(beta)))/float32(g.hi-g.lo), minScale), zero: g.lo}, g.hi
	if beta < 0 {
		b.zero, code = g.hi, g.lo
	}
	v := w.microsoft(n, "QLinearAdd", x.v, w.number(n, "_input_scale", alpha*x.affine().scale), x.zero,
		w.code(n, "_beta", code), w.number(n, "_beta_scale", b.scale), w.code(n, "_beta_zero_point", b.zero), y.scale, y.zero)
	if lo, hi := g.code(0, y.affine()), g.code(1, y.affine()); lo > g.lo || hi < g.hi {
		t := v.Type
		v = w.node(n, "Clip", w.p.names[n]+"_clip", w.p.names[n]+"_clip_Output", nil, v, w.code(n, "_min", lo), w.code(n, "_max", hi))
		v.Type = t
	}
	return v
}

// hardSigmoidOf returns the attributes of a HardSigmoid.
func hardSigmoidOf(n *onnx.Node) (alpha, beta float32) {
	alpha, _ = onnx.Attribute(n, "alpha", float32(0.2))
	beta, _ = onnx.Attribute(n, "beta", float32(0.5))
	return alpha, beta
}

// microsoft puts an operator of com.microsoft on integers before n, in its place.
func (w *staticWriter) microsoft(n *onnx.Node, op string, in ...*onnx.Value) *onnx.Value {
	k := w.microsoftNode(op, nil, in, 1)
	k.Name = w.name(w.p.names[n] + "_" + op)
	k.Out[0].Name = w.name(k.Name + "_Output")
	k.Out[0].Type = n.Out[0].Type
	k.Out[0].Type.DType = w.p.acts.dtype
	w.g.Insert(n, k)
	return k.Out[0]
}

// microsoftNode makes a node of com.microsoft, which the graph imports then.
func (w *staticWriter) microsoftNode(op string, as onnx.Attrs, in []*onnx.Value, outs int) *onnx.Node {
	if _, ok := w.g.Opsets[microsoft]; !ok {
		w.g.Opsets[microsoft] = 1
	}
	return w.g.NewNodeIn(microsoft, op, as, in, outs)
}

// number makes a scale.
func (w *staticWriter) number(n *onnx.Node, suffix string, v float32) *onnx.Value {
	return w.constant(w.p.names[n]+suffix, tensor.Scalar(v))
}

// isGlobalMean reports whether the ReduceMean n is over all dimensions behind
// batch and channels, and no others, and whether they stay with size 1.
func (p *plan) isGlobalMean(n *onnx.Node) (ok, keep bool) {
	t := n.In[0].Type
	axes, err := onnx.Attribute(n, "axes", []int64(nil))
	k, _ := onnx.Attribute(n, "keepdims", int64(1))
	if err != nil || t.Kind != onnx.TensorKind || t.Rank() < 3 {
		return false, false
	}
	over := map[int]bool{}
	for _, a := range axes {
		over[int(a)] = true
	}
	if len(n.In) > 1 && n.In[1] != nil {
		if !p.constant(n.In[1]) {
			return false, false
		}
		list, err := ops.IntsOf(n.In[1].Const)
		if err != nil {
			return false, false
		}
		for _, a := range list {
			over[a] = true
		}
	}
	for i := 2; i < t.Rank(); i++ {
		if !over[i] && !over[i-t.Rank()] {
			return false, false
		}
		delete(over, i)
		delete(over, i-t.Rank())
	}
	return len(over) == 0, k != 0
}

// squeezed returns v, what QLinearGlobalAveragePool gives, without the
// dimensions of size 1 if the ReduceMean n drops them.
func (w *staticWriter) squeezed(n *onnx.Node, v *onnx.Value) *onnx.Value {
	if _, keep := w.p.isGlobalMean(n); keep {
		return v
	}
	t := v.Type
	v.Type.Dims = slices.Clone(n.In[0].Type.Dims)
	axes := tensor.New(tensor.Int64, len(v.Type.Dims)-2)
	for i := range axes.Len() {
		tensor.Data[int64](axes)[i] = int64(i + 2)
		v.Type.Dims[i+2] = onnx.Sizes(1)[0]
	}
	name := w.p.names[n]
	s := w.node(n, "Squeeze", name+"_squeeze", name+"_squeeze_Output", nil, v, w.constant(name+"_axes", axes))
	s.Type = t
	return s
}
