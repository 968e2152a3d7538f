package runtime

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/idle"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func errNoOutput(k int) error { return fmt.Errorf("internal error: output %d was not made", k) }

// body is a compiled graph of an If, Loop or Scan. It implements ops.Body.
type body struct {
	prog    *program
	in, out []onnx.Type
	frames  idle.List[*frame]
}

func newBody(p *program) *body {
	return &body{prog: p, in: portTypes(p.inputs), out: portTypes(p.outputs)}
}

// In returns the types of the graph's inputs.
func (b *body) In() []onnx.Type { return b.in }

// Out returns the types of the graph's outputs.
func (b *body) Out() []onnx.Type { return b.out }

func portTypes(ps []port) []onnx.Type {
	ts := make([]onnx.Type, len(ps))
	for i, p := range ps {
		ts[i] = p.typ
	}
	return ts
}

// Run runs the body once, within the run that c belongs to.
func (b *body) Run(c *ops.Call, in, out []tensor.Value) error {
	outer, ok := c.Frame.(*frame)
	if !ok {
		return fmt.Errorf("internal error: nested graph outside of a session")
	}
	p, r := b.prog, outer.run
	if len(in) != len(p.inputs) {
		return fmt.Errorf("%d values for the %d inputs of the nested graph", len(in), len(p.inputs))
	}
	if r.depth >= maxDepth {
		return fmt.Errorf("nested graphs are more than %d deep", maxDepth)
	}
	r.depth++
	defer func() { r.depth-- }()
	f := newFrame(&b.frames, p, r)
	defer func() { // also after an error, and whatever dies with the frame goes back
		f.forget()
		b.frames.Put(f)
	}()
	for _, k := range p.captures {
		v := outer.vals[k.from]
		if v == nil {
			return fmt.Errorf("internal error: captured value %q is gone", p.names[k.to])
		}
		f.vals[k.to] = v
		r.hold(v)
	}
	for i := range p.inputs {
		port, v := &p.inputs[i], in[i]
		if v == nil {
			v = port.initial
		}
		if v == nil {
			return fmt.Errorf("input %q of the nested graph is absent", port.name)
		}
		f.vals[port.slot] = v
		r.hold(v)
	}
	if err := f.loop(c.Ctx()); err != nil {
		return err
	}
	for i := range out {
		v := f.vals[p.outputs[i].slot]
		if t, ok := v.(*tensor.Tensor); ok {
			v = outer.receive(f, t)
		} else {
			r.escapeValue(v)
		}
		out[i] = v
	}
	return nil
}

// receive lends the instruction in progress a result of the nested graph that has run in g.
func (f *frame) receive(g *frame, t *tensor.Tensor) *tensor.Tensor {
	b := bufferOf(t)
	if b == nil || b.kind == escaped {
		return g.leave(t)
	}
	h := f.run.header()
	_ = h.RenewView(t, t.Shape()) // cannot fail
	f.lend(b, h)
	return h
}

// newFrame returns a frame for p that holds its constants and nothing else.
func newFrame(pool *idle.List[*frame], p *program, r *run) *frame {
	f, ok := pool.Get()
	if !ok {
		f = &frame{vals: make([]tensor.Value, len(p.names)), heads: make([]tensor.Tensor, p.results), states: make([][]any, len(p.code))}
		for _, k := range p.consts {
			f.vals[k.slot] = k.value
		}
	}
	f.prog, f.run, f.main = p, r, false
	return f
}

// forget lets go of all values but the constants.
func (f *frame) forget() {
	for s, v := range f.vals {
		if v != nil && !f.prog.constant[s] {
			f.run.drop(v, f.at)
			f.vals[s] = nil
		}
	}
}
