package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Names in training graphs. Parameters and statistics keep theirs, as inputs;
// what a tensor becomes is an output with nextSuffix.
const (
	stepName      = "train.step"  // int64: batches so far, for random numbers
	rateName      = "train.rate"  // float32: the learning rate
	countName     = "train.count" // int64: updates with this one
	lossName      = "train.loss"
	normName      = "train.norm" // float32: of the gradients, with Config.GradNorm
	nextSuffix    = "/next"
	sumSuffix     = "/sum"     // of gradients
	averageSuffix = "/average" // with Config.EMA
	memorySuffix  = "/memory"  // and a number
)

// buildSteps builds the sessions of training and the first state.
func (t *Trainer) buildSteps() error {
	m := t.model.Clone()
	g := m.Graph
	b := ops.NewBuilder(g)
	m.Opsets[ops.Private], g.Opsets[ops.Private] = 1, 1

	o := &Objective{Builder: b, target: t.cfg.Target, inputs: map[string]*onnx.Value{}}
	for _, v := range g.Inputs {
		o.inputs[v.Name] = v
	}
	step := g.AddInput(stepName, onnx.TensorType(tensor.Int64))
	params := t.asInputs(g, t.names)
	trainable := map[*onnx.Value]bool{}
	for _, v := range params {
		trainable[v] = true
	}
	stats, err := trainingForm(m, t.cfg.Seed, step, trainable)
	if err != nil {
		return err
	}
	for v := range stats {
		t.stats = append(t.stats, v.Name)
	}
	slices.Sort(t.stats)
	current := t.asInputs(g, t.stats)
	for _, v := range current {
		t.next[v.Name] = t.state[v.Name].Clone()
	}

	if p := t.cfg.MixedPrecision; p != nil {
		if err := lowerGraph(g, p.Type, trainable); err != nil {
			return err
		}
	}
	if g.Outputs, err = t.outputs(g); err != nil {
		return err
	}
	g.Prune()
	// What the loss does not read needs no gradient either, so this comes before there are gradients.
	if _, err := optimize.Run(m, optimize.Portable, optimize.Options{Only: []string{"selections", "dce"}, Private: true}); err != nil {
		return err
	}
	o.Outputs = slices.Clone(g.Outputs)
	model := len(g.Inputs)
	loss := t.cfg.Loss.Build(o)
	if err := b.Err(); err != nil {
		return fmt.Errorf("loss: %w", err)
	}
	if loss == nil || !isFloat(loss.Type.DType) || loss.Type.Rank() != 0 {
		return fmt.Errorf("the loss is %v, want a scalar of a float type", describe(loss))
	}
	t.classCount = o.classCount
	b.Insert(nil)
	for _, v := range g.Inputs[model:] {
		t.targets = append(t.targets, runtime.ValueInfo{Name: v.Name, Type: v.Type})
	}
	g.Outputs = []*onnx.Value{loss}
	g.Prune()
	t.results = results(g, nil)
	forward := slices.Clone(g.Nodes)

	t.scaler = newScaler(t.cfg.MixedPrecision)
	var scale, seed *onnx.Value
	if t.scaler != nil {
		scale = g.AddInput(scaleName, onnx.TensorType(tensor.Float32))
		seed = b.Op("Cast", onnx.NewAttrs("to", int(loss.Type.DType)), scale)
		b.Insert(nil)
	}
	grads, err := t.gradients(m, loss, seed, params)
	if err != nil {
		return err
	}
	t.backward = results(g, forward)
	loss = g.Outputs[0]
	if params, grads, err = t.reached(params, grads); err != nil {
		return err
	}
	b = ops.NewBuilder(g)
	outs := []*onnx.Value{b.Op("Identity", nil, loss)}
	outs[0].Name = lossName
	next := func(v *onnx.Value, name string) {
		v = b.Op("Identity", nil, v) // an output of its own, whatever else reads v
		if v != nil {
			v.Name = name + nextSuffix
			outs = append(outs, v)
		}
	}
	for _, v := range current {
		next(stats[v], v.Name)
	}
	t.loss = tensor.New(loss.Type.DType)
	if t.scaler != nil {
		unscaled(b, grads, scale)
	}
	if t.cfg.Accumulate == 1 {
		if t.scaler != nil {
			t.gate = tensor.New(loss.Type.DType, 2)
			outs = append(outs, gate(b, loss, grads))
		}
		t.updates(b, params, grads, next)
		return t.finish(m, b, outs, &t.apply)
	}
	t.sums, t.nextSums = map[string]*tensor.Tensor{}, map[string]*tensor.Tensor{}
	for i, p := range params {
		s := g.AddInput(p.Name+sumSuffix, p.Type)
		shape := t.state[p.Name].Shape()
		t.sums[p.Name], t.nextSums[p.Name] = tensor.New(p.Type.DType, shape...), tensor.New(p.Type.DType, shape...)
		next(b.Op("Add", nil, s, grads[i]), s.Name)
	}
	if err := t.finish(m, b, outs, &t.gather); err != nil {
		return err
	}
	return t.buildApply(params)
}

// buildApply builds the session that updates from sums of gradients.
func (t *Trainer) buildApply(params []*onnx.Value) error {
	m := &onnx.Model{IRVersion: t.model.IRVersion, Opsets: map[string]int{"": schema.Newest(""), ops.Private: 1}}
	g := onnx.NewGraph("update", m.Opsets)
	m.Graph = g
	b := ops.NewBuilder(g)
	own, grads := make([]*onnx.Value, len(params)), make([]*onnx.Value, len(params))
	for i, p := range params {
		own[i] = g.AddInput(p.Name, p.Type)
		sum := g.AddInput(p.Name+sumSuffix, p.Type)
		grads[i] = b.Op("Div", nil, sum, b.Float(p.Type.DType, float64(t.cfg.Accumulate)))
	}
	var outs []*onnx.Value
	if t.scaler != nil {
		t.gate = tensor.New(tensor.Float32, 1)
		outs = append(outs, gate(b, nil, grads))
	}
	t.updates(b, own, grads, func(v *onnx.Value, name string) {
		v = b.Op("Identity", nil, v)
		if v != nil {
			v.Name = name + nextSuffix
			outs = append(outs, v)
		}
	})
	return t.finish(m, b, outs, &t.apply)
}

// finish makes the session of a training graph.
func (t *Trainer) finish(m *onnx.Model, b *ops.Builder, outs []*onnx.Value, s **runtime.Session) error {
	if err := b.Err(); err != nil {
		return err
	}
	m.Graph.Outputs = outs
	if t.cfg.ClipNorm > 0 || t.scaler != nil { // which needs all gradients before the first update
		b.Insert(nil)
	} else {
		insertEarly(m.Graph, b)
	}
	m.Graph.Prune()
	o := runtime.Options{Threads: t.cfg.Threads, MaxMemory: t.cfg.MaxMemory, Private: true}
	if (t.cfg.Recompute != nil || t.cfg.MixedPrecision != nil) && slices.ContainsFunc(outs, func(v *onnx.Value) bool { return v.Name == lossName }) {
		t.plain = m.Clone()
		if err := t.cfg.optimised(m); err != nil {
			return err
		}
		o.Level = optimize.None
	}
	var err error
	*s, err = runtime.New(m, o)
	return err
}

// asInputs turns the named initializers of g into inputs, whose values are part
// of the state from now on.
func (t *Trainer) asInputs(g *onnx.Graph, names []string) []*onnx.Value {
	var out []*onnx.Value
	g.Consts = slices.DeleteFunc(g.Consts, func(v *onnx.Value) bool {
		if !slices.Contains(names, v.Name) {
			return false
		}
		if t.state[v.Name] == nil {
			t.state[v.Name] = v.Const.Clone()
		}
		v.Type = onnx.TypeOf(v.Const)
		v.Const = nil
		if !slices.Contains(g.Inputs, v) {
			g.Inputs = append(g.Inputs, v)
		}
		out = append(out, v)
		return true
	})
	return out
}

// outputs returns the model's outputs that the loss is for.
func (t *Trainer) outputs(g *onnx.Graph) ([]*onnx.Value, error) {
	if len(t.cfg.Outputs) == 0 {
		if len(g.Outputs) == 0 {
			return nil, fmt.Errorf("the model has no outputs")
		}
		return g.Outputs[:1:1], nil
	}
	var out []*onnx.Value
	for _, name := range t.cfg.Outputs {
		i := slices.IndexFunc(g.Outputs, func(v *onnx.Value) bool { return v.Name == name })
		if i < 0 {
			var have []string
			for _, v := range g.Outputs {
				have = append(have, v.Name)
			}
			return nil, fmt.Errorf("there is no output %q: the model has %s", name, few(have))
		}
		out = append(out, g.Outputs[i])
	}
	return out, nil
}

// reached leaves out parameters that the loss does not depend on.
func (t *Trainer) reached(params, grads []*onnx.Value) (p, d []*onnx.Value, err error) {
	var lost []string
	for i, v := range params {
		if grads[i] == nil {
			lost = append(lost, v.Name)
			delete(t.state, v.Name)
			continue
		}
		p, d = append(p, v), append(d, grads[i])
	}
	t.names = slices.DeleteFunc(t.names, func(n string) bool { return slices.Contains(lost, n) })
	if len(p) == 0 {
		return nil, nil, fmt.Errorf("the loss depends on none of the parameters %s", few(lost))
	}
	return p, d, nil
}

// updates adds the nodes that make new parameters from gradients.
func (t *Trainer) updates(b *ops.Builder, params, grads []*onnx.Value, next func(v *onnx.Value, name string)) {
	rate, count := b.G.AddInput(rateName, onnx.TensorType(tensor.Float32)), b.G.AddInput(countName, onnx.TensorType(tensor.Int64))
	if c := t.cfg.ClipValue; c > 0 {
		for i, d := range grads {
			grads[i] = b.Op("Clip", nil, d, b.Float(d.Type.DType, -c), b.Float(d.Type.DType, c))
		}
	}
	scale := b.Float(tensor.Float32, 1)
	if t.cfg.ClipNorm > 0 || t.cfg.GradNorm {
		norm := gradNorm(b, grads)
		if t.cfg.GradNorm {
			t.norm = tensor.New(tensor.Float32)
			next(norm, normName)
		}
		if t.cfg.ClipNorm > 0 {
			scale = clipScale(b, norm, t.cfg.ClipNorm)
		}
	}
	matchers := make([]func(string) bool, len(t.cfg.Groups))
	for i, group := range t.cfg.Groups {
		matchers[i] = matcher(group.Names)
	}
	for i, p := range params {
		u := &Update{Builder: b, Param: p, Grad: grads[i], LR: rate, T: count, Scale: scale, Decay: t.cfg.Optimizer.Decay()}
		for k, group := range t.cfg.Groups {
			if !matchers[k](p.Name) {
				continue
			}
			if group.WeightDecay != nil {
				u.Decay = *group.WeightDecay
			}
			if group.RateFactor != 0 {
				u.LR = b.Op("Mul", nil, rate, b.Float(tensor.Float32, group.RateFactor))
			}
			break
		}
		shape := t.state[p.Name].Shape()
		rows := t.tables[p.Name]
		memory := func(name string) *onnx.Value {
			if t.state[name] == nil {
				t.state[name] = tensor.New(p.Type.DType, shape...)
			}
			v := b.G.AddInput(name, p.Type)
			if rows != nil {
				rows.state = append(rows.state, name)
				v = rows.taken(b, v)
			}
			return v
		}
		if rows != nil {
			rows.state = append(rows.state, p.Name)
			u.Param = rows.taken(b, p)
			next(rows.rows, p.Name+rowsSuffix)
		}
		names := make([]string, t.cfg.Optimizer.Memories())
		for k := range names {
			names[k] = fmt.Sprint(p.Name, memorySuffix, k)
			u.Memory = append(u.Memory, memory(names[k]))
		}
		w, mem := t.cfg.Optimizer.Step(u)
		if b.Err() == nil && (w == nil || len(mem) != len(names)) {
			b.Fail(fmt.Errorf("optimizer %T gives %d memories, want %d", t.cfg.Optimizer, len(mem), len(names)))
		}
		if b.Err() != nil {
			return
		}
		next(w, p.Name)
		for k, v := range mem {
			next(v, names[k])
		}
		if t.cfg.EMA > 0 {
			name := p.Name + averageSuffix
			old := memory(name)
			if t.step == 0 {
				_ = t.state[name].CopyFrom(t.state[p.Name]) // of one shape and type
			}
			next(u.average(old, w, t.cfg.EMA), name)
		}
	}
}

// gradNorm returns the L2 norm of all gradients.
func gradNorm(b *ops.Builder, grads []*onnx.Value) *onnx.Value {
	return b.Op("Sqrt", nil, total(b, "ReduceSumSquare", grads))
}

// total returns the sum over all gradients of what a reduction makes of them.
func total(b *ops.Builder, reduction string, grads []*onnx.Value) *onnx.Value {
	var sum *onnx.Value
	for _, d := range grads {
		s := b.Op(reduction, onnx.NewAttrs("keepdims", 0), d)
		s = b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), s)
		if sum == nil {
			sum = s
		} else {
			sum = b.Op("Add", nil, sum, s)
		}
	}
	return sum
}

// clipScale returns the factor that keeps the norm of all gradients below most.
// Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural
// networks, 2013, algorithm 1.
func clipScale(b *ops.Builder, norm *onnx.Value, most float64) *onnx.Value {
	norm = b.Op("Add", nil, norm, b.Float(tensor.Float32, 1e-6))
	return b.Op("Min", nil, b.Float(tensor.Float32, 1), b.Op("Div", nil, b.Float(tensor.Float32, most), norm))
}

// buildEval builds the session of inference, whose parameters are inputs.
func (t *Trainer) buildEval() error {
	m := t.model.Clone()
	var names []string
	for _, v := range m.Graph.Consts {
		if t.state[v.Name] != nil {
			names = append(names, v.Name)
		}
	}
	t.asInputs(m.Graph, names)
	var err error
	t.eval, err = runtime.New(m, runtime.Options{Threads: t.cfg.Threads, MaxMemory: t.cfg.MaxMemory})
	return err
}

// result is a value of the training graph.
type result struct{ node, value string }

// results lists the results of g's nodes but those in without, for firstBad.
func results(g *onnx.Graph, without []*onnx.Node) []result {
	skip := map[*onnx.Node]bool{}
	for _, n := range without {
		skip[n] = true
	}
	var out []result
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if v != nil && isFloat(v.Type.DType) && !skip[n] {
				out = append(out, result{n.String(), v.Name})
			}
		}
	}
	return out
}

// culprit names the first input or node of the forward pass that has a number
// that is not finite, in words that end a message.
func (t *Trainer) culprit(ctx context.Context, s *runtime.Session, in map[string]tensor.Value) string {
	for _, p := range s.Inputs() {
		if x, ok := in[p.Name].(*tensor.Tensor); ok && some(x, func(v float64) bool { return v-v != 0 }) {
			return fmt.Sprintf("; input %q has values that are not finite", p.Name)
		}
	}
	return t.unoptimised(s, func(s *runtime.Session) string {
		// Scores that a mask hides are -Inf, by right: they are looked at last.
		for _, bad := range []func(x float64) bool{
			func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 1) },
			func(x float64) bool { return math.IsInf(x, -1) },
		} {
			if text := firstBad(ctx, s, in, t.results, bad); text != "" {
				return text
			}
		}
		return ""
	})
}

// unoptimised calls f with a session that has all values of the training graph: s, or where that
// has others, one of its own.
func (t *Trainer) unoptimised(s *runtime.Session, f func(*runtime.Session) string) string {
	if t.plain == nil {
		return f(s)
	}
	plain, err := runtime.New(t.plain, runtime.Options{Threads: t.cfg.Threads, MaxMemory: t.cfg.MaxMemory, Private: true})
	if err != nil {
		return ""
	}
	defer plain.Close()
	return f(plain)
}

// firstBad names the first of results with an element that is bad, in words that end a message.
func firstBad(ctx context.Context, s *runtime.Session, in map[string]tensor.Value, results []result, bad func(float64) bool) string {
	for _, r := range results {
		out, err := s.Run(ctx, in, r.value)
		if err != nil {
			continue // the gradient replaced this node by its definition
		}
		if x, ok := out[r.value].(*tensor.Tensor); ok && some(x, bad) {
			return fmt.Sprintf("; the first node with values that are not finite is %s", r.node)
		}
	}
	return ""
}

// some reports whether f is true for an element of x, which has floats.
func some(x *tensor.Tensor, f func(float64) bool) bool {
	switch x.DType() {
	case tensor.Float16, tensor.BFloat16:
		return some(tensor.Widen(x), f)
	case tensor.Float32:
		return slices.ContainsFunc(tensor.Data[float32](x), func(v float32) bool { return f(float64(v)) })
	case tensor.Float64:
		return slices.ContainsFunc(tensor.Data[float64](x), f)
	}
	return false
}

// insertEarly inserts b's nodes each behind the last that it reads from, so that a
// gradient is used, and its memory free, as soon as it is there; and behind all other readers
// of the graph's inputs that it reads, so that a parameter can be updated in place.
func insertEarly(g *onnx.Graph, b *ops.Builder) {
	nodes, own := slices.Clone(g.Nodes), b.Nodes
	at := map[*onnx.Node]int{} // place among nodes; of new ones that behind which they go
	for i, n := range nodes {
		at[n] = i
	}
	read := map[*onnx.Value]int{} // the place of the last reader
	for i, n := range slices.Backward(nodes) {
		for _, v := range reads(n) {
			last := i
			if slices.Contains([]string{"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}, n.Op) {
				last = max(last, read[n.Out[0]]) // what it gives may be a view
			}
			read[v] = max(read[v], last)
		}
	}
	behind := make([][]*onnx.Node, len(nodes)+1)
	for _, n := range own {
		last := -1
		for _, v := range reads(n) {
			if i, ok := at[v.From]; ok {
				last = max(last, i)
			} else if i, ok := read[v]; ok && slices.Contains(g.Inputs, v) {
				last = max(last, i)
			}
		}
		at[n] = last
		behind[last+1] = append(behind[last+1], n)
	}
	b.Insert(nil)
	g.Nodes = append(g.Nodes[:0], behind[0]...)
	for i, n := range nodes {
		g.Nodes = append(append(g.Nodes, n), behind[i+1]...)
	}
}
