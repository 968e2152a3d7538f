package optimize

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// This pass chooses for each value in which order its dimensions are kept, so
// that convolutions run channels-last and few elements are moved to get there.
//
// A node can be left as it is, or be rewritten for values that are kept in
// another order: its plan says which order each of its inputs and outputs has
// then. Convolutions and Transposes suggest orders; the neighbours of a node
// with a plan get one that agrees with it where their operator allows. A
// Transpose that is rewritten vanishes: its input already has the order. Which
// nodes to rewrite is a minimum cut: a node left as it is costs its gain, and a
// value that is read in another order than it is produced in costs a Transpose.

// perm is the order in which a value is kept: dimension i of what is kept is
// dimension perm[i] of the value. Nil is the order of the value itself.
type perm []int

// plain reports whether p moves nothing.
func (p perm) plain() bool { return isIdentityPerm(p) }

// inverse returns q so that q[p[i]] = i.
func (p perm) inverse() perm {
	q := make(perm, len(p))
	for i, k := range p {
		q[k] = i
	}
	return q
}

// then returns the perm of a Transpose from what is kept as p to what is kept as q.
func (p perm) then(q perm) perm {
	if p == nil {
		return q
	}
	if q == nil {
		return p.inverse()
	}
	at, r := p.inverse(), make(perm, len(q))
	for i, k := range q {
		r[i] = at[k]
	}
	return r
}

// after returns the order in which the input of a Transpose by p is kept if
// that makes the output in order q.
func (p perm) after(q perm) perm {
	if q == nil {
		return p
	}
	r := make(perm, len(q))
	for i, k := range q {
		r[i] = p[k]
	}
	return r
}

// channelsLast returns the order of rank dimensions with channels, dimension 1, at the end.
func channelsLast(rank int) perm {
	p := perm{0}
	for i := 2; i < rank; i++ {
		p = append(p, i)
	}
	return append(p, 1)
}

// layoutPlan is how a node is rewritten for values in other orders.
type layoutPlan struct {
	in, out []perm // nil where the order stays
	// build makes what computes the outputs, in the orders of out, from inputs in the orders of in.
	build func(b *ops.Builder, in []*onnx.Value) []*onnx.Value
	gain  int // what it costs more to leave the node as it is, in elements moved
	loss  int // what it costs more to rewrite it
	id    int // its vertex
}

// A layoutRule makes the plan of n if its input port (its output ^port, if port
// is negative) is kept in the order p, which moves something. Nil: it cannot.
type layoutRule func(l *layouter, n *onnx.Node, port int, p perm) *layoutPlan

// layouter is the pass over one graph.
type layouter struct {
	s     *state
	g     *onnx.Graph
	outs  map[*onnx.Value]bool
	plans map[*onnx.Node]*layoutPlan
	queue []*onnx.Node

	forms map[*onnx.Value]form
	made  map[formKey]*onnx.Value
	fresh []formKey // of made, by the node that is being rewritten
}

// form is how a value of the graph is kept once its producer is rewritten.
type form struct {
	v *onnx.Value
	p perm
}

type formKey struct {
	v *onnx.Value
	p string
}

// arrange runs the pass on all graphs of the model.
func (s *state) arrange() error {
	var err error
	var graphs []*onnx.Graph
	s.g.Walk(func(g *onnx.Graph) { graphs = append(graphs, g) })
	outs := s.outputs()
	for _, g := range graphs {
		if err == nil && s.more() {
			l := &layouter{s: s, g: g, outs: outs, plans: map[*onnx.Node]*layoutPlan{}}
			err = l.run()
			outs = s.outputs()
		}
	}
	return err
}

func (l *layouter) run() error {
	for _, n := range l.g.Nodes {
		if r := channelOps[opName(n)]; r != nil && len(n.In) > 0 && n.In[0] != nil {
			if rank := n.In[0].Type.Rank(); rank >= 3 {
				l.plan(n, r, 0, channelsLast(rank))
			}
		}
	}
	l.spread()
	for _, n := range l.g.Nodes {
		if opName(n) == ".Transpose" && l.plans[n] == nil {
			if q, ok := permOf(n); ok {
				l.plan(n, layoutTranspose, ^0, perm(q).inverse())
				l.spread()
			}
		}
	}
	if len(l.plans) == 0 {
		return nil
	}
	return l.rewrite(l.choose())
}

func opName(n *onnx.Node) string { return ops.NormalDomain(n.Domain) + "." + n.Op }

// plan asks r for a plan of n, which has none yet.
func (l *layouter) plan(n *onnx.Node, r layoutRule, port int, p perm) {
	if pl := r(l, n, port, p); pl != nil {
		l.plans[n] = pl
		l.queue = append(l.queue, n)
	}
}

// spread gives plans to the neighbours of nodes that have got one.
func (l *layouter) spread() {
	for len(l.queue) > 0 {
		n := l.queue[0]
		l.queue = l.queue[1:]
		pl := l.plans[n]
		for i, p := range pl.in {
			if !p.plain() && n.In[i].Const == nil {
				l.offer(n.In[i], p)
			}
		}
		for i, p := range pl.out {
			if !p.plain() && n.Out[i] != nil {
				l.offer(n.Out[i], p)
			}
		}
	}
}

// offer asks those who make and read v whether they can do so in order p.
func (l *layouter) offer(v *onnx.Value, p perm) {
	if n := v.From; n != nil && n.Graph == l.g && l.plans[n] == nil {
		if r := l.rule(n); r != nil {
			l.plan(n, r, ^slices.Index(n.Out, v), p)
		}
	}
	for _, u := range v.Users() {
		if u.Graph == l.g && l.plans[u] == nil {
			if i := slices.Index(u.In, v); i >= 0 {
				if r := l.rule(u); r != nil {
					l.plan(u, r, i, p)
				}
			}
		}
	}
}

func (l *layouter) rule(n *onnx.Node) layoutRule {
	name := opName(n)
	if r := channelOps[name]; r != nil {
		return r
	}
	if op := l.s.set.Get(n.Domain, n.Op); op != nil && op.AnyOrder {
		return layoutFirst0
	}
	return anyOrder[name]
}

// has reports whether a private operator is there.
func (l *layouter) has(name string) bool { return l.s.set.Get("x", name) != nil }

// elements estimates the number of elements of v, up to a limit that sums of
// costs do not overflow by.
func elements(v *onnx.Value) int {
	const most = 1 << 30
	n := 1
	for i, d := range v.Type.Dims {
		k, ok := d.Size()
		if !ok {
			if k = 128; i == 0 {
				k = 1
			}
		}
		if k > 0 && n > most/k {
			return most
		}
		n *= k
	}
	return n
}

// The cost of a node that only changes shape, and of a Transpose beside its elements.
const (
	viewCost = 64
	moveCost = 1000
)

// cost estimates a Transpose of v by p.
func cost(v *onnx.Value, p perm) int {
	if onesOnly(v.Type.Dims, p) {
		return viewCost
	}
	return elements(v) + moveCost
}

// onesOnly reports whether p keeps all dimensions but those of size 1 in order.
func onesOnly(dims []onnx.Dim, p perm) bool {
	last := -1
	for _, k := range p {
		if k >= len(dims) {
			return false
		}
		if dims[k].Is(1) {
			continue
		}
		if k < last {
			return false
		}
		last = k
	}
	return true
}

// choose returns the nodes to rewrite.
func (l *layouter) choose() map[*onnx.Node]bool {
	g := newCutGraph()
	var values []*onnx.Value
	seen := map[*onnx.Value]bool{}
	for _, n := range l.g.Nodes {
		pl := l.plans[n]
		if pl == nil {
			continue
		}
		pl.id = g.vertex()
		g.edge(cutOne, pl.id, pl.gain)
		g.edge(pl.id, cutZero, pl.loss)
		for _, vs := range [][]*onnx.Value{n.In, n.Out} {
			for _, v := range vs {
				if v != nil && v.Const == nil && !seen[v] {
					seen[v] = true
					values = append(values, v)
				}
			}
		}
	}
	for _, v := range values {
		l.edges(g, v)
	}
	_, one := g.solve()
	chosen := map[*onnx.Node]bool{}
	for n, pl := range l.plans {
		if one[pl.id] {
			chosen[n] = true
		}
	}
	return chosen
}

// edges adds what it costs to keep v for its readers.
func (l *layouter) edges(g *cutGraph, v *onnx.Value) {
	var from *layoutPlan
	var q perm
	if v.From != nil {
		if pl := l.plans[v.From]; pl != nil {
			if p := pl.out[slices.Index(v.From.Out, v)]; !p.plain() {
				from, q = pl, p
			}
		}
	}
	always := l.outs[v] // somebody reads the plain order, whatever is chosen
	want := map[string][]int{}
	orders := map[string]perm{}
	var keys []string
	var either []int // readers that want the plain order unless rewritten
	for _, u := range v.Users() {
		pl := l.plans[u]
		if pl == nil {
			always = true
			continue
		}
		for i, x := range u.In {
			if x != v {
				continue
			}
			p := pl.in[i]
			if p.plain() {
				always = true
				continue
			}
			k := fmt.Sprint(p)
			if want[k] == nil {
				keys = append(keys, k)
				orders[k] = p
			}
			want[k] = append(want[k], pl.id)
			either = append(either, pl.id)
		}
	}
	for _, k := range keys {
		p := orders[k]
		b := g.vertex() // on side one if any of the readers is
		for _, id := range want[k] {
			g.edge(id, b, cutInf)
		}
		switch {
		case from == nil:
			g.edge(b, cutZero, cost(v, p))
		case slices.Equal(p, q):
			g.edge(b, from.id, cost(v, p))
		default:
			g.edge(b, cutZero, max(cost(v, p), cost(v, q.then(p))))
		}
	}
	if from == nil {
		return
	}
	if always {
		g.edge(from.id, cutZero, cost(v, q))
		return
	}
	a := g.vertex() // on side one only if all readers are
	g.edge(from.id, a, cost(v, q))
	for _, id := range either {
		g.edge(a, id, cutInf)
	}
}

// rewrite puts the chosen nodes into the orders of their plans.
func (l *layouter) rewrite(chosen map[*onnx.Node]bool) error {
	if len(chosen) == 0 {
		return nil
	}
	l.forms, l.made = map[*onnx.Value]form{}, map[formKey]*onnx.Value{}
	var old, made []*onnx.Node
	for _, n := range slices.Clone(l.g.Nodes) {
		if !chosen[n] {
			continue
		}
		b := ops.NewBuilder(l.g)
		b.Set, b.Env = l.s.set, l.s.env
		l.fresh = nil
		out := l.rebuild(b, n)
		if b.Err() != nil || out == nil {
			if l.s.o.Check && b.Err() != nil {
				return fmt.Errorf("%v: %w", n, b.Err())
			}
			for _, k := range l.fresh {
				delete(l.made, k)
			}
			continue // it stays: what it reads and gives has the plain order
		}
		for _, k := range b.Nodes {
			k.Name = n.Name
		}
		l.g.Insert(n, b.Nodes...)
		made = append(made, b.Nodes...)
		old = append(old, n)
		for i, v := range n.Out {
			if v == nil {
				continue
			}
			if p := l.plans[n].out[i]; p.plain() {
				out[i].Type = refine(out[i], v)
				l.g.Replace(v, out[i])
			} else {
				l.forms[v] = form{out[i], p}
			}
		}
	}
	gone := map[*onnx.Node]bool{}
	for _, n := range old {
		gone[n] = true
	}
	for _, n := range old {
		for _, v := range n.Out {
			f, ok := l.forms[v]
			if !ok || !l.outs[v] && !slices.ContainsFunc(v.Users(), func(u *onnx.Node) bool { return !gone[u] }) {
				continue
			}
			b := ops.NewBuilder(l.g)
			b.Set, b.Env = l.s.set, l.s.env
			t := b.Op("Transpose", onnx.NewAttrs("perm", []int(f.p.inverse())), f.v)
			if err := b.Err(); err != nil {
				return fmt.Errorf("%v: %w", n, err)
			}
			t.Type = refine(t, v)
			b.Nodes[0].Name = n.Name
			l.g.Insert(n, b.Nodes...)
			made = append(made, b.Nodes...)
			l.g.Replace(v, t)
		}
	}
	for _, n := range slices.Backward(old) {
		l.g.Remove(n)
	}
	if len(old) > 0 {
		l.s.rewrote("layout", old, made)
	}
	return nil
}

// rebuild makes what stands for n.
func (l *layouter) rebuild(b *ops.Builder, n *onnx.Node) []*onnx.Value {
	pl := l.plans[n]
	in := make([]*onnx.Value, len(n.In))
	for i, v := range n.In {
		if v != nil {
			in[i] = l.get(b, v, pl.in[i])
		}
	}
	if b.Err() != nil {
		return nil
	}
	out := pl.build(b, in)
	if b.Err() != nil || len(out) < len(n.Out) {
		return nil
	}
	for i, v := range n.Out {
		if v != nil && out[i] == nil {
			return nil
		}
	}
	return out
}

// get returns v in order p.
func (l *layouter) get(b *ops.Builder, v *onnx.Value, p perm) *onnx.Value {
	if p.plain() {
		return v
	}
	base, q := v, perm(nil)
	if f, ok := l.forms[v]; ok {
		if base, q = f.v, f.p; slices.Equal(q, p) {
			return base
		}
	}
	k := formKey{v, fmt.Sprint(p)}
	if w := l.made[k]; w != nil {
		return w
	}
	w := b.Op("Transpose", onnx.NewAttrs("perm", []int(q.then(p))), base)
	l.made[k] = w
	l.fresh = append(l.fresh, k)
	return w
}
