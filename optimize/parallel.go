package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// parallel are rules that join branches over one input whose results are added, as networks that are
// trained with more branches than they need have them:
//
//	W*x + b + V*x + c  =  (W + V)*x + (b + c)
//
// where the taps of the smaller kernel V are some of those of W. A factor per channel is a kernel of
// one tap. Weights must be constant and have no other reader; element types float32 and float64.
//
// See X. Ding et al., RepVGG: Making VGG-style ConvNets Great Again, 2021, section 3.3.
var parallel = []*Rule{{
	Name: "join-convs", Doc: "sum of Conv, BatchNormalization and constant factors of one input => Conv",
	Pattern: Op("Add", Var("a"), Var("b")),
	Where: func(m *Match) bool {
		return m.Root.Opset >= 7 && (summand(m.Root, m.Var("a")) || summand(m.Root, m.Var("b")))
	},
	Rewrite: rewriteParallel,
	Example: func(b *ops.Builder) {
		x, y := in(b, "x", 1, 4, 6, 6), in(b, "y", 1, 4, 9)
		wide := b.Op("Conv", onnx.NewAttrs("pads", []int{1, 1, 1, 1}, "strides", []int{2, 1}, "group", 2), x, floats(b, 4, 2, 3, 3), floats(b, 4))
		narrow := b.Op("Conv", onnx.NewAttrs("pads", []int{0, 1, 0, 0}, "strides", []int{2, 1}, "group", 2), x, floats(b, 4, 2, 1, 2))
		apart := b.Op("Conv", onnx.NewAttrs("pads", []int{4, 2}, "dilations", []int{2}), y, floats(b, 4, 4, 4))
		one := b.Op("Conv", onnx.NewAttrs("dilations", []int{3}), y, floats(b, 4, 4, 1), floats(b, 4))
		norm := b.Op("BatchNormalization", nil, y, floats(b, 4), floats(b, 4), floats(b, 4), floats(b, 4))
		own := b.Op("Conv", onnx.NewAttrs("pads", []int{1, 0, 1, 2}, "group", 4), x, floats(b, 4, 1, 3, 3))
		ret(b, b.Op("Add", nil, wide, narrow), b.Op("Add", nil, b.Op("Add", nil, one, norm), apart),
			b.Op("Add", nil, b.Op("Add", nil, b.Op("Mul", nil, x, floats(b, 4, 1, 1)), own), x))
	},
}}

// mostSummands bounds how many summands are looked at together.
const mostSummands = 16

// summand reports whether v may be part of a sum of branches that n is the last Add of.
func summand(n *onnx.Node, v *onnx.Value) bool {
	return v.From != nil && (v.From.Op == "Conv" || v.From.Op == "Add") && v.From.Domain == "" && sameType(v, n.Out[0])
}

// summands appends what the Add n adds up, through all Adds that only it reads.
func summands(list []*onnx.Value, n *onnx.Node) []*onnx.Value {
	for _, v := range n.In {
		if f := v.From; f != nil && f.Op == "Add" && f.Domain == "" && v.Uses() == 1 && sameType(v, n.Out[0]) && len(list) < mostSummands {
			list = summands(list, f)
		} else {
			list = append(list, v)
		}
	}
	return list
}

func rewriteParallel(m *Match, b *ops.Builder) []*onnx.Value {
	root := m.Root.Out[0]
	if root.Uses() == 1 && !b.G.IsOutput(root) {
		if next := root.Users()[0]; next.Op == "Add" && next.Domain == "" && sameType(next.Out[0], root) {
			return nil // which looks at all
		}
	}
	all := summands(nil, m.Root)
	for _, x := range inputsOf(all) {
		if y := joinParallel(b, all, x, root); y != nil {
			return only(m, y)
		}
	}
	return nil
}

// inputsOf returns what the convolutions among vs read.
func inputsOf(vs []*onnx.Value) []*onnx.Value {
	var xs []*onnx.Value
	for _, v := range vs {
		if v.From != nil && v.From.Op == "Conv" && v.From.Domain == "" && !slices.Contains(xs, v.From.In[0]) {
			xs = append(xs, v.From.In[0])
		}
	}
	return xs
}

// joinParallel returns the sum of all with those that are branches over x joined, or nil if that are less than two.
func joinParallel(b *ops.Builder, all []*onnx.Value, x, root *onnx.Value) *onnx.Value {
	var wide *convKernel
	branch := make([]*convKernel, len(all))
	for i, v := range all {
		if v.From != nil && v.From.Op == "Conv" && v.From.Domain == "" && v.From.In[0] == x && v.Uses() == 1 && sameType(v, root) {
			branch[i] = kernelOf(v.From)
			if k := branch[i]; k != nil && (wide == nil || k.w.Len() > wide.w.Len()) {
				wide = k
			}
		}
	}
	if wide == nil {
		return nil
	}
	var parts []*convKernel
	var rest []*onnx.Value
	for i, v := range all {
		k := branch[i]
		if k == nil && sameType(v, root) {
			k = wide.factorOf(v)
		}
		if k != nil && k.within(wide) {
			parts = append(parts, k)
		} else {
			rest = append(rest, v)
		}
	}
	if len(parts) < 2 {
		return nil
	}
	y := wide.plus(b, parts)
	for _, v := range rest {
		if y != nil {
			y = b.Op("Add", nil, y, v)
		}
	}
	return y
}

// factorOf returns v as a convolution of k's input, if it is that input times a factor per channel, else nil.
func (k *convKernel) factorOf(v *onnx.Value) *convKernel {
	if v == k.x && k.cg == 1 {
		return k.factors(slices.Repeat([]float64{1}, k.m)) // which costs nothing
	}
	n := v.From
	if n == nil || n.Domain != "" || v.Uses() != 1 {
		return nil
	}
	switch x, c := input(n, 0), input(n, 1); {
	case n.Op == "BatchNormalization" && x == k.x && infers(n):
		if scale, term, ok := normalFactors(n); ok {
			if q := k.factors(scale); q != nil {
				q.bias = term
				return q
			}
		}
	case n.Op == "Mul" && n.Opset >= 7 && sameType(v, k.x):
		if c == k.x {
			x, c = c, x
		}
		if axis := -1 - len(k.taps); x == k.x && c.Const != nil && c.Const.Rank() >= -axis && c.Const.Dim(axis) == k.m {
			if scale, ok := reals(c.Const); ok {
				return k.factors(scale)
			}
		}
	}
	return nil
}

// convKernel is a convolution of x with constant weights w[m, cg, taps…].
type convKernel struct {
	x                              *onnx.Value
	taps, strides, dilations, pads []int
	group, m, cg                   int
	w                              *tensor.Tensor
	bias                           []float64 // may be nil
}

// kernelOf returns what n computes with, or nil if that is not known or others read its weights.
func kernelOf(n *onnx.Node) *convKernel {
	if input(n, 1) == nil {
		return nil
	}
	w := n.In[1].Const
	if w == nil || w.DType() != tensor.Float32 && w.DType() != tensor.Float64 {
		return nil
	}
	d := w.Rank() - 2
	auto, err := onnx.Attribute(n, "auto_pad", "NOTSET")
	if d < 1 || n.In[1].Uses() != 1 || err != nil || auto != "NOTSET" && auto != "VALID" {
		return nil
	}
	list := func(name string, length, def int) []int {
		v, given, ok := constInts(n, len(n.In), name)
		if !ok || given && len(v) != length {
			return nil
		}
		if !given {
			v = slices.Repeat([]int{def}, length)
		}
		return v
	}
	k := &convKernel{x: n.In[0], taps: w.Shape()[2:], strides: list("strides", d, 1), dilations: list("dilations", d, 1), pads: list("pads", 2*d, 0), group: int(intAttr(n, "group", 1)), m: w.Dim(0), cg: w.Dim(1), w: w}
	if auto == "VALID" {
		k.pads = make([]int, 2*d)
	}
	given := list("kernel_shape", d, 0)
	if k.strides == nil || k.dilations == nil || k.pads == nil || given == nil || !all(given, 0) && !slices.Equal(given, k.taps) {
		return nil
	}
	if b := input(n, 2); b != nil {
		var ok bool
		if k.bias, ok = reals(b.Const); !ok || len(k.bias) != k.m {
			return nil
		}
	}
	return k
}

// within reports whether each position of q sees some of the elements that the same position of p does.
func (q *convKernel) within(p *convKernel) bool {
	if len(q.taps) != len(p.taps) || q.group != p.group || q.m != p.m || q.cg != p.cg || !slices.Equal(q.strides, p.strides) {
		return false
	}
	for i, n := range q.taps {
		before, after := p.pads[i]-q.pads[i], p.pads[i+len(p.taps)]-q.pads[i+len(p.taps)]
		dil := p.dilations[i]
		if n > 1 && q.dilations[i] != dil || before < 0 || after < 0 || dil < 1 || before%dil != 0 || before+after != (p.taps[i]-n)*dil {
			return false
		}
	}
	return true
}

// factors returns the convolution of k's input that multiplies each channel with its scale, or nil if
// there are not as many results of each group as channels.
func (k *convKernel) factors(scale []float64) *convKernel {
	if len(scale) != k.m || k.cg*k.group != k.m {
		return nil
	}
	one := slices.Repeat([]int{1}, len(k.taps))
	q := &convKernel{x: k.x, taps: one, strides: one, dilations: one, pads: make([]int, 2*len(one)), group: k.group, m: k.m, cg: k.cg}
	w := make([]float64, k.m*k.cg)
	for o, s := range scale {
		w[o*k.cg+o%k.cg] = s
	}
	q.w = fromReals(w, k.w.DType())
	return q
}

// plus returns the sum of parts, which are within p and one of which is p, or nil where numbers are not finite.
func (p *convKernel) plus(b *ops.Builder, parts []*convKernel) *onnx.Value {
	d := p.w.DType()
	var w *tensor.Tensor
	switch d {
	case tensor.Float32:
		w = addTaps[float32](p, parts)
	case tensor.Float64:
		w = addTaps[float64](p, parts)
	}
	if w == nil {
		return nil
	}
	in := []*onnx.Value{p.x, b.Const(w)}
	var bias []float64
	for _, q := range parts {
		if q.bias != nil && bias == nil {
			bias = make([]float64, p.m)
		}
		for i, v := range q.bias {
			bias[i] += v
		}
	}
	if !finite(bias) {
		return nil
	}
	if bias != nil {
		in = append(in, b.Const(fromReals(bias, d)))
	}
	return b.Op("Conv", onnx.NewAttrs("strides", p.strides, "dilations", p.dilations, "pads", p.pads, "group", p.group), in...)
}

// addTaps returns the sum of the weights of parts, or nil where it is infinite or NaN.
func addTaps[T float32 | float64](p *convKernel, parts []*convKernel) *tensor.Tensor {
	sum := slices.Clone(tensor.Data[T](p.w))
	count := max(p.m*p.cg, 1)
	for _, q := range parts {
		if q == p {
			continue
		}
		w := tensor.Data[T](q.w)
		to := make([]int, len(w)/count) // of each tap of q: that of p
		for t := range to {
			for i, rest, stride := len(q.taps)-1, t, 1; i >= 0; i-- {
				to[t] += (rest%q.taps[i] + (p.pads[i]-q.pads[i])/p.dilations[i]) * stride
				rest, stride = rest/q.taps[i], stride*p.taps[i]
			}
		}
		for kernel := sum; len(w) > 0; w, kernel = w[len(to):], kernel[len(sum)/count:] {
			for t, at := range to {
				kernel[at] += w[t]
			}
		}
	}
	for _, x := range sum {
		if x-x != 0 {
			return nil
		}
	}
	return tensor.Of(sum, p.w.Shape()...)
}
