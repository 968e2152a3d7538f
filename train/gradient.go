package train

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

func init() { ops.RegisterTraining() }

// Gradient appends to m's graph the nodes that compute the gradients of loss
// with respect to wrt, and returns one value for each of wrt, of its type; nil
// where the loss does not depend on it. seed is dL/dloss, of loss's type; with
// seed nil the loss must be a scalar, or have one element, and seed is 1.
//
// The graph must declare the newest opset (optimize.ConvertOpset) and have its
// types; wrt are values of the main graph of a floating-point type, inputs and
// initializers as well as results of nodes. Operators on the way whose gradient
// follows from their definition are replaced by it, and sequences by their elements where these
// are known (optimize.UnpackSequences). Gradients flow through values of
// floating-point types, and straight through the integers between QuantizeLinear and
// DequantizeLinear. An operator without a gradient on a path from wrt
// to loss is an error that wraps ops.ErrUnsupported and names the node.
//
// Method: reverse-mode differentiation; Griewank and Walther, Evaluating
// Derivatives, 2008, chapter 3.
func Gradient(m *onnx.Model, loss, seed *onnx.Value, wrt []*onnx.Value) ([]*onnx.Value, error) {
	out, err := gradient(m, loss, seed, wrt)
	if err != nil {
		return nil, fmt.Errorf("train: gradient: %w", err)
	}
	return out, nil
}

func gradient(m *onnx.Model, loss, seed *onnx.Value, wrt []*onnx.Value) ([]*onnx.Value, error) {
	newest := schema.Newest("")
	if have := m.Opsets[""]; have != newest {
		return nil, fmt.Errorf("the model declares opset %d: convert it to %d first", have, newest)
	}
	if loss == nil || !isFloat(loss.Type.DType) {
		return nil, fmt.Errorf("the loss is %v, want a float", describe(loss))
	}
	for i, v := range wrt {
		if v == nil || !isFloat(v.Type.DType) {
			return nil, fmt.Errorf("value %d to differentiate by is %v, want a float", i, describe(v))
		}
	}
	loss, wrt, err := expandPath(m, loss, wrt)
	if err != nil {
		return nil, err
	}
	g := m.Graph
	m.Opsets[ops.Private], g.Opsets[ops.Private] = 1, 1
	b := newBuilder(g)
	if seed == nil {
		for _, d := range loss.Type.Dims {
			if !d.Is(1) {
				return nil, fmt.Errorf("the loss is %v, want one element", describe(loss))
			}
		}
		if !loss.Type.Ranked {
			return nil, fmt.Errorf("the loss is %v, of unknown shape", describe(loss))
		}
		seed = one(b, loss.Type)
	}
	r := &reverse{b: b, path: newPath(g, []*onnx.Value{loss}, wrt), sums: map[*onnx.Value]*onnx.Value{loss: seed}}
	if err := r.run(); err != nil {
		return nil, err
	}
	b.Insert(nil)
	out := make([]*onnx.Value, len(wrt))
	for i, v := range wrt {
		out[i] = r.sums[v]
	}
	return out, nil
}

// reverse builds the gradients of one graph.
type reverse struct {
	b    *ops.Builder
	path *path
	// sums are the gradients found so far, at first those of the results.
	sums map[*onnx.Value]*onnx.Value
}

func (r *reverse) run() error {
	nodes := slices.Clone(r.b.G.Nodes)
	for i := len(nodes) - 1; i >= 0; i-- {
		n := nodes[i]
		if !r.path.nodes[n] {
			continue
		}
		dOut, some := make([]*onnx.Value, len(n.Out)), false
		for j, v := range n.Out {
			if v != nil && r.sums[v] != nil {
				dOut[j], some = r.sums[v], true
			}
		}
		if !some {
			continue
		}
		in, err := r.node(n, dOut)
		if err == nil {
			err = r.b.Err()
		}
		if err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
		for _, c := range in {
			if have := r.sums[c.to]; have != nil {
				c.d = r.b.Op("Add", nil, have, c.d)
			}
			r.sums[c.to] = c.d
		}
		if err := r.b.Err(); err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
	}
	return nil
}

// node builds the gradients of what n reads.
func (r *reverse) node(n *onnx.Node, dOut []*onnx.Value) ([]contribution, error) {
	if f := control(n); f != nil {
		return f(r, n, dOut)
	}
	need := make([]bool, len(n.In))
	for j, v := range n.In {
		need[j] = v != nil && r.path.active[v]
	}
	in, err := ops.Gradient(r.b, n, dOut, need)
	if errors.Is(err, ops.ErrUnsupported) && slices.ContainsFunc(n.In, func(v *onnx.Value) bool { return v != nil && v.Type.Kind == onnx.SequenceKind }) {
		// It would not be there any more if the sequence had been unpacked.
		return nil, fmt.Errorf("%w: a sequence needs a known number of elements and positions that are constant and there, or elements of one known shape", err)
	}
	if err != nil {
		return nil, err
	}
	var out []contribution
	for j, d := range in {
		if d != nil {
			out = append(out, contribution{n.In[j], d})
		}
	}
	return out, nil
}

func isFloat(d tensor.DType) bool {
	return d == tensor.Float32 || d == tensor.Float64 || d == tensor.Float16 || d == tensor.BFloat16
}

func describe(v *onnx.Value) string {
	if v == nil {
		return "absent"
	}
	return fmt.Sprintf("%q, %v", v.Name, v.Type)
}

// one adds a constant 1 of type t, which has one element.
func one(b *ops.Builder, t onnx.Type) *onnx.Value {
	v := b.Float(t.DType, 1)
	if v == nil || len(t.Dims) == 0 {
		return v
	}
	shape := make([]int, len(t.Dims))
	for i := range shape {
		shape[i] = 1
	}
	return b.Op("Reshape", nil, v, b.Ints(shape...))
}

// path is what lies between the values to differentiate by and the results.
type path struct {
	// active are the float values that depend on one of wrt, and what QuantizeLinear
	// makes of such a value: its gradient is that of the real numbers it stands for.
	active map[*onnx.Value]bool
	nodes  map[*onnx.Node]bool // those with an active input on which a result depends
}

func newPath(g *onnx.Graph, results, wrt []*onnx.Value) *path {
	p := &path{active: map[*onnx.Value]bool{}, nodes: map[*onnx.Node]bool{}}
	for _, v := range wrt {
		p.active[v] = true
	}
	ahead := map[*onnx.Node]bool{}
	for _, n := range g.Nodes {
		some := false
		for _, v := range reads(n) {
			some = some || p.active[v]
		}
		if !some {
			continue
		}
		ahead[n] = true
		for _, v := range n.Out {
			if v != nil && (isFloat(v.Type.DType) || v.Type.Kind != onnx.TensorKind || n.Op == "QuantizeLinear") {
				p.active[v] = true
			}
		}
	}
	wanted := map[*onnx.Value]bool{}
	for _, v := range results {
		wanted[v] = true
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		some := false
		for _, v := range n.Out {
			some = some || v != nil && wanted[v]
		}
		if !some {
			continue
		}
		for _, v := range reads(n) {
			wanted[v] = true
		}
		p.nodes[n] = ahead[n]
	}
	return p
}

// holdsSequences reports whether a node on the path, or in the body of one, makes a
// sequence or an optional.
func (p *path) holdsSequences() bool {
	found := false
	look := func(n *onnx.Node) {
		for _, v := range n.Out {
			found = found || v != nil && v.Type.Kind != onnx.TensorKind
		}
	}
	for n, on := range p.nodes {
		if !on {
			continue
		}
		look(n)
		for _, b := range n.Bodies() {
			b.Walk(func(g *onnx.Graph) {
				for _, n := range g.Nodes {
					look(n)
				}
			})
		}
	}
	return found
}

// reads returns the inputs of n and what its bodies read of the graph around.
func reads(n *onnx.Node) []*onnx.Value {
	var out []*onnx.Value
	for _, v := range n.In {
		if v != nil {
			out = append(out, v)
		}
	}
	for _, a := range n.Attrs {
		switch b := a.Value.(type) {
		case *onnx.Graph:
			out = append(out, b.Captures()...)
		case []*onnx.Graph:
			for _, g := range b {
				out = append(out, g.Captures()...)
			}
		}
	}
	return out
}

// expandPath replaces the nodes between wrt and loss that have no gradient of
// their own by their definitions. It returns loss and wrt as they are then:
// the results of replaced nodes have other producers.
func expandPath(m *onnx.Model, loss *onnx.Value, wrt []*onnx.Value) (*onnx.Value, []*onnx.Value, error) {
	g := m.Graph
	keep := len(g.Outputs)
	g.Outputs = append(append(g.Outputs, loss), wrt...) // outputs follow what takes their place
	defer func() { g.Outputs = g.Outputs[:keep] }()
	unpacked := false
	for {
		loss, wrt = g.Outputs[keep], slices.Clone(g.Outputs[keep+1:])
		p := newPath(g, []*onnx.Value{loss}, wrt)
		if !unpacked && p.holdsSequences() {
			unpacked = true
			if err := optimize.UnpackSequences(m); err != nil {
				return nil, nil, err
			}
			continue
		}
		inside := map[*onnx.Graph]bool{}
		for n := range p.nodes {
			for _, b := range n.Bodies() {
				b.Walk(func(g *onnx.Graph) { inside[g] = p.nodes[n] })
			}
		}
		var picked []*onnx.Node
		err := optimize.Expand(m, func(n *onnx.Node) bool {
			op := ops.Standard().Get(n.Domain, n.Op)
			if !p.nodes[n] && !inside[n.Graph] || op == nil || op.Grad != nil || control(n) != nil {
				return false
			}
			picked = append(picked, n)
			return true
		})
		if err != nil {
			return nil, nil, err
		}
		// Definitions may contain operators that have one in turn.
		if !slices.ContainsFunc(picked, func(n *onnx.Node) bool { return n.Graph == nil }) {
			return loss, wrt, nil
		}
	}
}
