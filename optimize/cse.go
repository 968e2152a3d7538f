package optimize

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// maxCompared is the size, in bytes, up to which initializers are compared by
// their contents. Larger ones count as equal only if they are the same tensor.
const maxCompared = 1 << 10

// cse makes nodes that compute the same from the same inputs one node, and
// equal small initializers one initializer. Nodes of nested graphs may take the
// place of nodes around them.
func (s *state) cse() error {
	c := &common{s: s, ids: map[*onnx.Value]int{}, tensors: map[*tensor.Tensor]int{}, outs: s.outputs()}
	c.graph(s.g, nil)
	return nil
}

type common struct {
	s       *state
	ids     map[*onnx.Value]int
	tensors map[*tensor.Tensor]int
	outs    map[*onnx.Value]bool
	key     []byte
}

// scope holds the first nodes and initializers of their kind in a graph.
type scope struct {
	outer  *scope
	nodes  map[string]*onnx.Node
	consts map[string]*onnx.Value
}

func (c *common) graph(g *onnx.Graph, outer *scope) {
	sc := &scope{outer: outer, nodes: map[string]*onnx.Node{}, consts: map[string]*onnx.Value{}}
	inputs := map[*onnx.Value]bool{}
	for _, v := range g.Inputs {
		inputs[v] = true
	}
	for _, v := range slices.Clone(g.Consts) {
		if v.Const == nil || inputs[v] || c.outs[v] || v.Uses() == 0 {
			continue
		}
		c.key = c.tensor(c.key[:0], v.Const)
		key := string(c.key)
		if w := find(sc, key, func(s *scope) map[string]*onnx.Value { return s.consts }); w != nil {
			if !c.s.more() {
				return
			}
			g.Replace(v, w)
			c.s.rewrote("cse", nil, nil)
			continue
		}
		sc.consts[key] = v
	}
	for i := 0; i < len(g.Nodes); i++ {
		n := g.Nodes[i]
		for _, b := range n.Bodies() {
			c.graph(b, sc)
		}
		if !c.node(n) {
			continue
		}
		key := string(c.key)
		first := find(sc, key, func(s *scope) map[string]*onnx.Node { return s.nodes })
		if first == nil {
			sc.nodes[key] = n
			continue
		}
		if !c.s.more() {
			return
		}
		if c.replace(g, n, first) {
			i--
			c.s.rewrote("cse", []*onnx.Node{n, first}, nil)
		}
	}
}

func find[T any](s *scope, key string, table func(*scope) map[string]*T) *T {
	for ; s != nil; s = s.outer {
		if v := table(s)[key]; v != nil {
			return v
		}
	}
	return nil
}

// replace makes the readers of n read first, if first has all outputs of n.
func (c *common) replace(g *onnx.Graph, n, first *onnx.Node) bool {
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		if i >= len(first.Out) || first.Out[i] == nil {
			return false
		}
		if c.outs[v] && (c.outs[first.Out[i]] || first.Graph != g) {
			return false // an Identity would have to take n's place
		}
	}
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		w := first.Out[i]
		if t, err := merge(w.Type, v.Type); err == nil {
			w.Type = t
		}
		g.Replace(v, w)
		if c.outs[v] {
			delete(c.outs, v)
			c.outs[w] = true
		}
	}
	g.Remove(n)
	return true
}

// node puts in c.key what n computes; false if n must stay by itself.
func (c *common) node(n *onnx.Node) bool {
	op, v, err := c.s.set.Lookup(n.Domain, n.Op, n.Opset)
	if err != nil || op.Numerics == ops.Random || len(n.In) == 0 || len(n.Bodies()) > 0 || len(n.Out) == 0 {
		return false
	}
	if n.Op == "Identity" && n.Out[0] != nil && c.outs[n.Out[0]] {
		return false
	}
	k := append(c.key[:0], ops.NormalDomain(n.Domain)...)
	k = append(append(append(k, 0), n.Op...), 0)
	k = strconv.AppendInt(k, int64(v.Since), 10)
	if v.Out.Max == ops.Many { // how many parts are asked for decides the result
		k = strconv.AppendInt(append(k, '/'), int64(len(n.Out)), 10)
	}
	ids := make([]int, len(n.In))
	for i, v := range n.In {
		if v != nil {
			ids[i] = c.id(v)
		}
	}
	if op.Commutative && len(ids) >= 2 && ids[0] > ids[1] {
		ids[0], ids[1] = ids[1], ids[0]
	}
	for _, id := range ids {
		k = strconv.AppendInt(append(k, ' '), int64(id), 10)
	}
	as := slices.Clone(n.Attrs)
	slices.SortFunc(as, func(a, b onnx.Attr) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	for _, a := range as {
		k = append(append(append(k, 0), a.Name...), '=')
		switch v := a.Value.(type) {
		case *tensor.Tensor:
			k = c.tensor(k, v)
		case float32, int64, string, []float32, []int64, []string:
			k = fmt.Appendf(k, "%T%q%v", v, v, v)
		default:
			return false
		}
	}
	c.key = k
	return true
}

func (c *common) id(v *onnx.Value) int {
	id := c.ids[v]
	if id == 0 {
		id = len(c.ids) + 1
		c.ids[v] = id
	}
	return id
}

// tensor appends what tells t from other tensors.
func (c *common) tensor(k []byte, t *tensor.Tensor) []byte {
	k = fmt.Append(k, int(t.DType()), t.Shape())
	if b := t.Bytes(); t.DType() != tensor.String && len(b) <= maxCompared {
		return append(append(k, ':'), b...)
	}
	id := c.tensors[t]
	if id == 0 {
		id = len(c.tensors) + 1
		c.tensors[t] = id
	}
	return strconv.AppendInt(append(k, '#'), int64(id), 10)
}
