package quantize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// nameSet makes a set of words.
func nameSet(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

var (
	// preciseOps have arguments or results that 8 or 11 bits say little about.
	preciseOps = nameSet("Sin Cos Tan Range CumSum CumProd GridSample RoiAlign AffineGrid NonMaxSuppression DFT STFT MelWeightMatrix Det")
	// angleOps need exact arguments: what computes these stays as well.
	angleOps = nameSet("Sin Cos Tan")
	// growingOps have results that may exceed float16's range where their
	// arguments are far from it.
	growingOps = nameSet("Exp Pow ReduceSumSquare ReduceL2 ReduceLogSumExp ReduceLogSum ReduceProd Sinh Cosh Reciprocal")
	// quantOps have parameters that the type would make inexact.
	quantOps = nameSet("QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul MatMulIntegerToFloat DynamicQuantizeLSTM DynamicQuantizeMatMul")
	// boundingOps have results that are small whatever they read.
	boundingOps = nameSet("Softmax LogSoftmax Sigmoid Tanh Erf Sqrt Log Clip HardSigmoid Softsign Sin Cos Atan Sign Hardmax OneHot Equal Less Greater " +
		"LessOrEqual GreaterOrEqual IsNaN IsInf ArgMax ArgMin Reciprocal Shape Size LayerNormalization RMSNormalization InstanceNormalization " +
		"GroupNormalization MeanVarianceNormalization LpNormalization ReduceL2 ReduceLogSumExp ReduceLogSum")
	// cheapOps move elements or combine a few.
	cheapOps = nameSet("Reshape Transpose Squeeze Unsqueeze Identity Slice Concat Split Gather Expand Flatten Pad Tile Add Sub Mul Div Neg Abs " +
		"Min Max Where Sqrt Cast Clip Relu Sum ConstantOfShape GatherND Trilu")
)

// plan decides for every node, and says so.
func (h *half) plan() []Change {
	h.eachNode(func(n *onnx.Node) {
		if !hasFloats(n) || n.Domain == "" && (n.Op == "Constant" || n.Op == "Shape" || n.Op == "Size") {
			return // these read any type
		}
		h.order = append(h.order, n)
		p := &halfPlan{in: make([]bool, len(n.In)), out: make([]bool, len(n.Out))}
		h.plans[n] = p
		if why := h.unfit(n, p); why != "" {
			p.stay(why)
		}
	})
	h.findWide()
	for _, n := range h.order {
		p := h.plans[n]
		for _, vs := range [][]*onnx.Value{n.In, n.Out} {
			for _, v := range vs {
				if why := h.wide[v]; v != nil && why != "" && isFloat32(v) && p.reason == "" {
					p.stay(why)
				}
			}
		}
	}
	h.keepAngles()
	h.keepBetween()
	var changes []Change
	for _, n := range h.order {
		c := Change{Node: NodeName(n), Op: n.Op, Reason: h.plans[n].reason}
		if c.Reason == "" {
			c.Format = h.c.Type.String()
		}
		changes = append(changes, c)
	}
	return changes
}

// unfit sets what becomes half of n by its signature, and says why nothing does
// for reasons of its own.
func (h *half) unfit(n *onnx.Node, p *halfPlan) string {
	if ok, why := h.c.Allows(n); !ok {
		return why
	}
	domain := ops.NormalDomain(n.Domain)
	switch {
	case slices.Contains(h.c.Float32, n.Op):
		return "the operator is to stay float32"
	case len(n.Bodies()) > 0:
		return "its graphs have float32 inputs and outputs"
	case slices.Contains(h.c.Allow, n.Op):
	case quantOps[n.Op]:
		return "scales of quantised values stay float32"
	case domain == "" && preciseOps[n.Op]:
		return fmt.Sprintf("%s needs the precision of float32", n.Op)
	case domain == "" && growingOps[n.Op] && h.c.Type == tensor.Float16 && !h.ranged(n):
		return fmt.Sprintf("the range of %s is not known and may exceed float16's", n.Op)
	}
	op := schema.Lookup(domain, n.Op, n.Opset)
	if op == nil {
		return "the operator has no known signature"
	}
	bound := map[string]bool{} // type variables of inputs
	some := false
	name := map[tensor.DType]string{tensor.Float16: "tensor(float16)", tensor.BFloat16: "tensor(bfloat16)"}[h.c.Type]
	fill := func(vs []*onnx.Value, out []bool, param func(int) *schema.Param) {
		for i, v := range vs {
			q := param(i)
			if q == nil || !isFloat32(v) {
				continue
			}
			out[i] = slices.Contains(op.Types[q.Type], name)
			some = some || out[i]
		}
	}
	fill(n.In, p.in, op.InputParam)
	fill(n.Out, p.out, op.OutputParam)
	if !some {
		return fmt.Sprintf("%s of opset %d has no %v", n.Op, n.Opset, h.c.Type)
	}
	for i, v := range n.In {
		if q := op.InputParam(i); v != nil && q != nil {
			bound[q.Type] = true
		}
	}
	for i, v := range n.Out {
		q := op.OutputParam(i)
		if v != nil && q != nil && p.out[i] && !bound[q.Type] && n.Op != "Cast" && n.Op != "ConstantOfShape" {
			return "an attribute makes its results float32"
		}
	}
	for i, v := range n.In {
		if c := h.constantHalf(v); c != nil && p.in[i] && c.fault != "" && (c.wide || !addend(n, i)) {
			return c.fault
		}
	}
	return h.unsupported(n, p)
}

// addend reports whether input i of n is added to results, so that it does not
// matter if it is too small for the type. A single number may be what keeps a
// divisor from 0.
func addend(n *onnx.Node, i int) bool {
	switch n.Op {
	case "Conv", "ConvTranspose", "Gemm", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "BatchNormalization":
		return i == 2
	case "Add", "Sub":
		return n.In[i].Const.Len() > 1
	}
	return false
}

// ranged reports whether the ranges of all floats that n computes are given.
func (h *half) ranged(n *onnx.Node) bool {
	for _, v := range n.Out {
		if _, ok := h.c.Ranges[nameOf(v)]; isFloat32(v) && !ok {
			return false
		}
	}
	return true
}

func nameOf(v *onnx.Value) string {
	if v == nil {
		return ""
	}
	return v.Name
}

// unsupported says why this runtime cannot run n as planned; "" if it can. The
// node is built without its constants, which would be packed in vain, but for
// small integers, which say how it computes.
func (h *half) unsupported(n *onnx.Node, p *halfPlan) string {
	k := &onnx.Node{Name: n.Name, Domain: n.Domain, Op: n.Op, Opset: n.Opset, Attrs: slices.Clone(n.Attrs), Graph: n.Graph}
	copied := func(vs []*onnx.Value, halves []bool) []*onnx.Value {
		out := make([]*onnx.Value, len(vs))
		for i, v := range vs {
			if v == nil {
				continue
			}
			out[i] = &onnx.Value{Name: v.Name, Type: v.Type}
			if halves[i] {
				out[i].Type.DType = h.c.Type
			} else if v.Const != nil && v.Const.Len() <= 64 {
				out[i].Const = v.Const
			}
		}
		return out
	}
	k.In, k.Out = copied(n.In, p.in), copied(n.Out, p.out)
	h.retype(k, p)
	if _, _, err := ops.Build(k, ops.BuildEnv{}); err != nil {
		return fmt.Sprintf("this runtime: %v", err)
	}
	return ""
}

// retype changes the attributes of n that say the type of its results.
func (h *half) retype(n *onnx.Node, p *halfPlan) {
	if len(p.out) == 0 || !p.out[0] {
		return
	}
	switch n.Op {
	case "Cast":
		n.Attrs = slices.Clone(n.Attrs).Set("to", h.c.Type)
	case "ConstantOfShape":
		value := tensor.Of([]float32{0}, 1)
		if a := n.Attrs.Get("value"); a != nil {
			value = a.Value.(*tensor.Tensor)
		}
		t := tensor.New(h.c.Type, value.Shape()...)
		tensor.Narrow(t, value)
		n.Attrs = slices.Clone(n.Attrs).Set("value", t)
	}
}

// findWide finds the values that exceed the range.
func (h *half) findWide() {
	exceeds := func(r Range) bool { return max(r.Hi, -r.Hi) > h.limit || max(r.Lo, -r.Lo) > h.limit }
	see := func(v *onnx.Value, follows string) {
		r, ok := h.c.Ranges[nameOf(v)]
		switch {
		case v == nil || !isFloat32(v):
		case ok && exceeds(r):
			h.wide[v] = fmt.Sprintf("the range of %q, %g to %g, exceeds %g", v.Name, r.Lo, r.Hi, h.limit)
		case !ok && follows != "":
			h.wide[v] = follows
		}
	}
	h.m.Graph.Walk(func(g *onnx.Graph) {
		for _, v := range g.Inputs {
			see(v, "")
		}
	})
	for _, n := range h.order {
		follows := ""
		switch {
		case boundingOps[n.Op]:
		case h.c.Type == tensor.Float16 && (growingOps[n.Op] || n.Op == "Mul" && n.In[0] == n.In[1]):
			follows = fmt.Sprintf("the range of %q, a result of %s, is not known and may exceed float16's", nameOf(n.Out[0]), n.Op)
		case n.Op == "ConstantOfShape":
			if a := n.Attrs.Get("value"); a != nil {
				if t, ok := a.Value.(*tensor.Tensor); ok && t.DType() == tensor.Float32 && t.Len() == 1 {
					if x := tensor.Data[float32](t)[0]; isFinite(x) && max(x, -x) > h.limit {
						follows = fmt.Sprintf("%q is %g", nameOf(n.Out[0]), x)
					}
				}
			}
		default:
			for i, v := range n.In {
				if n.Op == "Div" && i == 1 || v == nil || !isFloat32(v) {
					continue
				}
				if c := h.constantHalf(v); c != nil && c.wide {
					follows = c.fault
				} else if h.wide[v] != "" {
					follows = h.wide[v]
				}
			}
		}
		for _, v := range n.Out {
			see(v, follows)
		}
	}
}

// keepAngles makes what computes the arguments of sines stay: moves, sums and
// products without large weights.
func (h *half) keepAngles() {
	exact := map[*onnx.Value]bool{}
	for i := len(h.order) - 1; i >= 0; i-- {
		n := h.order[i]
		p := h.plans[n]
		needs := angleOps[n.Op] && n.Domain == "" && p.reason != ""
		small := cheapOps[n.Op] || n.Op == "MatMul" || n.Op == "Einsum"
		for _, v := range n.In {
			small = small && (v == nil || v.Const == nil || v.Const.Len() <= 4096)
		}
		for _, v := range n.Out {
			needs = needs || exact[v] && small && v != nil
		}
		if !needs {
			continue
		}
		if p.reason == "" {
			p.stay("it computes an angle, which needs the precision of float32")
		}
		for _, v := range n.In {
			if isFloat32(v) {
				exact[v] = true
			}
		}
	}
}

// keepBetween makes groups of cheap nodes stay if all that they read and all that reads
// them stays.
func (h *half) keepBetween() {
	for changed := true; changed; {
		changed = false
		seen := map[*onnx.Node]bool{}
		for _, n := range h.order {
			if seen[n] || !h.cheap(n) {
				continue
			}
			group := []*onnx.Node{n}
			seen[n] = true
			closed := true
			visit := func(k *onnx.Node) {
				if !seen[k] {
					seen[k] = true
					group = append(group, k)
				}
			}
			for i := 0; i < len(group); i++ {
				g := group[i]
				for j, v := range g.In {
					switch {
					case !h.plans[g].in[j] || v == nil || h.constantHalf(v) != nil:
					case v.From != nil && h.plans[v.From] != nil && h.cheap(v.From):
						visit(v.From)
					default:
						closed = closed && !h.willBeHalf(v)
					}
				}
				for j, v := range g.Out {
					if v == nil || !h.plans[g].out[j] {
						continue
					}
					closed = closed && !(h.c.HalfIO && h.m.Graph.IsOutput(v))
					for _, u := range v.Users() {
						q := h.plans[u]
						switch {
						case q == nil:
						case h.cheap(u):
							visit(u)
						default:
							closed = closed && !readsHalf(u, q, v)
						}
					}
				}
			}
			if !closed {
				continue
			}
			for _, g := range group {
				h.plans[g].stay("it only moves or adds values between nodes that stay float32")
			}
			changed = true
		}
	}
}

// cheap reports whether n becomes half and could as well not. One with large
// constants could not: they would be stored in float32.
func (h *half) cheap(n *onnx.Node) bool {
	p := h.plans[n]
	for _, v := range n.In {
		if v != nil && v.Const != nil && v.Const.Len() > 4096 {
			return false
		}
	}
	return p != nil && p.reason == "" && n.Domain == "" && cheapOps[n.Op]
}

// readsHalf reports whether u reads v as half.
func readsHalf(u *onnx.Node, p *halfPlan, v *onnx.Value) bool {
	for i, in := range u.In {
		if in == v && p.in[i] {
			return true
		}
	}
	return false
}

// willBeHalf reports whether v, which is no constant, is written as half.
func (h *half) willBeHalf(v *onnx.Value) bool {
	if v.From == nil {
		return h.c.HalfIO && slices.Contains(h.m.Graph.Inputs, v) && h.wide[v] == ""
	}
	p := h.plans[v.From]
	if p == nil {
		return false
	}
	i := slices.Index(v.From.Out, v)
	return i >= 0 && p.out[i]
}
