package prune

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/quantize"
)

// Norm measures how much a unit's weights matter.
type Norm uint8

// The norms.
const (
	L2 Norm = iota // the root of the sum of squares
	L1             // the sum of magnitudes
)

// Options say what Structured removes. The zero value removes nothing.
type Options struct {
	// Fraction is the part of the units of each group that goes, or with Scope
	// Global the part of the model's FLOPs.
	Fraction float64
	Scope    Scope
	Norm     Norm
	// Multiple rounds the number of channels that stay in a dimension to the
	// nearest multiple of it, if the dimension is larger than that: kernels work on
	// as many at a time. 0 means 8, 1 does not round.
	Multiple int
	// Select says which layers may lose outputs. Layers that it excludes keep
	// their inputs as well.
	Select quantize.Selection
}

// keepSteps are the passes and rules that bring shapes which nodes compute into
// a form that can be read off. They change no result.
var keepSteps = []string{"shapes", "fold", "branches", "identities", "drop-identity", "drop-dropout", "drop-single", "drop-reshape", "drop-expand", "forms",
	"constant-shape", "dce"}

// Structured removes channels of convolutions, neurons of perceptrons, heads of
// attention and the width of residual streams. Dimensions that lose the same
// indices are found by following each element of each dimension of each
// initializer through the graph: joins (Add, Mul, products, normalisations) make
// elements one unit; Concat, Split, Slice, Reshape and Transpose move them. What
// an unknown operator, an input or an output of the model has to do with stays,
// and the report names it.
//
// The units with the least weight go: the mean over all slices of weights that
// would be cut of their norms, each divided by the mean norm of its weight's slices. Equal ones go in
// the order of the graph, the first first. At least one unit of each dimension
// stays.
//
// Sizes that other nodes compute from shapes are made constants first, where
// they are known. The result computes what the model would if the weights of the
// removed units, and their biases, were zero; but after removing part of what a
// LayerNormalization or GroupNormalization averages over, or of what an
// activation f with f(0) != 0 turned into constants, values differ also then.
//
// Errors: a fraction outside of [0, 1), names in Select that the model lacks, a
// model whose types do not fit. The model is left half changed then.
func Structured(m *onnx.Model, o Options) (*Report, error) {
	r, err := structured(m, o)
	if err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	return r, nil
}

func structured(m *onnx.Model, o Options) (*Report, error) {
	if !(o.Fraction >= 0 && o.Fraction < 1) {
		return nil, fmt.Errorf("fraction %v: want at least 0 and less than 1", o.Fraction)
	}
	if o.Multiple < 0 {
		return nil, fmt.Errorf("multiple %d: want 0 or more", o.Multiple)
	}
	if o.Multiple == 0 {
		o.Multiple = 8
	}
	if err := o.Select.Check(m.Graph); err != nil {
		return nil, err
	}
	bad := len(onnx.Check(m))
	defaults := quantize.FixDefaults(m)
	promote(m.Graph)
	was := m.Clone()
	_, before, err := measure(was)
	if err != nil {
		return nil, err
	}
	if err := simplify(m); err != nil {
		return nil, err
	}
	u := newUnfolder(m.Graph, was.Graph)
	layers, _, err := measure(m)
	if err != nil {
		return nil, err
	}
	copies := unshare(m.Graph)
	c := settle(m.Graph, func(c *coupling, n *onnx.Node) { exclude(c, n, &o.Select) })
	groups := c.collect(m.Graph)
	s := &shrinker{c: c, g: m.Graph, gone: map[int]bool{}}
	c.weigh(groups, o.Norm)
	if o.Scope == Global {
		if s.sizes, _, err = sizes(m); err != nil {
			return nil, err
		}
		s.chooseGlobal(groups, o)
	} else {
		s.choose(groups, func(g *group) int { return g.keep(o.Fraction, o.Multiple) })
	}
	if err := s.apply(); err != nil {
		return nil, err
	}
	for _, c := range copies {
		if c.own.Const == c.first.Const {
			c.node.SetInput(c.input, c.first)
		}
	}
	m.Graph.Prune()
	u.unfold()
	if err := s.agree(m); err != nil {
		return nil, err
	}
	gone := defaults.Restore(m.Graph)
	if problems := onnx.Check(m); len(problems) > bad {
		return nil, fmt.Errorf("the pruned model is not valid: %w", problems[0])
	}
	after, total, err := measure(m)
	if err != nil {
		return nil, err
	}
	r := &Report{Before: before, After: total, Inputs: gone}
	now := map[string]Layer{}
	for _, l := range after {
		now[l.Weight] = l
	}
	for _, l := range layers {
		if a, ok := now[l.Weight]; ok {
			l.Is, l.After = a.Is, a.After
		}
		r.Layers = append(r.Layers, l)
	}
	for _, g := range groups {
		r.Groups = append(r.Groups, g.Group)
	}
	return r, nil
}

// simplify infers types and makes constants of sizes that nodes compute.
func simplify(m *onnx.Model) error {
	var off []string
	for _, n := range optimize.Names() {
		if !slices.Contains(keepSteps, n.Name) {
			off = append(off, n.Name)
		}
	}
	if _, err := optimize.Run(m, optimize.Portable, optimize.Options{Disable: off}); err != nil {
		return err
	}
	if err := optimize.Infer(m, optimize.InferOptions{}); err != nil {
		return err
	}
	g := m.Graph
	s := &shrinker{g: g}
	for _, n := range g.Nodes {
		if n.Op != "Reshape" || n.Domain != "" || n.Opset < 5 || n.In[1].Const != nil {
			continue
		}
		if shape, ok := constantShape(n); ok {
			n.Attrs = n.Attrs.Without("allowzero")
			s.setInts(n, 1, shape)
		}
	}
	g.Prune()
	return nil
}

// ownCopy is an input of a node that reads a copy of a vector that it shared.
type ownCopy struct {
	node       *onnx.Node
	input      int
	first, own *onnx.Value
}

// unshare gives every reader of a vector a value of its own, with the same
// tensor. Exporters make one initializer of vectors that happen to be equal, such
// as biases of zeros: layers that share one have no dimension in common.
func unshare(g *onnx.Graph) []ownCopy {
	vector := map[*onnx.Value]bool{}
	for _, v := range g.Consts {
		t := v.Const
		if t == nil || v.Uses() < 2 || !t.DType().IsFloat() || slices.Contains(g.Inputs, v) || g.IsOutput(v) ||
			slices.ContainsFunc(v.Users(), func(u *onnx.Node) bool { return u.Graph != g }) {
			continue
		}
		vector[v] = t.Len() > 1 && slices.Max(t.Shape()) == t.Len()
	}
	var out []ownCopy
	seen := map[*onnx.Value]bool{}
	for _, n := range g.Nodes {
		for i, v := range n.In {
			if !vector[v] {
				continue
			}
			if seen[v] {
				own := g.AddConst(g.NewConst(g.FreshName(v.Name), v.Const))
				n.SetInput(i, own)
				out = append(out, ownCopy{n, i, v, own})
			}
			seen[v] = true
		}
	}
	return out
}

// constantShape writes the shape of a Reshape without computing it, if all but
// one of its sizes are known or those of the input at the same place.
func constantShape(n *onnx.Node) ([]int64, bool) {
	if !n.Out[0].Type.Ranked || !n.In[0].Type.Ranked {
		return nil, false
	}
	open := 0
	var shape []int64
	for i, d := range n.Out[0].Type.Dims {
		k, known := d.Size()
		switch {
		case known && k > 0:
			shape = append(shape, int64(k))
		case known:
			return nil, false
		case d.Known() && i < len(n.In[0].Type.Dims) && d.Equal(n.In[0].Type.Dims[i]):
			shape = append(shape, 0)
		default:
			shape = append(shape, -1)
			open++
		}
	}
	return shape, open <= 1
}

// exclude pins what a layer that is not selected has.
func exclude(c *coupling, n *onnx.Node, sel *quantize.Selection) {
	if n.Domain != "" || weightInputs[n.Op] == nil && n.Op != "Gather" {
		return
	}
	ok, why := sel.Allows(n)
	if ok {
		return
	}
	c.keepAxis(c.outputs(n), why)
	if why == "excluded" {
		for _, i := range weightInputs[n.Op] {
			if v := input(n, i); v != nil && v.Const != nil {
				c.keepAll(c.layout(v), why)
			}
		}
	}
}

// outputs returns the dimension that a layer's neurons or channels are, or the
// width of an embedding. Of other nodes it is of size 1.
func (c *coupling) outputs(n *onnx.Node) axis {
	if n.Domain != "" || len(n.Out) == 0 || n.Out[0] == nil {
		return nil
	}
	l := c.layouts[n.Out[0]]
	switch n.Op {
	case "Conv", "ConvTranspose":
		if len(l) > 1 {
			return l[1]
		}
	case "Gemm", "MatMul":
		if w, _ := source(n.In[1]); w != nil && len(l) > 0 {
			return l[len(l)-1]
		}
	case "Gather":
		if data := c.layouts[n.In[0]]; n.In[0].Const != nil && len(data) > 1 {
			return data[len(data)-1]
		}
	}
	return nil
}

// group is a Group with what is chosen from.
type group struct {
	Group
	roots []int // of all its units, in order
	free  []int // of those that are not pinned
	width int   // indices of a layer's dimension that a unit is
	score map[int]float64
}

// collect finds the groups that layers are in, in the order of the graph.
func (c *coupling) collect(g *onnx.Graph) []*group {
	byRoot := map[int]*group{}
	var out []*group
	for _, n := range g.Nodes {
		flat, ok := c.flat(c.outputs(n))
		if !ok {
			continue
		}
		for _, x := range flat {
			if x == fixed {
				continue
			}
			root := c.groups.find(c.group[x])
			if byRoot[root] == nil {
				byRoot[root] = &group{score: map[int]float64{}}
				out = append(out, byRoot[root])
			}
			name := quantize.NodeName(n)
			if gr := byRoot[root]; !slices.Contains(gr.Layers, name) {
				gr.Layers = append(gr.Layers, name)
				distinct := map[int]bool{}
				for _, y := range flat {
					if y != fixed {
						distinct[c.sets.find(y)] = true
					}
				}
				gr.width = max(gr.width, len(flat)/len(distinct))
			}
		}
	}
	for x := range c.group {
		gr := byRoot[c.groups.find(c.group[x])]
		if gr == nil || c.sets.find(x) != x {
			continue
		}
		gr.roots = append(gr.roots, x)
		p, pinned := c.pins[x]
		if !pinned {
			gr.free = append(gr.free, x)
			continue
		}
		gr.Pinned++
		if gr.Why == "" {
			gr.Why = p.why
			if p.node != nil {
				gr.PinnedBy = p.node.String()
			}
		}
	}
	for _, gr := range out {
		gr.Units = len(gr.roots)
		if gr.Units == 1 && gr.Why == "" {
			gr.Why = "all of it would have to go at once"
		}
	}
	return out
}

// keep returns how many units stay when that fraction of them is to go.
func (g *group) keep(fraction float64, multiple int) int {
	n := len(g.roots)
	k := n - int(math.Round(fraction*float64(n)))
	if k >= n {
		return n
	}
	if step := multiple / gcd(multiple, max(g.width, 1)); step > 1 && n > step {
		k = min(max((k+step/2)/step*step, step), n)
	}
	return max(k, 1, g.Pinned)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
