package optimize

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// maxElements bounds the sequences that are taken apart.
const maxElements = 1 << 12

// UnpackSequences replaces the reads of sequences and optionals whose elements are
// known, values of the graph at constant positions, by these elements: SequenceAt,
// ConcatFromSequence and OptionalGetElement of what SequenceConstruct, SequenceInsert,
// SequenceErase, SequenceMap, SplitToSequence (of constant sizes) and Optional make.
// Others stay as they are. Types must have been inferred, and are again. What is then read by nobody
// stays in the graph.
func UnpackSequences(m *onnx.Model) error {
	var err error
	known := map[*onnx.Value][]*onnx.Value{}
	m.Graph.Walk(func(g *onnx.Graph) {
		if err == nil {
			u := &unpacker{g, known}
			err = u.run()
		}
	})
	if err == nil { // more is known of the elements than of the sequences' types
		err = newInferrer(m, InferOptions{Set: ops.Standard()}).run(m.Graph)
	}
	if err != nil {
		return fmt.Errorf("optimize: %w", err)
	}
	return nil
}

// unpacker works on one graph; known are the elements of sequences of it and the graphs around it.
type unpacker struct {
	g     *onnx.Graph
	known map[*onnx.Value][]*onnx.Value
}

func (u *unpacker) run() error {
	for _, n := range slices.Clone(u.g.Nodes) {
		if ops.NormalDomain(n.Domain) != "" || len(n.In) > 0 && n.In[0] == nil || len(n.Out) == 0 || n.Out[0] == nil {
			continue
		}
		if err := u.node(n); err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
	}
	return nil
}

func (u *unpacker) node(n *onnx.Node) error {
	of := func(i int) ([]*onnx.Value, bool) {
		s, ok := u.known[input(n, i)]
		return s, ok
	}
	y := n.Out[0]
	switch n.Op {
	case "SequenceEmpty":
		u.known[y] = []*onnx.Value{}
	case "SequenceConstruct":
		u.known[y] = slices.Clone(n.In)
	case "Optional":
		if len(n.In) == 1 && n.In[0].Type.Kind == onnx.TensorKind {
			u.known[y] = slices.Clone(n.In)
		} else if s, ok := of(0); ok {
			u.known[y] = s
		}
	case "Identity":
		if s, ok := of(0); ok {
			u.known[y] = s
		}
	case "OptionalGetElement":
		switch s, ok := of(0); {
		case !ok:
		case y.Type.Kind == onnx.SequenceKind:
			u.known[y] = s
		case len(s) == 1 && n.In[0].Type.Kind == onnx.OptionalKind:
			u.g.Replace(y, s[0])
		}
	case "SequenceInsert":
		s, ok := of(0)
		if at, there := position(n, 2, len(s), len(s)+1); ok && there && len(s) < maxElements && input(n, 1) != nil {
			u.known[y] = slices.Insert(slices.Clone(s), at, n.In[1])
		}
	case "SequenceErase":
		s, ok := of(0)
		if at, there := position(n, 1, len(s)-1, len(s)); ok && there {
			u.known[y] = slices.Delete(slices.Clone(s), at, at+1)
		}
	case "SequenceAt":
		s, ok := of(0)
		if at, there := position(n, 1, -1, len(s)); ok && there {
			u.g.Replace(y, s[at])
		}
	case "ConcatFromSequence":
		if s, ok := of(0); ok && len(s) > 0 {
			return u.concat(n, s)
		}
	case "SplitToSequence":
		return u.split(n)
	case "SequenceMap":
		return u.each(n)
	}
	return nil
}

// position returns the position that input i of n gives, a constant (def if it is
// absent), as one in [0, end); there is false if it is none.
func position(n *onnx.Node, i, def, end int) (at int, there bool) {
	v, given, ok := constInts(n, i, "")
	if !ok || given && len(v) != 1 {
		return 0, false
	}
	if at = def; given {
		if at = v[0]; at < 0 { // from the end, of which SequenceInsert's is no element
			if at += end; n.Op == "SequenceInsert" {
				at--
			}
		}
	}
	return at, at >= 0 && at < end
}

// concat puts a Concat in place of ConcatFromSequence.
func (u *unpacker) concat(n *onnx.Node, s []*onnx.Value) error {
	axis, err := onnx.Attribute(n, "axis", int64(0))
	if err != nil {
		return err
	}
	stack, err := onnx.Attribute(n, "new_axis", int64(0))
	if err != nil {
		return err
	}
	b, parts := ops.NewBuilder(u.g), s
	if stack != 0 {
		parts = nil
		for _, v := range s {
			parts = append(parts, b.Op("Unsqueeze", nil, v, b.Ints(int(axis))))
		}
	}
	y := b.Op("Concat", onnx.NewAttrs("axis", axis), parts...)
	if b.Err() != nil {
		return b.Err()
	}
	b.Insert(n)
	u.g.Replace(n.Out[0], y)
	return nil
}

// split puts a Split beside SplitToSequence, if the sizes are known.
func (u *unpacker) split(n *onnx.Node) error {
	x := n.In[0]
	a, err := onnx.Attribute(n, "axis", int64(0))
	if err != nil {
		return err
	}
	keep, err := onnx.Attribute(n, "keepdims", int64(1))
	if err != nil {
		return err
	}
	axis, err := tensor.Axis(int(a), len(x.Type.Dims))
	if err != nil || !x.Type.Ranked {
		return nil
	}
	size, known := x.Type.Dims[axis].Size()
	sizes, given, ok := constInts(n, 1, "")
	if !ok {
		return nil
	}
	single := !given
	if single || input(n, 1).Type.Ranked && len(input(n, 1).Type.Dims) == 0 { // pieces of one size
		step := 1
		if given {
			step = sizes[0]
		}
		if sizes = nil; !known || step < 1 || size/step >= maxElements {
			return nil
		}
		for left := size; left > 0; left -= step {
			sizes = append(sizes, min(step, left))
		}
	}
	if len(sizes) == 0 || len(sizes) > maxElements {
		return nil
	}
	b := ops.NewBuilder(u.g)
	parts := slices.Clone(b.Ops("", "Split", onnx.NewAttrs("axis", axis), len(sizes), x, b.Ints(sizes...)))
	if single && keep == 0 {
		for i, v := range parts {
			parts[i] = b.Op("Squeeze", nil, v, b.Ints(axis))
		}
	}
	if b.Err() != nil {
		return b.Err()
	}
	b.Insert(n)
	u.known[n.Out[0]] = parts
	return nil
}

// each puts the body of SequenceMap beside it, once for each element.
func (u *unpacker) each(n *onnx.Node) error {
	body, err := onnx.Attribute(n, "body", (*onnx.Graph)(nil))
	if err != nil {
		return err
	}
	s, ok := u.known[n.In[0]]
	if body == nil || !ok || len(body.Inputs) != len(n.In) || len(body.Outputs) < len(n.Out) || len(s)*(1+len(body.Nodes)) > maxInlined {
		return nil
	}
	for _, v := range n.In {
		if e, ok := u.known[v]; v == nil || v.Type.Kind != onnx.TensorKind && (!ok || len(e) != len(s)) {
			return nil
		}
	}
	outs := make([][]*onnx.Value, len(n.Out))
	for i := range s {
		with := map[*onnx.Value]*onnx.Value{}
		for k, v := range body.Inputs {
			if with[v] = n.In[k]; n.In[k].Type.Kind != onnx.TensorKind {
				with[v] = u.known[n.In[k]][i]
			}
		}
		h := body.CloneInto(u.g, u.g.Opsets, with)
		freshNames(u.g, h)
		u.g.Splice(n, h)
		for k := range outs {
			outs[k] = append(outs[k], h.Outputs[k])
		}
	}
	for k, v := range n.Out {
		if v != nil {
			u.known[v] = outs[k]
		}
	}
	return nil
}
