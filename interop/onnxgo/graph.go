package onnxgo

import (
	"fmt"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/iterator"
)

// maxOperands bounds the position of an operand.
const maxOperands = 1 << 16

var _ graph.WeightedDirected = (*Backend)(nil)

// edge is the topology that gonum sees: of several operands that are one value, the last.
type edge struct {
	from, to *Node
	weight   float64
}

func (e *edge) From() graph.Node         { return e.from }
func (e *edge) To() graph.Node           { return e.to }
func (e *edge) Weight() float64          { return e.weight }
func (e *edge) ReversedEdge() graph.Edge { return &edge{e.to, e.from, e.weight} }

// foreignEdge is an edge between nodes of which one is no node of this backend.
type foreignEdge struct {
	from, to graph.Node
	weight   float64
}

func (e foreignEdge) From() graph.Node         { return e.from }
func (e foreignEdge) To() graph.Node           { return e.to }
func (e foreignEdge) Weight() float64          { return e.weight }
func (e foreignEdge) ReversedEdge() graph.Edge { return foreignEdge{e.to, e.from, e.weight} }

// links holds the edges of one node in order of creation.
type links struct {
	from, to []*edge // edges that leave the node, edges that enter it
}

// NewNode returns a node that is not in the graph yet.
func (b *Backend) NewNode() graph.Node {
	n := &Node{b: b, id: b.nextID, v: &value{nodes: 1, early: !b.linked}}
	b.nextID++
	return n
}

// AddNode adds a node that NewNode made. Another node, or one that was added already, makes
// later calls of ApplyOperation and Run return an error.
func (b *Backend) AddNode(gn graph.Node) {
	n, err := b.own(gn)
	switch {
	case err != nil:
		b.fail(err)
	case n.added:
		b.fail(fmt.Errorf("onnxgo: node %d was added twice", n.id))
	default:
		b.insert(n)
	}
}

func (b *Backend) insert(n *Node) {
	n.added = true
	b.order = append(b.order, n)
	b.byID[n.id] = n
}

// own returns gn as a node of b.
func (b *Backend) own(gn graph.Node) (*Node, error) {
	n, ok := gn.(*Node)
	if !ok || n == nil || n.b != b {
		return nil, fmt.Errorf("onnxgo: %T is no node of this backend", gn)
	}
	return n, nil
}

// NewWeightedEdge returns an edge from a result to an operand of its operator, w being the
// operand's position. It is not in the graph yet.
func (b *Backend) NewWeightedEdge(from, to graph.Node, w float64) graph.WeightedEdge {
	f, ferr := b.own(from)
	t, terr := b.own(to)
	if ferr != nil || terr != nil {
		return foreignEdge{from, to, w}
	}
	return &edge{f, t, w}
}

// SetWeightedEdge makes e.To() the operand of e.From() at position e.Weight(). Nodes that are
// not in the graph are added. A value may be an operand several times. An edge that cannot be
// an operand makes later calls of ApplyOperation and Run return an error.
func (b *Backend) SetWeightedEdge(e graph.WeightedEdge) {
	b.linked = true
	if e == nil {
		b.fail(fmt.Errorf("onnxgo: SetWeightedEdge without an edge"))
		return
	}
	from, err := b.own(e.From())
	if err != nil {
		b.fail(err)
		return
	}
	to, err := b.own(e.To())
	if err != nil {
		b.fail(err)
		return
	}
	for _, n := range []*Node{from, to} {
		if !n.added {
			b.insert(n)
		}
	}
	b.link(from, to, e.Weight())
	if from.v.absent {
		return
	}
	at := int(e.Weight())
	if e.Weight() < 0 || e.Weight() >= maxOperands || float64(at) != e.Weight() {
		b.fail(fmt.Errorf("onnxgo: operand position %v of %s is not an integer in [0, %d]", e.Weight(), from, maxOperands-1))
		return
	}
	for len(from.v.operands) <= at {
		from.v.operands = append(from.v.operands, nil)
	}
	if old := from.v.operands[at]; old != nil && old != to.v {
		b.fail(fmt.Errorf("onnxgo: %s has two operands %d: two operators give it, or an edge was set twice", from, at))
		return
	}
	from.v.operands[at] = to.v
	b.stale = true
}

func (b *Backend) link(from, to *Node, w float64) {
	if e := b.edge(from.id, to.id); e != nil {
		e.weight = w
		return
	}
	e := &edge{from, to, w}
	for _, id := range []int64{from.id, to.id} {
		if b.links[id] == nil {
			b.links[id] = &links{}
		}
	}
	b.edges[[2]int64{from.id, to.id}] = e
	b.links[from.id].from = append(b.links[from.id].from, e)
	b.links[to.id].to = append(b.links[to.id].to, e)
}

func (b *Backend) edge(from, to int64) *edge { return b.edges[[2]int64{from, to}] }

// Node returns the node with the given ID, or nil.
func (b *Backend) Node(id int64) graph.Node {
	if n := b.byID[id]; n != nil {
		return n
	}
	return nil
}

// Nodes returns all nodes in order of creation.
func (b *Backend) Nodes() graph.Nodes {
	nodes := make([]graph.Node, len(b.order))
	for i, n := range b.order {
		nodes[i] = n
	}
	return nodesOf(nodes)
}

// From returns the operands of the result with the given ID, each once.
func (b *Backend) From(id int64) graph.Nodes {
	l := b.links[id]
	if l == nil {
		return graph.Empty
	}
	nodes := make([]graph.Node, len(l.from))
	for i, e := range l.from {
		nodes[i] = e.to
	}
	return nodesOf(nodes)
}

// To returns the results of operators that read the node with the given ID.
func (b *Backend) To(id int64) graph.Nodes {
	l := b.links[id]
	if l == nil {
		return graph.Empty
	}
	nodes := make([]graph.Node, len(l.to))
	for i, e := range l.to {
		nodes[i] = e.from
	}
	return nodesOf(nodes)
}

func nodesOf(nodes []graph.Node) graph.Nodes {
	if len(nodes) == 0 {
		return graph.Empty
	}
	return iterator.NewOrderedNodes(nodes)
}

// HasEdgeBetween reports whether one of the two nodes is an operand of the other.
func (b *Backend) HasEdgeBetween(x, y int64) bool {
	return b.edge(x, y) != nil || b.edge(y, x) != nil
}

// HasEdgeFromTo reports whether node v is an operand of node u.
func (b *Backend) HasEdgeFromTo(u, v int64) bool { return b.edge(u, v) != nil }

// Edge returns the edge from u to v, or nil.
func (b *Backend) Edge(u, v int64) graph.Edge {
	if e := b.edge(u, v); e != nil {
		return e
	}
	return nil
}

// WeightedEdge returns the edge from u to v, or nil. If v is an operand of u several times,
// the weight is the last position that was set.
func (b *Backend) WeightedEdge(u, v int64) graph.WeightedEdge {
	if e := b.edge(u, v); e != nil {
		return e
	}
	return nil
}

// Weight returns the position of the operand v of u; 0 and true if they are the same node.
func (b *Backend) Weight(u, v int64) (w float64, ok bool) {
	if e := b.edge(u, v); e != nil {
		return e.weight, true
	}
	return 0, u == v
}
