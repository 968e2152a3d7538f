package optimize

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// maxFolded is how large, in bytes, the results of a folded node may be when
// they are larger than what they were computed from.
const maxFolded = 1 << 20

// foldMemory is what folding a node may take beside four times its largest result:
// sizes that depend on values show only when it runs.
const foldMemory = 256 << 20

// notFolded lists operators whose constant operands are a compact form of the
// result: computing it ahead would only cost memory.
var notFolded = map[string]bool{
	".DequantizeLinear": true, ".QuantizeLinear": true, ".DynamicQuantizeLinear": true,
	"com.microsoft.DequantizeLinear": true, "com.microsoft.QuantizeLinear": true, "com.microsoft.DequantizeBFP": true,
	"com.microsoft.GatherBlockQuantized": true, "com.microsoft.DequantizeWithOrder": true,
}

// fold computes nodes all of whose inputs are constant.
func (s *state) fold() error {
	outs := s.outputs()
	var err error
	s.g.Walk(func(g *onnx.Graph) {
		for i := 0; i < len(g.Nodes) && err == nil && s.more(); i++ {
			n := g.Nodes[i]
			res := s.constant(n, outs)
			if res == nil {
				continue
			}
			at := i
			for j, v := range n.Out {
				if v != nil {
					s.toConst(g, v, res[j], outs)
				}
			}
			g.Remove(n)
			for _, v := range n.In {
				if v != nil && v.Uses() == 0 {
					delete(s.exact, v.Const)
				}
			}
			i = at - 1
			s.rewrote("fold", []*onnx.Node{n}, nil)
		}
	})
	return err
}

// toConst makes all readers of v read t. The name stays with the constant.
func (s *state) toConst(g *onnx.Graph, v *onnx.Value, t *tensor.Tensor, outs map[*onnx.Value]bool) {
	name := g.FreshName(v.Name)
	if !outs[v] {
		name, v.Name = v.Name, name
	}
	c := g.AddConst(g.NewConst(name, t))
	g.Replace(v, c)
	if outs[v] { // Replace has put an Identity in place
		delete(outs, v)
		for _, o := range g.Outputs {
			outs[o] = true
		}
	}
}

// constant returns n's results if n can and may be computed ahead, else nil.
func (s *state) constant(n *onnx.Node, outs map[*onnx.Value]bool) []*tensor.Tensor {
	op, v, err := s.set.Lookup(n.Domain, n.Op, n.Opset)
	if err != nil || op.Numerics == ops.Random || v.Build == nil || len(n.Bodies()) > 0 ||
		notFolded[ops.NormalDomain(n.Domain)+"."+n.Op] || s.weights[n] {
		return nil
	}
	in := make([]tensor.Value, len(n.In))
	size := 0
	for i, v := range n.In {
		if v == nil {
			continue
		}
		if v.Const == nil {
			return nil
		}
		in[i] = v.Const
		if s.machine || v.Uses() == 1 && !outs[v] { // otherwise it stays in the file, too
			size += bytesOf(v.Const)
		}
	}
	if n.Op == "Identity" && outs[n.Out[0]] && n.Out[0].Uses() == 0 {
		return nil // it carries a constant to an output
	}
	if s.machine && readsTransposed(n) {
		return nil
	}
	limit := max(size, maxFolded)
	switch n.Op {
	case "Constant":
		limit = math.MaxInt
	case "Cast": // computing with weights that are stored in half precision
		limit = max(2*size, maxFolded)
	}
	for _, v := range n.Out {
		if v == nil {
			continue
		}
		if v.Type.Kind != onnx.TensorKind && v.Type.Kind != onnx.UnknownKind {
			return nil
		}
		if shape, ok := v.Type.Static(); ok && v.Type.DType.Valid() {
			if b, err := tensor.ByteSize(v.Type.DType, shape); err != nil || b > limit {
				return nil
			}
		}
	}
	memory := math.MaxInt
	if limit < (math.MaxInt-foldMemory)/4 {
		memory = 4*limit + foldMemory
	}
	res := s.foldWide(n, memory)
	if res == nil {
		if res, err = ops.EvalWithin(s.o.P, n, in, ops.BuildEnv{Set: s.set}, memory); err != nil {
			return nil // too large, or the runtime reports it, if the node is ever reached
		}
	}
	out := make([]*tensor.Tensor, len(res))
	total := 0
	for i, r := range res {
		if n.Out[i] == nil {
			continue
		}
		t, ok := r.(*tensor.Tensor)
		if !ok {
			return nil
		}
		out[i] = t
		total += bytesOf(t)
	}
	if total > limit {
		return nil
	}
	return out
}

// readsTransposed reports whether n transposes a large initializer that others
// read as it is, for products that can read it transposed.
func readsTransposed(n *onnx.Node) bool {
	if n.Op != "Transpose" || n.Domain != "" || bytesOf(n.In[0].Const) <= maxFolded || n.In[0].Uses() < 2 || !isFloating(n.In[0]) {
		return false
	}
	p, ok := permOf(n)
	return ok && len(p) == 2 && !slices.ContainsFunc(n.Out[0].Users(), func(u *onnx.Node) bool {
		return u.Op != "MatMul" || ops.NormalDomain(u.Domain) != "" && u.Domain != "x"
	})
}

func bytesOf(t *tensor.Tensor) int {
	n, err := tensor.ByteSize(t.DType(), t.Shape())
	if err != nil {
		return 0
	}
	return n
}

// shapes replaces integer values that inference knows, such as the dimensions
// of values of known shape, by constants.
func (s *state) shapes() error {
	outs := s.outputs()
	s.g.Walk(func(g *onnx.Graph) {
		for i := 0; i < len(g.Nodes) && s.more(); i++ {
			n := g.Nodes[i]
			for _, v := range n.Out {
				if v == nil || v.Uses() == 0 {
					continue
				}
				if t := s.knownInts(v); t != nil && s.more() {
					s.toConst(g, v, t, outs)
					s.rewrote("shapes", []*onnx.Node{n}, nil)
				}
			}
		}
	})
	s.g.Prune()
	return nil
}

// knownInts returns the value of v if inference knows every element.
func (s *state) knownInts(v *onnx.Value) *tensor.Tensor {
	ints, ok := s.ints[v]
	if !ok || v.Type.Kind != onnx.TensorKind || !v.Type.Ranked || len(v.Type.Dims) > 1 {
		return nil
	}
	shape := []int{}
	if len(v.Type.Dims) == 1 {
		shape = []int{len(ints)}
		if k, ok := v.Type.Dims[0].Size(); ok && k != len(ints) {
			return nil
		}
	} else if len(ints) != 1 {
		return nil
	}
	d := make([]int64, len(ints))
	for i, x := range ints {
		k, ok := x.Size()
		if !ok {
			return nil
		}
		d[i] = int64(k)
	}
	switch v.Type.DType {
	case tensor.Int64:
		return tensor.Of(d, shape...)
	case tensor.Int32:
		w := make([]int32, len(d))
		for i, x := range d {
			w[i] = int32(x)
			if int64(w[i]) != x {
				return nil
			}
		}
		return tensor.Of(w, shape...)
	case tensor.Bool:
		w := make([]bool, len(d))
		for i, x := range d {
			w[i] = x != 0
		}
		return tensor.Of(w, shape...)
	}
	return nil
}

// branches puts the chosen branch in place of an If whose condition is constant.
func (s *state) branches() error {
	for again := true; again; {
		again = false
		s.g.Walk(func(g *onnx.Graph) {
			for i := 0; i < len(g.Nodes) && s.more(); i++ {
				n := g.Nodes[i]
				if s.takeBranch(g, n) {
					again = true
					i--
				}
			}
		})
	}
	return nil
}

func (s *state) takeBranch(g *onnx.Graph, n *onnx.Node) bool {
	if n.Op != "If" || ops.NormalDomain(n.Domain) != "" || len(n.In) != 1 || n.In[0] == nil {
		return false
	}
	c := n.In[0].Const
	if c == nil || c.DType() != tensor.Bool || c.Len() != 1 {
		return false
	}
	name := "else_branch"
	if tensor.Data[bool](c)[0] {
		name = "then_branch"
	}
	a := n.Attrs.Get(name)
	if a == nil {
		return false
	}
	b, ok := a.Value.(*onnx.Graph)
	if !ok || len(b.Outputs) < len(n.Out) {
		return false
	}
	freshNames(g, b) // the other branch, and branches elsewhere, may use the same
	made := b.Nodes
	g.Splice(n, b)
	for i, v := range n.Out {
		if v != nil {
			g.Replace(v, b.Outputs[i])
		}
	}
	g.Remove(n)
	s.rewrote("branches", []*onnx.Node{n}, made)
	return true
}

// freshNames gives what the nodes of b and graphs in it make names that g has not.
func freshNames(g, b *onnx.Graph) {
	b.Walk(func(h *onnx.Graph) {
		for _, v := range h.Consts {
			v.Name = g.FreshName(v.Name)
		}
		for _, k := range h.Nodes {
			for _, v := range k.Out {
				if v != nil {
					v.Name = g.FreshName(v.Name)
				}
			}
		}
	})
}
