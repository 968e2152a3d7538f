package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
)

// Recompute says which activations a step makes twice in the place of keeping
// them for the backward pass, also known as gradient checkpointing. Results stay
// bit by bit what they are without.
//
// A segment is a set of nodes of the forward pass. What later segments read is
// kept; the rest is made anew from that when the backward pass comes to the
// segment. Chen, Xu, Zhang and Guestrin, Training deep nets with sublinear memory
// cost, 2016.
type Recompute struct {
	// Auto cuts the forward pass into √n segments, of n nodes with activations that
	// are kept, with about as many bytes of them each, where the least is read
	// across the cut. The last segment is kept. A named size counts as 32 elements.
	Auto bool
	// Patterns make each a segment of the nodes whose name matches, in which *
	// stands for any characters; a node without a name goes by its first output's.
	Patterns []string
}

// unknownSize is what a dimension counts for that is not known before steps.
const unknownSize = 32

// optimised brings m, a training graph, to the form that runs, and duplicates what
// is recomputed or widened again there: later passes would find the duplicates and join them, and
// with the same nodes for both, results have the same bits.
func (c *Config) optimised(m *onnx.Model) error {
	var names []string
	for _, n := range m.Graph.Nodes {
		n.Name = label(n) // which what takes its place inherits
		names = append(names, n.Name)
	}
	o := optimize.Options{Private: true, P: par.P{Threads: c.Threads}}
	if c.MixedPrecision != nil {
		o.Disable = []string{"precision"} // what is in 16 bits is to stay so
	}
	if _, err := optimize.Run(m, optimize.Best, o); err != nil {
		return err
	}
	i := slices.IndexFunc(m.Graph.Outputs, func(v *onnx.Value) bool { return v.Name == lossName })
	if i < 0 {
		return fmt.Errorf("recompute: the graph has no loss")
	}
	if p := c.MixedPrecision; p != nil {
		if err := keepHalves(m.Graph, m.Graph.Outputs[i], p.Type); err != nil {
			return fmt.Errorf("mixed precision: %w", err)
		}
	}
	r := c.Recompute
	if r == nil {
		return nil
	}
	f := newForward(m.Graph, m.Graph.Outputs[i])
	segments := f.split()
	if !r.Auto {
		var err error
		if segments, err = f.match(r.Patterns, names); err != nil {
			return err
		}
	}
	for _, s := range segments {
		f.again(s)
	}
	return nil
}

func label(n *onnx.Node) string {
	if n.Name != "" {
		return n.Name
	}
	for _, v := range n.Out {
		if v != nil {
			return v.Name
		}
	}
	return ""
}

// forward is the part of a training graph that the loss depends on.
type forward struct {
	g     *onnx.Graph
	nodes []*onnx.Node       // in order
	at    map[*onnx.Node]int // their places there
	keep  map[*onnx.Value]bool
}

func newForward(g *onnx.Graph, loss *onnx.Value) *forward {
	f := &forward{g: g, at: map[*onnx.Node]int{}, keep: map[*onnx.Value]bool{}}
	wanted := map[*onnx.Value]bool{loss: true}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		if !slices.ContainsFunc(n.Out, func(v *onnx.Value) bool { return wanted[v] }) {
			continue
		}
		for _, v := range reads(n) {
			wanted[v] = true
		}
		f.nodes = append(f.nodes, n)
	}
	slices.Reverse(f.nodes)
	for i, n := range f.nodes {
		f.at[n] = i
	}
	for _, v := range g.Outputs {
		f.keep[v] = true
	}
	for _, n := range g.Nodes {
		for _, b := range n.Bodies() { // what bodies read has no other name there
			for _, v := range b.Captures() {
				f.keep[v] = true
			}
		}
	}
	return f
}

// replayable reports whether n gives the same when it runs again, at no more than
// the price of a node.
func replayable(n *onnx.Node) bool {
	op := ops.Standard().Get(n.Domain, n.Op)
	return op != nil && op.Numerics != ops.Random && len(n.Bodies()) == 0
}

// backward reports whether a node that is not of the forward pass reads v.
func (f *forward) backward(v *onnx.Value) bool {
	return slices.ContainsFunc(v.Users(), func(n *onnx.Node) bool { _, ok := f.at[n]; return !ok })
}

// split chooses the segments of Auto.
func (f *forward) split() [][]*onnx.Node {
	saved, crossing := make([]float64, len(f.nodes)), make([]float64, len(f.nodes)+1)
	total, n := 0.0, 0
	for i, node := range f.nodes {
		for _, v := range node.Out {
			if v == nil {
				continue
			}
			size := bytesOf(v.Type)
			if f.backward(v) {
				saved[i] += size
			}
			last := i
			for _, u := range v.Users() {
				if at, ok := f.at[u]; ok {
					last = max(last, at)
				}
			}
			for k := i + 1; k <= last; k++ { // cut before node k
				crossing[k] += size
			}
		}
		if saved[i] > 0 {
			total += saved[i]
			n++
		}
	}
	count := int(math.Ceil(math.Sqrt(float64(n))))
	if count < 2 {
		return nil
	}
	sums := make([]float64, len(f.nodes)+1)
	for i, s := range saved {
		sums[i+1] = sums[i] + s
	}
	var out [][]*onnx.Node
	from, part := 0, total/float64(count)
	for i := 1; i < count; i++ {
		best := -1
		for k := from + 1; k < len(f.nodes); k++ {
			if math.Abs(sums[k]-part*float64(i)) <= part/2 && (best < 0 || crossing[k] < crossing[best]) {
				best = k
			}
		}
		if best > 0 {
			out = append(out, f.nodes[from:best])
			from = best
		}
	}
	return out
}

func bytesOf(t onnx.Type) float64 {
	if t.Kind != onnx.TensorKind || !t.Ranked {
		return 0
	}
	n := float64(t.DType.Size())
	for _, d := range t.Dims {
		if k, ok := d.Size(); ok {
			n *= float64(k)
		} else {
			n *= unknownSize
		}
	}
	return n
}

// match returns the segments of patterns. A node that the passes made without a name
// counts to that of the node before it.
func (f *forward) match(patterns []string, names []string) ([][]*onnx.Node, error) {
	out := make([][]*onnx.Node, len(patterns))
	matchers := make([]func(string) bool, len(patterns))
	for i, p := range patterns {
		matchers[i] = matcher([]string{p})
		if !slices.ContainsFunc(names, matchers[i]) {
			return nil, fmt.Errorf("recompute: pattern %q is no node's name", p)
		}
	}
	last := -1
	for _, n := range f.nodes {
		if n.Name != "" {
			last = slices.IndexFunc(matchers, func(m func(string) bool) bool { return m(n.Name) })
		}
		if last >= 0 {
			out[last] = append(out[last], n)
		}
	}
	return out, nil
}

// again makes the backward pass read duplicates of what only it reads of segment.
func (f *forward) again(segment []*onnx.Node) {
	inside := map[*onnx.Node]bool{}
	for _, n := range segment {
		inside[n] = replayable(n)
	}
	dropped := func(v *onnx.Value) bool { // not kept until the backward pass
		return v != nil && v.From != nil && inside[v.From] && !f.keep[v] &&
			!slices.ContainsFunc(v.Users(), func(n *onnx.Node) bool { _, ok := f.at[n]; return ok && !inside[n] })
	}
	users := map[*onnx.Node]bool{} // of the backward pass
	wanted := map[*onnx.Value]bool{}
	for i := len(segment) - 1; i >= 0; i-- {
		n := segment[i]
		for _, v := range n.Out {
			if dropped(v) && f.backward(v) {
				wanted[v] = true
				for _, u := range v.Users() {
					if _, ok := f.at[u]; !ok {
						users[u] = true
					}
				}
			}
		}
		if slices.ContainsFunc(n.Out, func(v *onnx.Value) bool { return wanted[v] }) {
			for _, v := range n.In {
				if dropped(v) {
					wanted[v] = true
				}
			}
		}
	}
	first := slices.IndexFunc(f.g.Nodes, func(n *onnx.Node) bool { return users[n] })
	if first < 0 {
		return
	}
	var made []*onnx.Node
	twins := map[*onnx.Value]*onnx.Value{}
	for _, n := range segment {
		if !slices.ContainsFunc(n.Out, func(v *onnx.Value) bool { return wanted[v] }) {
			continue
		}
		in := slices.Clone(n.In)
		for i, v := range in {
			if twins[v] != nil {
				in[i] = twins[v]
			}
		}
		k := f.g.NewNodeIn(n.Domain, n.Op, slices.Clone(n.Attrs), in, len(n.Out))
		k.Opset, k.Name = n.Opset, n.Name
		_, form, err := ops.Standard().Lookup(n.Domain, n.Op, n.Opset)
		all := err == nil && form.Out.Max == ops.Many // how many there are tells what they are, as with Split
		for i, v := range n.Out {
			if v == nil || !all && !wanted[v] {
				k.Out[i] = nil
				continue
			}
			k.Out[i].Type = v.Type
			twins[v] = k.Out[i]
		}
		for len(k.Out) > 1 && k.Out[len(k.Out)-1] == nil {
			k.Out = k.Out[:len(k.Out)-1]
		}
		made = append(made, k)
	}
	f.g.Insert(f.g.Nodes[first], made...)
	for u := range users {
		for i, v := range u.In {
			if v != nil && twins[v] != nil {
				u.SetInput(i, twins[v])
			}
		}
	}
}
