package train

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Gradients of If, Loop and Scan. Each is a node of its own whose body has the
// forward body's nodes once more, with the nodes of the gradient behind them: what
// happens inside of a body is computed again instead of being kept. Loops run
// backwards as a Scan over the states before all iterations, which the forward node
// gives as further outputs. What bodies read of the graphs around them has a
// gradient like an input: the sum over iterations.

// contribution is the gradient that one node gives to a value.
type contribution struct{ to, d *onnx.Value }

// control returns the function that builds the gradient of a control-flow
// operator; nil for other operators.
func control(n *onnx.Node) func(*reverse, *onnx.Node, []*onnx.Value) ([]contribution, error) {
	if n.Domain == "" {
		switch n.Op {
		case "If":
			return (*reverse).branches
		case "Scan":
			return (*reverse).scan
		case "Loop":
			return (*reverse).loop
		}
	}
	return nil
}

// captured returns the values around the bodies of n that have a gradient.
func (r *reverse) captured(n *onnx.Node) []*onnx.Value {
	var out []*onnx.Value
	for _, g := range n.Bodies() {
		for _, v := range g.Captures() {
			if r.path.active[v] && isFloat(v.Type.DType) && !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// branches: an If with the gradients of its branches.
func (r *reverse) branches(n *onnx.Node, dOut []*onnx.Value) ([]contribution, error) {
	wrt := r.captured(n)
	var as onnx.Attrs
	for _, name := range []string{"then_branch", "else_branch"} {
		body, err := onnx.Attribute(n, name, (*onnx.Graph)(nil))
		if err != nil {
			return nil, err
		}
		if body == nil || len(body.Outputs) < len(dOut) {
			return nil, fmt.Errorf("attribute %q is absent or lacks outputs", name)
		}
		c, err := r.body(body, nil, dOut, wrt)
		if err != nil {
			return nil, err
		}
		for i, v := range wrt {
			c.output(v, c.sums[wrt[i]])
		}
		if err := c.finish(); err != nil {
			return nil, err
		}
		as = as.Set(name, c.b.G)
	}
	return contributions(wrt, r.b.Ops("", "If", as, len(wrt), n.In[0])), nil
}

func contributions(to, d []*onnx.Value) []contribution {
	var out []contribution
	for i, v := range to {
		if v != nil {
			out = append(out, contribution{v, d[i]})
		}
	}
	return out
}

// backBody is the body of a gradient in the making: a copy of a forward body.
type backBody struct {
	b       *ops.Builder
	in      []*onnx.Value // the copies of the forward body's inputs
	sums    map[*onnx.Value]*onnx.Value
	outputs []*onnx.Value
}

// body copies a forward body and appends the gradients, by wrt and by those of its inputs that byInput marks, of
// the outputs whose own gradient is not nil in dOut. The gradients are in sums, those of inputs by their copies.
// The copy has no inputs and outputs yet.
func (r *reverse) body(body *onnx.Graph, byInput []bool, dOut, wrt []*onnx.Value) (*backBody, error) {
	if err := repeatable(body); err != nil {
		return nil, err
	}
	g := body.CloneInto(r.b.G, r.b.G.Opsets, map[*onnx.Value]*onnx.Value{})
	c := &backBody{b: newBuilder(g), in: g.Inputs, sums: map[*onnx.Value]*onnx.Value{}}
	outs := g.Outputs
	g.Inputs, g.Outputs = nil, nil
	wrt = slices.Clone(wrt)
	for i, yes := range byInput {
		if yes {
			wrt = append(wrt, c.in[i])
		}
	}
	for i, d := range dOut {
		if d == nil {
			continue
		}
		if have := c.sums[outs[i]]; have != nil {
			d = c.b.Op("Add", nil, have, d)
		}
		c.sums[outs[i]] = d
	}
	inner := &reverse{b: c.b, path: newPath(g, outs, wrt), sums: c.sums}
	return c, inner.run()
}

// output adds the output d, a gradient of v's type: zeros where d is nil.
func (c *backBody) output(v, d *onnx.Value) {
	if d == nil {
		d = zerosLike(c.b, v)
	}
	c.outputs = append(c.outputs, c.b.Op("Identity", nil, d)) // d may be a value of a graph around
}

func (c *backBody) finish() error {
	if c.b.Err() != nil {
		return c.b.Err()
	}
	c.b.Insert(nil)
	c.b.G.Outputs = c.outputs
	return nil
}

func zerosLike(b *ops.Builder, v *onnx.Value) *onnx.Value {
	return b.Op("Expand", nil, b.Float(v.Type.DType, 0), b.Op("Shape", nil, v))
}

// repeatable says whether a body gives the same values when it runs once more.
func repeatable(body *onnx.Graph) (err error) {
	body.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			if op := ops.Standard().Get(n.Domain, n.Op); op != nil && op.Numerics == ops.Random {
				err = fmt.Errorf("%w: the gradient of a body with random numbers: %v", ops.ErrUnsupported, n)
			}
		}
	})
	return err
}

// iterated is a Loop or Scan on its way back.
type iterated struct {
	n      *onnx.Node
	body   *onnx.Graph
	states int // loop-carried values, of which init are the first ones
	init   []*onnx.Value
	at     int // where they are in the body's inputs; outputs: outAt
	outAt  int
	// scans are the slices that the body gets, as they come in the way back, with their places in its inputs.
	scans []sliced
	// outs are the axes and directions, in the way back, of the scan outputs.
	outs []sliced
}

// sliced is a value of which each iteration gets or gives one slice.
type sliced struct {
	v    *onnx.Value
	to   int  // the input of the body; of outs nothing
	dx   bool // its gradient is wanted
	axis int
	back bool
}

// scan: the gradient of Scan.
func (r *reverse) scan(n *onnx.Node, dOut []*onnx.Value) ([]contribution, error) {
	body, err := onnx.Attribute(n, "body", (*onnx.Graph)(nil))
	if err != nil {
		return nil, err
	}
	k, err := onnx.Attribute(n, "num_scan_inputs", int64(0))
	if err != nil {
		return nil, err
	}
	states := len(n.In) - int(k)
	if body == nil || states < 0 || int(k) < 1 || len(body.Inputs) != len(n.In) || len(body.Outputs) < states {
		return nil, fmt.Errorf("body and inputs do not fit")
	}
	it := &iterated{n: n, body: body, states: states, init: n.In[:states]}
	plan := func(axes, directions string, count int) ([]sliced, error) {
		list := make([]sliced, count)
		for i := range 2 {
			v, err := onnx.Attribute(n, []string{axes, directions}[i], []int64(nil))
			if err != nil {
				return nil, err
			}
			if v != nil && len(v) != count {
				return nil, fmt.Errorf("attribute %q has %d values, want %d", []string{axes, directions}[i], len(v), count)
			}
			for j := range list {
				switch {
				case i == 0 && v != nil:
					list[j].axis = int(v[j])
				case i == 1: // the way back is the other way round
					list[j].back = v == nil || v[j] == 0
				}
			}
		}
		return list, nil
	}
	if it.scans, err = plan("scan_input_axes", "scan_input_directions", int(k)); err != nil {
		return nil, err
	}
	for j := range it.scans {
		v := n.In[states+j]
		it.scans[j].v, it.scans[j].to, it.scans[j].dx = v, states+j, r.path.active[v] && isFloat(v.Type.DType)
	}
	if it.outs, err = plan("scan_output_axes", "scan_output_directions", len(body.Outputs)-states); err != nil {
		return nil, err
	}
	return r.iterations(it, dOut)
}

// loop: the gradient of Loop. The number of iterations is that of the states that the forward node gives.
func (r *reverse) loop(n *onnx.Node, dOut []*onnx.Value) ([]contribution, error) {
	body, err := onnx.Attribute(n, "body", (*onnx.Graph)(nil))
	if err != nil {
		return nil, err
	}
	states := max(len(n.In)-2, 0)
	if body == nil || len(body.Inputs) != states+2 || len(body.Outputs) < states+1 {
		return nil, fmt.Errorf("body and inputs do not fit")
	}
	it := &iterated{n: n, body: body, states: states, init: n.In[min(2, len(n.In)):], at: 2, outAt: 1}
	it.outs = make([]sliced, len(body.Outputs)-1-states)
	for i := range it.outs {
		it.outs[i].back = true
	}
	return r.iterations(it, append([]*onnx.Value{nil}, dOut...))
}

// iterations builds the Scan that goes back. dOut belongs to the body's outputs, or the first ones of them.
func (r *reverse) iterations(it *iterated, dOut []*onnx.Value) ([]contribution, error) {
	n, states := it.n, it.states
	dOut = append(slices.Clone(dOut), make([]*onnx.Value, len(it.body.Outputs)-len(dOut))...)
	wrt := r.captured(n)
	active := it.activeStates(r.path, wrt)
	scans, err := it.before(r.b)
	if err != nil {
		return nil, err
	}
	// In the body the gradients of states and of slices of scan outputs are inputs.
	seeds := make([]*onnx.Value, it.outAt+states+len(it.outs))
	byInput := make([]bool, len(it.body.Inputs))
	var first, slot, firstScan, slotScan []*onnx.Value // what goes in, and the body's inputs
	var given []int                                    // states with a gradient
	fresh := func(t onnx.Type) *onnx.Value { return r.b.G.NewValue("", t) }
	for i := range states {
		in := it.body.Inputs[it.at+i]
		if in.Type.Kind != onnx.TensorKind {
			return nil, fmt.Errorf("%w: the gradient of a loop that carries a %v", ops.ErrUnsupported, in.Type)
		}
		if !active[i] {
			continue
		}
		d := dOut[it.outAt+i]
		if d == nil {
			d = zerosLike(r.b, it.final(i))
		}
		seeds[it.outAt+i] = fresh(in.Type)
		byInput[it.at+i] = true
		first, slot, given = append(first, d), append(slot, seeds[it.outAt+i]), append(given, i)
	}
	for _, v := range wrt {
		first, slot = append(first, zerosLike(r.b, v)), append(slot, fresh(v.Type))
	}
	var inAxes, inBack, outAxes, outBack []int
	for j, o := range it.outs {
		at := it.outAt + states + j
		if dOut[at] == nil {
			continue
		}
		seeds[at] = fresh(it.body.Outputs[at].Type)
		firstScan, slotScan = append(firstScan, dOut[at]), append(slotScan, seeds[at])
		inAxes, inBack = append(inAxes, o.axis), append(inBack, number(o.back))
	}
	for _, s := range scans {
		byInput[s.to] = byInput[s.to] || s.dx
	}
	c, err := r.body(it.body, byInput, seeds, wrt)
	if err != nil {
		return nil, err
	}
	g := c.b.G
	for _, s := range scans {
		firstScan, slotScan = append(firstScan, s.v), append(slotScan, c.in[s.to])
		inAxes, inBack = append(inAxes, s.axis), append(inBack, number(s.back))
	}
	if it.n.Op == "Loop" { // every iteration that ran was told so
		cond := c.in[1]
		t := tensor.New(tensor.Bool)
		if cond.Type.Rank() == 1 {
			t = tensor.New(tensor.Bool, 1)
		}
		tensor.Data[bool](t)[0] = true
		cond.Const, cond.Type = t, onnx.TypeOf(t)
		g.AddConst(cond)
	}
	to := make([]*onnx.Value, 0, len(first)) // what the outputs of the Scan are gradients of
	for _, i := range given {
		c.output(c.in[it.at+i], c.sums[c.in[it.at+i]])
		var v *onnx.Value
		if r.path.active[it.init[i]] {
			v = it.init[i]
		}
		to = append(to, v)
	}
	for i, v := range wrt {
		sum := slot[len(given)+i]
		if d := c.sums[v]; d != nil {
			sum = c.b.Op("Add", nil, sum, d)
		}
		c.output(v, sum)
		to = append(to, v)
	}
	for _, s := range scans {
		if s.dx {
			c.output(c.in[s.to], c.sums[c.in[s.to]])
			to = append(to, s.v)
			outAxes, outBack = append(outAxes, s.axis), append(outBack, number(s.back))
		}
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	g.Inputs = append(slot, slotScan...)
	as := onnx.NewAttrs("body", g, "num_scan_inputs", len(firstScan), "scan_input_axes", inAxes, "scan_input_directions", inBack)
	if len(outAxes) > 0 {
		as = as.Set("scan_output_axes", outAxes).Set("scan_output_directions", outBack)
	}
	return contributions(to, r.b.Ops("", "Scan", as, len(to), append(first, firstScan...)...)), nil
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// activeStates tells which states of the loop depend on wrt or active inputs.
func (it *iterated) activeStates(p *path, wrt []*onnx.Value) []bool {
	active := make([]bool, it.states)
	for i, v := range it.init {
		active[i] = v != nil && p.active[v] && isFloat(v.Type.DType)
	}
	for again := true; again; {
		from := slices.Clone(wrt)
		for i, yes := range active {
			if yes {
				from = append(from, it.body.Inputs[it.at+i])
			}
		}
		for _, s := range it.scans {
			if s.dx {
				from = append(from, it.body.Inputs[s.to])
			}
		}
		inner := newPath(it.body, it.body.Outputs, from)
		again = false
		for i := range active {
			v := it.body.Outputs[it.outAt+i]
			if !active[i] && inner.active[v] && isFloat(v.Type.DType) {
				active[i], again = true, true
			}
		}
	}
	return active
}

// final returns the state i after the last iteration.
func (it *iterated) final(i int) *onnx.Value {
	if i < len(it.n.Out) && it.n.Out[i] != nil {
		return it.n.Out[i]
	}
	return it.init[i]
}

// before makes the forward node give the states before all iterations, and of a
// Loop the number of each, and returns them with the scan inputs.
func (it *iterated) before(b *ops.Builder) ([]sliced, error) {
	n, body := it.n, it.body
	nb := newBuilder(body)
	have := len(body.Outputs) - it.outAt
	n.Out = append(n.Out, make([]*onnx.Value, have-len(n.Out))...)
	scans := slices.Clone(it.scans)
	add := func(in int) {
		body.Outputs = append(body.Outputs, nb.Op("Identity", nil, body.Inputs[in]))
		v := n.Graph.NewValue("", onnx.Type{})
		v.From = n
		n.Out = append(n.Out, v)
		scans = append(scans, sliced{v: v, to: in, back: true})
	}
	if n.Op == "Loop" {
		add(0)
	}
	for i := range it.states {
		add(it.at + i)
	}
	if nb.Err() != nil {
		return nil, nb.Err()
	}
	nb.Insert(nil)
	for _, name := range []string{"scan_output_axes", "scan_output_directions"} {
		v, err := onnx.Attribute(n, name, []int64(nil))
		if err != nil {
			return nil, err
		}
		if v != nil {
			n.Attrs = n.Attrs.Set(name, append(slices.Clone(v), make([]int64, it.states)...))
		}
	}
	types, _, err := ops.InferNode(n, b.Env)
	if err != nil {
		return nil, err
	}
	for i, v := range n.Out[have:] {
		v.Type = types[have+i]
	}
	return scans, nil
}

// newBuilder returns a Builder for g that infers nested graphs.
func newBuilder(g *onnx.Graph) *ops.Builder {
	b := ops.NewBuilder(g)
	b.Env.Body = inferBody
	return b
}

// inferBody infers a nested graph for the given input types.
func inferBody(g *onnx.Graph, in []onnx.Type) ([]onnx.Type, error) {
	if len(in) != len(g.Inputs) {
		return nil, fmt.Errorf("%d types for a graph with %d inputs", len(in), len(g.Inputs))
	}
	for i, v := range g.Inputs {
		v.Type = in[i]
	}
	for _, n := range g.Nodes {
		types, _, err := ops.InferNode(n, ops.InferEnv{Body: inferBody})
		if err != nil {
			return nil, fmt.Errorf("%v: %w", n, err)
		}
		for i, v := range n.Out {
			if v != nil {
				v.Type = types[i]
			}
		}
	}
	out := make([]onnx.Type, len(g.Outputs))
	for i, v := range g.Outputs {
		out[i] = v.Type
	}
	return out, nil
}
