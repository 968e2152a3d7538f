package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// This pass chooses which values of 16 bits are kept in float32. Operators
// compute in float32 anyway, so a chain that stays there saves the conversions
// around each operator, and rounds less than the model asks for.
//
// A node can be left as it is, at the cost of converting what it reads and
// gives, or be given float32; a value that is made in one type and read in the
// other costs a Cast. Which nodes to widen is a minimum cut, as in layout.go.
// What the model's inputs and outputs have in 16 bits, caches above all, stays
// so where less would be saved than a Cast of it takes.
//
// Weights stay in 16 bits: a Cast stands before them that fold leaves alone
// until products and convolutions have taken it in.

// How an operator is with operands of 16 bits.
type wideKind uint8

const (
	stays    wideKind = iota // it has no other form
	moves16                  // it only moves or selects, at the cost of the bytes
	computes                 // it converts what it reads and gives
	caches                   // it computes, and reads and gives keys and values as they are
)

// wideOps lists the operators that give the same in float32 as in 16 bits, but for rounding.
var wideOps = func() map[string]wideKind {
	m := map[string]wideKind{".Attention": caches, ops.Private + ".Attention": caches}
	add := func(k wideKind, domain string, names ...string) {
		for _, n := range names {
			m[domain+"."+n] = k
		}
	}
	add(moves16, "",
		"Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad", "Reshape", "ScatterElements",
		"ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where")
	add(computes, "",
		"Abs", "Add", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "Conv", "ConvTranspose", "Cos", "CumSum",
		"Div", "Einsum", "Elu", "Equal", "Erf", "Exp", "Floor", "GRU", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual",
		"GridSample", "GroupNormalization", "HardSigmoid", "HardSwish", "InstanceNormalization", "IsInf", "IsNaN", "LSTM", "LayerNormalization",
		"LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "LpNormalization", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mul", "Neg",
		"PRelu", "Pow", "RMSNormalization", "RNN", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
		"ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Resize", "RotaryEmbedding", "Round", "Selu", "Sigmoid", "Sign", "SimplifiedLayerNormalization", "Sin", "Softmax",
		"Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "TopK")
	add(computes, "com.microsoft",
		"BiasGelu", "FastGelu", "FusedConv", "FusedMatMul", "Gelu", "MatMulNBits", "MultiHeadAttention", "QuickGelu", "RotaryEmbedding", "SkipLayerNormalization",
		"SkipSimplifiedLayerNormalization")
	add(moves16, ops.Private, "ScatterGrid")
	add(computes, ops.Private, "GroupNormalization", "MatMul")
	return m
}()

// precision runs the pass once on each graph of the model.
func (s *state) precision() error {
	if s.weights != nil {
		return nil
	}
	s.weights = map[*onnx.Node]bool{}
	var graphs []*onnx.Graph
	s.g.Walk(func(g *onnx.Graph) { graphs = append(graphs, g) })
	for _, g := range graphs {
		if !s.more() {
			break
		}
		w := &widener{s: s, g: g, outs: s.outputs(), id: map[*onnx.Node]int{}, wide: map[*onnx.Value]*onnx.Value{}}
		w.rewrite(w.choose())
	}
	s.exact = nil
	return nil
}

// widener is the pass over one graph.
type widener struct {
	s    *state
	g    *onnx.Graph
	outs map[*onnx.Value]bool
	id   map[*onnx.Node]int          // the vertices of nodes that can be widened
	wide map[*onnx.Value]*onnx.Value // values of 16 bits in float32
}

// is16 reports whether v is a tensor of float16 or bfloat16.
func is16(v *onnx.Value) bool {
	return v != nil && v.Type.Kind == onnx.TensorKind && (v.Type.DType == tensor.Float16 || v.Type.DType == tensor.BFloat16)
}

// kind tells how n is with operands of 16 bits.
func (w *widener) kind(n *onnx.Node) wideKind {
	k := wideOps[opName(n)]
	if k == stays || !slices.ContainsFunc(n.In, is16) && !slices.ContainsFunc(n.Out, is16) {
		return stays
	}
	switch n.Op {
	case "Cast":
		from, to := n.In[0], n.Out[0]
		switch {
		case n.Opset < 6, is16(from) && is16(to):
			return stays
		case is16(to) && slices.ContainsFunc(to.Users(), func(u *onnx.Node) bool { return u.Op == "Cast" }):
			return stays // there and back is meant to round
		}
	case "Gather", "GatherElements", "GatherND":
		if n.In[0] != nil && n.In[0].Const != nil {
			return stays // a table stays as small as it is
		}
	}
	return k
}

// isShape reports whether n reads no elements.
func isShape(n *onnx.Node) bool { return n.Domain == "" && (n.Op == "Shape" || n.Op == "Size") }

// choose returns the nodes to widen.
func (w *widener) choose() map[*onnx.Node]bool {
	g := newCutGraph()
	var values []*onnx.Value
	seen := map[*onnx.Value]bool{}
	for _, n := range w.g.Nodes {
		k := w.kind(n)
		if k == stays {
			continue
		}
		gain, loss := 0, 0
		for _, vs := range [][]*onnx.Value{n.In, n.Out} {
			for i, v := range vs {
				if !is16(v) || v.Const != nil {
					continue
				}
				if !seen[v] {
					seen[v] = true
					values = append(values, v)
				}
				switch {
				case k == moves16:
					loss += elements(v) / 8
				case k == computes, i == 0 || i == 3: // queries and mask, the result and scores
					gain += elements(v) + moveCost
				}
			}
		}
		id := g.vertex()
		w.id[n] = id
		g.edge(cutOne, id, gain)
		g.edge(id, cutZero, loss)
	}
	if len(values) == 0 {
		return nil
	}
	for _, v := range values {
		w.edges(g, v)
	}
	_, one := g.solve()
	chosen := map[*onnx.Node]bool{}
	for n, id := range w.id {
		if one[id] {
			chosen[n] = true
		}
	}
	return chosen
}

// edges adds what it costs to have v in both types for its readers.
func (w *widener) edges(g *cutGraph, v *onnx.Value) {
	cost := elements(v) + moveCost
	from, made := 0, false
	if v.From != nil {
		from, made = w.id[v.From]
	}
	wide := g.vertex() // on side one if any reader is
	half := g.vertex() // on side one only if all readers are
	always := w.outs[v]
	for _, u := range v.Users() {
		if isShape(u) {
			continue
		}
		id, ok := w.id[u]
		if !ok || u.Graph != w.g {
			always = true
			continue
		}
		g.edge(id, wide, cutInf)
		g.edge(half, id, cutInf)
	}
	switch {
	case !made:
		g.edge(wide, cutZero, cost)
	case always:
		g.edge(wide, from, cost)
		g.edge(from, cutZero, cost)
	default:
		g.edge(wide, from, cost)
		g.edge(from, half, cost)
	}
}

// rewrite widens the chosen nodes.
func (w *widener) rewrite(chosen map[*onnx.Node]bool) {
	var old, made []*onnx.Node
	for i := 0; i < len(w.g.Nodes); i++ {
		n := w.g.Nodes[i]
		if !chosen[n] {
			continue
		}
		old = append(old, n)
		for j, v := range n.In {
			if !is16(v) {
				continue
			}
			if w.wide[v] == nil {
				if c := w.widened(v, n, j); c != nil {
					made = append(made, c)
					i++
				}
			}
			n.SetInput(j, w.wide[v])
		}
		if n.Op == "Cast" && n.Out[0] != nil && is16(n.Out[0]) {
			n.Attrs = with(n, "to", int(tensor.Float32))
		}
		var after []*onnx.Node
		for j, v := range n.Out {
			if !is16(v) {
				continue
			}
			f := w.g.NewValue(v.Name+"_float32", v.Type)
			f.Type.DType, f.From = tensor.Float32, n
			n.Out[j], w.wide[v] = f, f
			if w.outs[v] || slices.ContainsFunc(v.Users(), func(u *onnx.Node) bool { return !chosen[u] && !isShape(u) }) {
				c := w.g.NewNode("Cast", onnx.NewAttrs("to", v.Type.DType), []*onnx.Value{f}, 0)
				c.Name, c.Out, v.From = n.Name, []*onnx.Value{v}, c
				after = append(after, c)
				continue
			}
			w.g.Replace(v, f) // Shape reads it
		}
		var next *onnx.Node
		if i+1 < len(w.g.Nodes) {
			next = w.g.Nodes[i+1]
		}
		w.g.Insert(next, after...)
		made = append(made, after...)
	}
	if len(old) > 0 {
		w.s.rewrote("precision", old, made)
	}
}

// widened notes v in float32, for n, the first node that reads it so, as its input i. It returns the Cast that it has put before n, if any.
func (w *widener) widened(v *onnx.Value, n *onnx.Node, i int) *onnx.Node {
	exact := w.s.exact[v.Const]
	weight := v.Const != nil && exact == nil && i == 1 && bytesOf(v.Const) > 1<<14 && takesWeights[opName(n)]
	if v.Const != nil && !weight && (exact != nil || v.Const.Len() <= 1<<16) { // larger ones are folded where they are read
		if exact == nil {
			exact = ops.Widened(v.Const)
		}
		w.wide[v] = w.g.AddConst(w.g.NewConst(w.g.FreshName(v.Name), exact))
		return nil
	}
	c := w.g.NewNode("Cast", onnx.NewAttrs("to", tensor.Float32), []*onnx.Value{v}, 1)
	c.Name = n.Name
	c.Out[0].Type = v.Type
	c.Out[0].Type.DType = tensor.Float32
	w.wide[v] = c.Out[0]
	if weight {
		w.s.weights[c] = true
	}
	w.g.Insert(n, c)
	return c
}

// takesWeights lists the operators whose second input may stay in 16 bits.
var takesWeights = map[string]bool{".MatMul": true, ".Gemm": true, ".Conv": true, "com.microsoft.FusedMatMul": true, "com.microsoft.FusedConv": true,
	ops.Private + ".MatMul": true}

// foldWide computes n, all of whose inputs are constant, without roundings to 16 bits on the way, and notes what its
// results are before they are rounded. It returns nil where nothing is rounded on the way.
func (s *state) foldWide(n *onnx.Node, memory int) []tensor.Value {
	k, to16 := wideOps[opName(n)], slices.ContainsFunc(n.Out, is16)
	if !s.machine || s.off["precision"] || k == stays || n.Op == "Cast" && to16 || slices.ContainsFunc(n.Out, isLarge) {
		return nil
	}
	wide := *n
	wide.In, wide.Out = slices.Clone(n.In), slices.Clone(n.Out)
	in := make([]tensor.Value, len(n.In))
	inexact := k != moves16 && to16
	for i, v := range n.In {
		if v != nil {
			in[i] = v.Const
			inexact = inexact || s.exact[v.Const] != nil
		}
	}
	if !inexact {
		return nil
	}
	for i, v := range n.In {
		if is16(v) {
			t := s.exact[v.Const]
			if t == nil {
				t = ops.Widened(v.Const)
			}
			in[i], wide.In[i] = t, &onnx.Value{Name: v.Name, Type: v.Type, Const: t}
			wide.In[i].Type.DType = tensor.Float32
		}
	}
	for i, v := range n.Out {
		if is16(v) {
			wide.Out[i] = &onnx.Value{Name: v.Name, Type: v.Type}
			wide.Out[i].Type.DType = tensor.Float32
		}
	}
	res, err := ops.EvalWithin(s.o.P, &wide, in, ops.BuildEnv{Set: s.set}, memory)
	if err != nil {
		return nil
	}
	if s.exact == nil {
		s.exact = map[*tensor.Tensor]*tensor.Tensor{}
	}
	for i, v := range n.Out {
		if t, ok := res[i].(*tensor.Tensor); ok && is16(v) && t.DType() == tensor.Float32 {
			h := tensor.New(v.Type.DType, t.Shape()...)
			ops.Narrowed(h, t)
			res[i], s.exact[h] = h, t
		}
	}
	return res
}

// isLarge reports whether v has too many elements to be kept in two forms.
func isLarge(v *onnx.Value) bool { return v != nil && elements(v) > 1<<18 }

// lift lets the Casts of weights be folded that nothing has taken in.
func (s *state) lift() error {
	clear(s.weights)
	return s.fold()
}

// halves makes a float16 constant for an example.
func halves(shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float16, shape...)
	for i, d := 0, tensor.Data[tensor.F16](t); i < len(d); i++ {
		d[i] = tensor.F16Of(float32(i%7-3) / 8)
	}
	return t
}
