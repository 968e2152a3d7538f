package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// loops takes out of Loop and Scan what SlimLoops says.
func (s *state) loops() error {
	slimLoops(s.g, s.more, func(n *onnx.Node) { s.rewrote("loops", []*onnx.Node{n}, nil) })
	return nil
}

// SlimLoops makes the bodies of Loop and Scan read what no iteration changes from outside,
// and drops the states and scan outputs on which nothing depends that is read. Exporters
// of while loops carry all weights from iteration to iteration; once they are not,
// they are constants for all that looks for these. Types may be known better then: infer them.
func SlimLoops(m *onnx.Model) {
	slimLoops(m.Graph, func() bool { return true }, func(*onnx.Node) {})
}

func slimLoops(root *onnx.Graph, more func() bool, slimmed func(*onnx.Node)) {
	outs := outputsOf(root)
	root.Walk(func(g *onnx.Graph) {
		for _, n := range slices.Clone(g.Nodes) {
			if l := loopOf(n); l != nil && more() && l.slim(outs) {
				slimmed(n)
			}
		}
	})
}

// loop is a Loop, or a Scan without a batch. Of its states, the first is input in of
// the node, input inside and output next of the body, and output 0 of the node.
type loop struct {
	n                        *onnx.Node
	body                     *onnx.Graph
	states, in, inside, next int
	least                    int // states that the version of the operator wants
}

// loopOf returns n as a loop, nil if it is none or malformed.
func loopOf(n *onnx.Node) *loop {
	l := &loop{n: n}
	body, err := onnx.Attribute(n, "body", (*onnx.Graph)(nil))
	if err != nil || body == nil || ops.NormalDomain(n.Domain) != "" {
		return nil
	}
	l.body = body
	extra := 0 // inputs of the body behind the states
	switch {
	case n.Op == "Loop":
		l.in, l.inside, l.next = 2, 2, 1
		if n.Opset < 11 {
			l.least = 1
		}
	case n.Op == "Scan" && n.Opset >= 9:
		extra = int(intAttr(n, "num_scan_inputs", 0))
		if extra < 1 {
			return nil
		}
	default:
		return nil
	}
	l.states = len(n.In) - l.in - extra
	if l.states < 0 || len(body.Inputs) != l.inside+l.states+extra ||
		len(body.Outputs) < l.next+l.states || len(n.Out) > len(body.Outputs)-l.next {
		return nil
	}
	return l
}

// slim does what loops says to one loop. outs are the values that graphs return.
func (l *loop) slim(outs map[*onnx.Value]bool) bool {
	read := func(v *onnx.Value) bool { return v != nil && (v.Uses() > 0 || outs[v]) }
	if !slices.ContainsFunc(l.n.Out, read) {
		return false // it goes as a whole
	}
	changed := false
	for i := l.states - 1; i >= 0 && l.states > l.least; i-- {
		outside, inside := l.n.In[l.in+i], l.body.Inputs[l.inside+i]
		if outside == nil || behindIdentities(l.body, l.body.Outputs[l.next+i]) != inside {
			continue
		}
		if i < len(l.n.Out) && l.n.Out[i] != nil {
			l.n.Graph.Replace(l.n.Out[i], outside)
		}
		l.dropOutput(i)
		l.dropState(i)
		nameApartFrom(l.body, outside)
		l.body.Replace(inside, outside)
		changed = true
	}
	if !slices.ContainsFunc(l.n.Out, read) { // what was read is outside
		l.n.Graph.Remove(l.n)
		return true
	}
	needed := l.needed(read)
	for i := len(l.body.Outputs) - l.next - 1; i >= 0; i-- {
		if needed[i] || i < l.states && l.states <= l.least {
			continue
		}
		state := i < l.states
		l.dropOutput(i)
		if state {
			l.dropState(i)
		}
		changed = true
	}
	if changed {
		l.body.Prune()
	}
	return changed
}

// dropOutput has the node and the body make one value less: state or scan output i.
func (l *loop) dropOutput(i int) {
	l.body.Outputs = slices.Delete(l.body.Outputs, l.next+i, l.next+i+1)
	if i < len(l.n.Out) {
		l.n.Out = slices.Delete(l.n.Out, i, i+1)
	}
	for _, name := range []string{"scan_output_axes", "scan_output_directions"} {
		v, err := onnx.Attribute(l.n, name, []int64(nil))
		if j := i - l.states; err == nil && j >= 0 && j < len(v) {
			l.n.Attrs = l.n.Attrs.Set(name, slices.Delete(slices.Clone(v), j, j+1))
		}
	}
}

// dropState has the node and the body take one state less.
func (l *loop) dropState(i int) {
	l.n.SetInput(l.in+i, nil)
	l.n.In = slices.Delete(l.n.In, l.in+i, l.in+i+1)
	l.body.Inputs = slices.Delete(l.body.Inputs, l.inside+i, l.inside+i+1)
	l.states--
}

// needed tells of each output of the body, those before the states apart, whether
// something that is read depends on it. Whether there is another iteration is.
func (l *loop) needed(read func(*onnx.Value) bool) []bool {
	needed := make([]bool, len(l.body.Outputs)-l.next)
	from := map[*onnx.Value]bool{} // what the body computes these values from, and they
	var need func(v *onnx.Value)
	need = func(v *onnx.Value) {
		if v == nil || from[v] {
			return
		}
		from[v] = true
		if n := v.From; n != nil {
			for _, in := range n.In {
				need(in)
			}
			for _, b := range n.Bodies() {
				for _, in := range b.Captures() {
					need(in)
				}
			}
		}
	}
	for _, v := range l.body.Outputs[:l.next] {
		need(v)
	}
	for again := true; again; {
		again = false
		for i := range needed {
			if !needed[i] && (i < len(l.n.Out) && read(l.n.Out[i]) || i < l.states && from[l.body.Inputs[l.inside+i]]) {
				needed[i], again = true, true
				need(l.body.Outputs[l.next+i])
			}
		}
	}
	return needed
}

// behindIdentities returns what v, a value of g, is a copy of.
func behindIdentities(g *onnx.Graph, v *onnx.Value) *onnx.Value {
	for v.From != nil && v.From.Graph == g && v.From.Op == "Identity" && ops.NormalDomain(v.From.Domain) == "" && v.From.In[0] != nil {
		v = v.From.In[0]
	}
	return v
}

// nameApartFrom renames what hides v, a value outside of g, from it.
func nameApartFrom(g *onnx.Graph, v *onnx.Value) {
	see := func(w *onnx.Value) {
		if w != nil && w != v && w.Name == v.Name {
			w.Name = g.FreshName(v.Name)
		}
	}
	g.Walk(func(h *onnx.Graph) {
		for _, w := range h.Inputs {
			see(w)
		}
		for _, w := range h.Consts {
			see(w)
		}
		for _, n := range h.Nodes {
			for _, w := range n.Out {
				see(w)
			}
		}
	})
}
