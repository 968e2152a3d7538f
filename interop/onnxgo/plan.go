package onnxgo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	gonnx "github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// plan is the graph as a session will see it.
type plan struct {
	operations []call
	inputs     []*input
	consts     []*value
	wanted     []*value // what Run computes
}

// call is an operation with its operands.
type call struct {
	*operation
	ins []*value
}

// input is a value that changes from run to run.
type input struct {
	v   *value
	typ gonnx.Type // what all tensors had in common so far; Kind 0 before the first
}

// widen makes the type of the input hold for t too, and reports whether it changed.
func (in *input) widen(t *tensor.Tensor) bool {
	switch {
	case in.typ.Kind == gonnx.UnknownKind || in.typ.DType != t.DType():
		in.typ = gonnx.TypeOf(t)
		return true
	case !in.typ.Ranked:
		return false
	case len(in.typ.Dims) != t.Rank():
		in.typ = gonnx.UnrankedType(t.DType())
		return true
	}
	changed := false
	for i, d := range in.typ.Dims {
		if n, known := d.Size(); known && n != t.Dim(i) {
			in.typ.Dims[i] = gonnx.Name(fmt.Sprintf("%s_%d", in.v.key, i))
			changed = true
		}
	}
	return changed
}

// replan reads the graph: which values are inputs, which constants, what is to be computed.
func (b *Backend) replan() error {
	if err := b.closeSession(); err != nil {
		return err
	}
	if len(b.operations) == 0 {
		return fmt.Errorf("onnxgo: the graph has no operator")
	}
	b.setKeys()
	p := &plan{}
	seen := map[*value]bool{}
	for _, op := range b.operations {
		ins, err := op.operands()
		if err != nil {
			return err
		}
		for _, v := range ins {
			if v == nil || seen[v] {
				continue
			}
			seen[v], v.used = true, true
			if v.producer == nil {
				if err := b.leaf(p, v); err != nil {
					return err
				}
			}
		}
		p.operations = append(p.operations, call{op, ins})
	}
	p.wanted = b.results(seen)
	b.plan, b.stale = p, false
	return nil
}

// setKeys gives every value a name of its own.
func (b *Backend) setKeys() {
	for _, n := range b.order {
		if n.v.name != "" {
			n.v.key = n.v.name
			continue
		}
		n.v.key = fmt.Sprintf("node %d", n.id)
		for b.names[n.v.key] != nil {
			n.v.key += "'"
		}
	}
}

// operands returns what the edges of op's results say.
func (op *operation) operands() ([]*value, error) {
	var ins []*value
	var first *value
	for _, out := range op.outs {
		switch {
		case out == nil:
		case first == nil:
			first, ins = out, slices.Clone(out.operands)
		case !slices.Equal(first.operands, out.operands):
			return nil, fmt.Errorf("onnxgo: operator %s: %q and %q have other operands", op.name, first.key, out.key)
		}
	}
	for i, v := range ins {
		if v != nil && v.absent {
			ins[i] = nil
		}
	}
	// onnx-go gives an operator without inputs one, called after the node, that has nothing.
	if len(ins) == 1 && ins[0] != nil && op.version.In.Min == 0 && ins[0].producer == nil && ins[0].tensor == nil && strings.HasSuffix(ins[0].name, "/input") {
		ins = nil
	}
	for len(ins) > 0 && ins[len(ins)-1] == nil {
		ins = ins[:len(ins)-1]
	}
	return ins, nil
}

// leaf enters a value that no operator computes.
func (b *Backend) leaf(p *plan, v *value) error {
	switch {
	case v.fed || v.tensor == nil:
		in := &input{v: v}
		if b.plan != nil {
			if i := slices.IndexFunc(b.plan.inputs, func(in *input) bool { return in.v == v }); i >= 0 {
				in.typ = b.plan.inputs[i].typ
			}
		}
		p.inputs = append(p.inputs, in)
	case b.declaredOnly(v):
		return fmt.Errorf("onnxgo: input %q was not set (set a constant of zeros after the operators are applied)", v.key)
	default:
		p.consts = append(p.consts, v)
	}
	return nil
}

// declaredOnly reports whether v is an input that has only the tensor of zeros that onnx-go
// gives it to tell its type. Such inputs come first; initializers that no input declares come
// after the results that the file declares, and others are set twice.
func (b *Backend) declaredOnly(v *value) bool {
	if !v.early || v.sets > v.nodes {
		return false
	}
	for _, n := range b.order {
		if n.v == v {
			break
		}
		if n.v.early && n.v.producer != nil {
			return false
		}
	}
	t, err := FromGorgonia(v.tensor)
	if err != nil {
		return false
	}
	if t.DType() == tensor.String {
		return !slices.ContainsFunc(tensor.Data[string](t), func(s string) bool { return s != "" })
	}
	return !slices.ContainsFunc(t.Bytes(), func(x byte) bool { return x != 0 })
}

// results returns what nothing reads. If the file declares some of these values, the others
// are by-products of operators, such as the mask of Dropout.
func (b *Backend) results(read map[*value]bool) []*value {
	var all, declared []*value
	for _, op := range b.operations {
		for _, v := range op.outs {
			if v == nil || read[v] {
				continue
			}
			all = append(all, v)
			if v.early {
				declared = append(declared, v)
			}
		}
	}
	if declared != nil {
		return declared
	}
	return all
}

// open compiles the plan.
func (p *plan) open(o Options) (*runtime.Session, error) {
	opsets := map[string]int{}
	for d, v := range o.Opsets {
		opsets[d] = v
	}
	for _, c := range p.operations {
		opsets[c.domain] = c.opset
	}
	g := gonnx.NewGraph("onnx-go", opsets)
	values := map[*value]*gonnx.Value{}
	for _, in := range p.inputs {
		values[in.v] = g.AddInput(in.v.key, in.typ)
	}
	for _, v := range p.consts {
		t, err := FromGorgonia(v.tensor)
		if err != nil {
			return nil, fmt.Errorf("onnxgo: initializer %q: %w", v.key, err)
		}
		values[v] = g.AddConst(g.NewConst(v.key, t))
	}
	for _, c := range p.operations {
		for _, v := range c.outs {
			if v != nil {
				values[v] = g.NewValue(v.key, gonnx.Type{})
			}
		}
	}
	for _, c := range p.operations {
		n := &gonnx.Node{Domain: c.domain, Op: c.name, Opset: c.opset, Attrs: slices.Clone(c.attrs), Graph: g}
		for _, v := range c.ins {
			n.In = append(n.In, values[v]) // nil for nil
		}
		for _, v := range c.outs {
			n.Out = append(n.Out, values[v])
			if v != nil {
				values[v].From = n
				n.Name = cmp.Or(n.Name, v.key)
			}
		}
		g.Nodes = append(g.Nodes, n)
	}
	for _, v := range p.wanted {
		g.Outputs = append(g.Outputs, values[v])
	}
	g.RebuildUses()
	if err := g.Sort(); err != nil {
		return nil, fmt.Errorf("onnxgo: %w", err)
	}
	m := &gonnx.Model{IRVersion: 8, Opsets: opsets, Graph: g, ProducerName: "onnx-go"}
	return runtime.New(m, o.Session)
}
