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
// known, values of the graph at constant positions, or at computed ones where all are of one
// known shape, by these elements: SequenceAt,
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
		if !ok || len(s) >= maxElements || input(n, 1) == nil {
			return nil
		}
		if at, there := position(n, 2, len(s), len(s)+1); there {
			u.known[y] = slices.Insert(slices.Clone(s), at, n.In[1])
		} else if isComputed(n, 2) {
			return u.insert(n, s)
		}
	case "SequenceErase":
		s, ok := of(0)
		if at, there := position(n, 1, len(s)-1, len(s)); ok && there {
			u.known[y] = slices.Delete(slices.Clone(s), at, at+1)
		} else if ok && isComputed(n, 1) {
			return u.erase(n, s)
		}
	case "SequenceAt":
		s, ok := of(0)
		if at, there := position(n, 1, -1, len(s)); ok && there {
			u.g.Replace(y, s[at])
		} else if ok && isComputed(n, 1) && alike(s) {
			b := ops.NewBuilder(u.g)
			x := b.Op("Gather", nil, stack(b, s), b.Op("Reshape", nil, n.In[1], b.Ints()))
			if b.Err() != nil {
				return b.Err()
			}
			b.Insert(n)
			u.g.Replace(y, x)
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

// isComputed reports whether input i of n is there and no constant.
func isComputed(n *onnx.Node, i int) bool {
	v := input(n, i)
	return v != nil && constOf(v) == nil
}

// alike reports whether s has elements, all of one known shape: they can be stacked.
func alike(s []*onnx.Value) bool {
	for _, v := range s {
		if v == nil || v.Type.DType != s[0].Type.DType || !sameDims(v.Type, s[0].Type) {
			return false
		}
	}
	return len(s) > 0
}

// stack returns the elements of s along a new first axis.
func stack(b *ops.Builder, s []*onnx.Value) *onnx.Value {
	parts := make([]*onnx.Value, len(s))
	for i, v := range s {
		parts[i] = b.Op("Unsqueeze", nil, v, b.Ints(0))
	}
	return b.Op("Concat", onnx.NewAttrs("axis", 0), parts...)
}

// insert puts beside SequenceInsert at a computed position p what its elements are if
// they are alike: those of s and then x in the order i < p: i; p: x; else i - 1.
func (u *unpacker) insert(n *onnx.Node, s []*onnx.Value) error {
	all := append(slices.Clone(s), n.In[1])
	return u.reorder(n, 2, all, len(all), func(b *ops.Builder, i, p *onnx.Value) *onnx.Value {
		after := b.Op("Sub", nil, i, b.Ints(1))
		return b.Op("Where", nil, b.Op("Less", nil, i, p), i, b.Op("Where", nil, b.Op("Equal", nil, i, p), b.Ints(len(s)), after))
	})
}

// erase does so for SequenceErase: i < p: i; else i + 1.
func (u *unpacker) erase(n *onnx.Node, s []*onnx.Value) error {
	return u.reorder(n, 1, s, len(s)-1, func(b *ops.Builder, i, p *onnx.Value) *onnx.Value {
		return b.Op("Where", nil, b.Op("Less", nil, i, p), i, b.Op("Add", nil, i, b.Ints(1)))
	})
}

// reorder makes the result of n, which has count elements, known: element i is that of all at order's i. p is
// the position that input k of n gives, counted from the start.
func (u *unpacker) reorder(n *onnx.Node, k int, all []*onnx.Value, count int, order func(b *ops.Builder, i, p *onnx.Value) *onnx.Value) error {
	if !alike(all) || count < 1 {
		return nil
	}
	b := ops.NewBuilder(u.g)
	// A position out of range ends the run, as that of the operator does: it is looked up in a
	// table of the valid ones, for which those before -len(s) are put behind the end.
	end := len(all)
	if n.Op == "SequenceInsert" {
		end-- // the length is a position, too
	}
	places := make([]int, 0, 2*end+1)
	for p := -end; p < len(all); p++ {
		if places = append(places, p); p < 0 {
			places[len(places)-1] += end
		}
	}
	p := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), b.Op("Reshape", nil, n.In[k], b.Ints(1)))
	at := b.Op("Add", nil, p, b.Ints(end))
	at = b.Op("Where", nil, b.Op("Less", nil, at, b.Ints(0)), b.Ints(len(places)), at)
	p = b.Op("Gather", nil, b.Ints(places...), at)
	first := make([]int, count)
	for i := range first {
		first[i] = i
	}
	whole := b.Op("Gather", nil, stack(b, all), order(b, b.Ints(first...), p))
	var parts []*onnx.Value
	for _, v := range b.Ops("", "Split", onnx.NewAttrs("axis", 0, "num_outputs", count), count, whole) {
		parts = append(parts, b.Op("Squeeze", nil, v, b.Ints(0)))
	}
	if b.Err() != nil {
		return b.Err()
	}
	b.Insert(n)
	u.known[n.Out[0]] = parts
	return nil
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
	axis, err := tensor.Axis(tensor.Int(a), len(x.Type.Dims))
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
