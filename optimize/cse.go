package optimize

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

const (
	maxCompared = 1 << 8 // bytes of a tensor that are looked at first
	maxListed   = 1 << 8 // elements of an attribute; a node with more stays by itself
)

// cse makes nodes that compute the same from the same inputs one node, and
// equal small initializers one initializer. Nodes of nested graphs may take the
// place of nodes around them.
func (s *state) cse() error {
	if s.tensors == nil {
		s.tensors = &tensorIDs{ids: map[*tensor.Tensor]int{}, like: map[string][]*tensor.Tensor{}}
	}
	c := &common{s: s, ids: map[*onnx.Value]int{}, outs: s.outputs()}
	c.graph(s.g, nil)
	return nil
}

type common struct {
	s     *state
	ids   map[*onnx.Value]int
	outs  map[*onnx.Value]bool
	key   []byte
	in    []int // ids of the node's inputs
	attrs []int // its attributes, by name
}

// scope holds the first nodes and initializers of their kind in a graph.
type scope struct {
	outer  *scope
	nodes  map[string]*onnx.Node
	consts map[int]*onnx.Value // by the number of the tensor
}

func (c *common) graph(g *onnx.Graph, outer *scope) {
	sc := &scope{outer: outer, nodes: map[string]*onnx.Node{}, consts: map[int]*onnx.Value{}}
	inputs := map[*onnx.Value]bool{}
	for _, v := range g.Inputs {
		inputs[v] = true
	}
	for _, v := range slices.Clone(g.Consts) {
		if v.Const == nil || inputs[v] || c.outs[v] || v.Uses() == 0 {
			continue
		}
		key := c.s.tensors.id(v.Const)
		if w := find(sc, key, func(s *scope) map[int]*onnx.Value { return s.consts }); w != nil {
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

func find[K comparable, T any](s *scope, key K, table func(*scope) map[K]*T) *T {
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
	for _, v := range n.In {
		if v != nil && v.Uses() == 1 { // another node would have to read it, too
			return false
		}
	}
	k := append(c.key[:0], ops.NormalDomain(n.Domain)...)
	k = append(append(append(k, 0), n.Op...), 0)
	k = strconv.AppendInt(k, int64(v.Since), 10)
	if v.Out.Max == ops.Many { // how many parts are asked for decides the result
		k = strconv.AppendInt(append(k, '/'), int64(len(n.Out)), 10)
	}
	ids := c.in[:0]
	for _, v := range n.In {
		id := 0
		if v != nil {
			id = c.id(v)
		}
		ids = append(ids, id)
	}
	c.in = ids
	if op.Commutative && len(ids) >= 2 && ids[0] > ids[1] {
		ids[0], ids[1] = ids[1], ids[0]
	}
	for _, id := range ids {
		k = strconv.AppendInt(append(k, ' '), int64(id), 10)
	}
	c.attrs = c.attrs[:0]
	for i := range n.Attrs {
		c.attrs = append(c.attrs, i)
	}
	slices.SortFunc(c.attrs, func(i, j int) int { return strings.Compare(n.Attrs[i].Name, n.Attrs[j].Name) })
	for _, i := range c.attrs {
		a := &n.Attrs[i]
		k = append(append(append(k, 0), a.Name...), '=')
		switch v := a.Value.(type) {
		case *tensor.Tensor:
			k = strconv.AppendInt(append(k, '#'), int64(c.s.tensors.id(v)), 10)
		case float32:
			k = binary.LittleEndian.AppendUint32(append(k, 'f'), math.Float32bits(v))
		case int64:
			k = binary.LittleEndian.AppendUint64(append(k, 'i'), uint64(v))
		case string:
			k = append(binary.LittleEndian.AppendUint64(append(k, 's'), uint64(len(v))), v...)
		case []float32:
			if len(v) > maxListed {
				return false
			}
			k = binary.LittleEndian.AppendUint64(append(k, 'F'), uint64(len(v)))
			for _, x := range v {
				k = binary.LittleEndian.AppendUint32(k, math.Float32bits(x))
			}
		case []int64:
			if len(v) > maxListed {
				return false
			}
			k = binary.LittleEndian.AppendUint64(append(k, 'I'), uint64(len(v)))
			for _, x := range v {
				k = binary.LittleEndian.AppendUint64(k, uint64(x))
			}
		case []string:
			if len(v) > maxListed {
				return false
			}
			k = binary.LittleEndian.AppendUint64(append(k, 'S'), uint64(len(v)))
			for _, x := range v {
				k = append(binary.LittleEndian.AppendUint64(k, uint64(len(x))), x...)
			}
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

// tensorIDs numbers tensors; equal ones have one number.
type tensorIDs struct {
	ids  map[*tensor.Tensor]int
	like map[string][]*tensor.Tensor // by type, shape and the first bytes
	key  []byte
}

func (s *tensorIDs) id(t *tensor.Tensor) int {
	if n := s.ids[t]; n > 0 {
		return n
	}
	n := len(s.ids) + 1
	if t.DType() != tensor.String {
		b := t.Bytes()
		k := strconv.AppendInt(s.key[:0], int64(t.DType()), 10)
		for _, d := range t.Shape() {
			k = strconv.AppendInt(append(k, ','), int64(d), 10)
		}
		// Of a mapped file that is not in memory each place costs a wait.
		k = append(append(k, ':'), b[:min(len(b), maxCompared)]...)
		s.key = k
		for _, u := range s.like[string(k)] {
			if bytes.Equal(u.Bytes(), b) {
				s.ids[t] = s.ids[u]
				return s.ids[u]
			}
		}
		key := string(k)
		s.like[key] = append(s.like[key], t)
	}
	s.ids[t] = n
	return n
}
