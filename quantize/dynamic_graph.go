package quantize

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// msDomain is the domain of ONNX Runtime's operators.
const msDomain = "com.microsoft"

// rewriting is a model that is being changed: a copy, so that the given one
// stays as it was if something goes wrong. Functions of the model are inlined,
// types inferred, Constant nodes that give floats are initializers, and loops do not
// carry what they do not change.
type rewriting struct {
	m      *onnx.Model
	home   map[*onnx.Value]*onnx.Graph // of an initializer, the graph that lists it
	names  map[string]bool             // of nodes, which ONNX Runtime wants unique
	before int64

	defaults *Defaults // inputs that are constants meanwhile
}

// rewrite copies m. If it declares an opset below least, the copy is converted to that one.
func rewrite(m *onnx.Model, least int) (*rewriting, error) {
	if m.Graph == nil {
		return nil, fmt.Errorf("quantize: %w: the model has no graph", onnx.ErrInvalid)
	}
	r := &rewriting{m: m.Clone(), home: map[*onnx.Value]*onnx.Graph{}, names: map[string]bool{}, before: initializerBytes(m)}
	if len(m.Functions) > 0 {
		if err := optimize.Inline(r.m, nil); err != nil {
			return nil, err
		}
	}
	if v := r.m.Opsets[""]; v < least {
		if err := optimize.ConvertOpset(r.m, "", least); err != nil {
			return nil, fmt.Errorf("quantize: opset %d is needed, the model has %d: %w", least, v, err)
		}
	}
	r.defaults = FixDefaults(r.m)
	r.m.Graph.Walk(constantsToInitializers)
	unhide(r.m.Graph)
	optimize.SlimLoops(r.m)
	if err := optimize.Infer(r.m, optimize.InferOptions{Trust: true}); err != nil {
		return nil, err
	}
	r.defaults.recount(r.m.Graph)
	r.m.Graph.Walk(func(g *onnx.Graph) {
		for _, v := range g.Consts {
			r.home[v] = g
		}
		for _, v := range g.Inputs {
			delete(r.home, v) // a default is no constant
		}
		for _, n := range g.Nodes {
			r.names[n.Name] = true
		}
	})
	return r, nil
}

// unhide gives values of the graphs nested in g names of their own where they have that of
// a value around them, as PaddlePaddle calls what its loops carry.
func unhide(g *onnx.Graph) {
	names := map[*onnx.Graph]map[string]bool{}
	g.Walk(func(h *onnx.Graph) {
		own := map[string]bool{}
		names[h] = own
		declare := func(v *onnx.Value) {
			if v == nil {
				return
			}
			for o := h.Outer; o != nil; o = o.Outer {
				if names[o][v.Name] {
					v.Name = h.FreshName(v.Name)
					break
				}
			}
			own[v.Name] = true
		}
		for _, v := range slices.Concat(h.Inputs, h.Consts) {
			declare(v)
		}
		for _, n := range h.Nodes {
			for _, v := range n.Out {
				declare(v)
			}
		}
	})
}

// finishModel puts the rewritten graph in place of m's.
func (r *rewriting) finishModel(m *onnx.Model, s *Summary) error {
	if err := nothingLeft(m, s); err != nil {
		return err
	}
	r.m.Graph.Prune()
	if err := r.m.Graph.Check(); err != nil {
		return fmt.Errorf("quantize: %w", err)
	}
	s.Inputs = r.defaults.Restore(r.m.Graph)
	s.Before, s.After = r.before, initializerBytes(r.m)
	m.Graph, m.Opsets, m.IRVersion, m.Functions = r.m.Graph, r.m.Opsets, r.m.IRVersion, r.m.Functions
	return nil
}

// use declares ONNX Runtime's domain.
func (r *rewriting) use(domain string) {
	if r.m.Opsets[domain] == 0 {
		r.m.Opsets[domain] = 1
	}
}

// leastTied is the number of elements below which a copy of weights does no harm.
const leastTied = 1 << 16

// tie has matrices that are the transpose of a table which a Gather reads be computed from
// that, as tied embeddings are before a Transpose of them is folded: what is stored of
// both is stored once.
func (r *rewriting) tie() {
	g := r.m.Graph
	var tables []*onnx.Value
	for _, v := range g.Consts {
		if r.home[v] == g && v.Const.DType() == tensor.Float32 && v.Const.Rank() == 2 && v.Const.Len() >= leastTied &&
			slices.ContainsFunc(v.Users(), func(u *onnx.Node) bool { return u.Op == "Gather" && u.Domain == "" && u.In[0] == v }) {
			tables = append(tables, v)
		}
	}
	for _, table := range tables {
		for _, v := range slices.Clone(g.Consts) {
			if v == table || r.home[v] != g || r.defaults.fixes(v) || slices.Contains(tables, v) || slices.Contains(g.Outputs, v) || !isTranspose(table.Const, v.Const) {
				continue
			}
			n := g.NewNode("Transpose", onnx.NewAttrs("perm", []int{1, 0}), []*onnx.Value{table}, 1)
			n.Out[0].Type = v.Type
			g.Insert(g.Nodes[0], n)
			for _, u := range slices.Clone(v.Users()) {
				for i, x := range u.In {
					if x == v {
						u.SetInput(i, n.Out[0])
					}
				}
			}
		}
	}
}

// isTranspose reports whether b is the transpose of the matrix a of float32.
func isTranspose(a, b *tensor.Tensor) bool {
	if b.DType() != tensor.Float32 || b.Rank() != 2 || b.Dim(0) != a.Dim(1) || b.Dim(1) != a.Dim(0) {
		return false
	}
	x, y := tensor.Data[float32](a), tensor.Data[float32](b)
	rows, cols := a.Dim(0), a.Dim(1)
	const side = 64 // of a tile, so that both sides stay in the cache
	for i0 := 0; i0 < rows; i0 += side {
		for j0 := 0; j0 < cols; j0 += side {
			for i := i0; i < min(i0+side, rows); i++ {
				for j := j0; j < min(j0+side, cols); j++ {
					if math.Float32bits(x[i*cols+j]) != math.Float32bits(y[j*rows+i]) {
						return false
					}
				}
			}
		}
	}
	return true
}

// constant returns the initializer that v is, or is the transpose of, and
// whether it is the transpose; nil if it is computed or given by the caller.
func (r *rewriting) constant(v *onnx.Value) (w *onnx.Value, transposed bool) {
	for v != nil && v.From != nil && v.From.Domain == "" {
		n := v.From
		switch {
		case n.Op == "Identity":
		case n.Op == "Transpose" && n.In[0] != nil && n.In[0].Type.Rank() == 2:
			perm, err := onnx.Attribute(n, "perm", []int64{1, 0})
			if err != nil {
				return nil, false
			}
			transposed = transposed != (perm[0] == 1 || perm[0] == -1)
		default:
			return nil, false
		}
		v = n.In[0]
	}
	if v == nil || v.Const == nil || r.home[v] == nil {
		return nil, false
	}
	return v, transposed
}

// keep lists a new initializer beside near.
func (r *rewriting) keep(near *onnx.Value, suffix string, t *tensor.Tensor) *onnx.Value {
	g := r.home[near]
	if g == nil {
		g = r.m.Graph
	}
	v := g.AddConst(g.NewConst(g.FreshName(near.Name+suffix), t))
	r.home[v] = g
	return v
}

// finish puts what b holds in place of n, whose results are out. It reports why
// not if b has failed; the graph is unchanged then.
func (r *rewriting) finish(b *ops.Builder, n *onnx.Node, out ...*onnx.Value) (why string) {
	if err := b.Err(); err != nil {
		return err.Error()
	}
	if len(b.Nodes) > 0 && n.Name != "" {
		for _, k := range b.Nodes {
			k.Name = r.nodeName(n.Name + "/" + k.Op)
		}
	}
	g := n.Graph
	b.Insert(n)
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		name, inner := v.Name, !g.IsOutput(v)
		g.Replace(v, out[i])
		if inner && out[i].From != nil && !g.IsOutput(out[i]) { // it is what the old value was
			v.Name, out[i].Name = g.FreshName(name), name
		}
	}
	g.Remove(n)
	return ""
}

// nodeName returns name, or that with a number if a node is called so already.
func (r *rewriting) nodeName(name string) string {
	unique := name
	for i := 2; r.names[unique]; i++ {
		unique = name + "_" + strconv.Itoa(i)
	}
	r.names[unique] = true
	return unique
}

// eachNode calls f for the nodes of all graphs, in order, bodies before what
// follows them. f may replace the node.
func (r *rewriting) eachNode(f func(*onnx.Node)) {
	var walk func(*onnx.Graph)
	walk = func(g *onnx.Graph) {
		for _, n := range slices.Clone(g.Nodes) {
			for _, b := range n.Bodies() {
				walk(b)
			}
			f(n)
		}
	}
	walk(r.m.Graph)
}

// constantsToInitializers lists what Constant nodes of g give, floats, as initializers.
func constantsToInitializers(g *onnx.Graph) {
	for _, n := range slices.Clone(g.Nodes) {
		if n.Op != "Constant" || n.Domain != "" || len(n.Attrs) != 1 || n.Attrs[0].Ref != "" || len(n.Out) != 1 {
			continue
		}
		var t *tensor.Tensor
		switch v := n.Attrs[0].Value.(type) {
		case *tensor.Tensor:
			t = v
		case float32:
			t = tensor.Scalar(v)
		case []float32:
			t = tensor.Of(v, len(v))
		}
		if t == nil || !t.DType().IsFloat() || g.IsOutput(n.Out[0]) || returned(n.Out[0]) {
			continue
		}
		old := n.Out[0]
		c := g.AddConst(g.NewConst("", t))
		for _, u := range slices.Clone(old.Users()) {
			for i, in := range u.In {
				if in == old {
					u.SetInput(i, c)
				}
			}
		}
		c.Name, old.Name = old.Name, c.Name
		g.Remove(n)
	}
}

// returned reports whether a nested graph returns v, a value of a graph around it.
func returned(v *onnx.Value) bool {
	return slices.ContainsFunc(v.Users(), func(u *onnx.Node) bool { return !slices.Contains(u.In, v) })
}

// initializerBytes returns the bytes of all initializers of m's graphs.
func initializerBytes(m *onnx.Model) int64 {
	var n int64
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, v := range g.Consts {
			if v.Const != nil {
				n += int64(len(v.Const.Bytes()))
			}
		}
	})
	return n
}

// intAttribute returns an integer attribute of n, def if it has none of that kind.
func intAttribute(n *onnx.Node, name string, def int64) int64 {
	v, err := onnx.Attribute(n, name, def)
	if err != nil {
		return def
	}
	return v
}

func floatAttribute(n *onnx.Node, name string, def float32) float32 {
	v, err := onnx.Attribute(n, name, def)
	if err != nil {
		return def
	}
	return v
}

// inputOf returns input i of n, nil if it is absent.
func inputOf(n *onnx.Node, i int) *onnx.Value {
	if i < len(n.In) {
		return n.In[i]
	}
	return nil
}
