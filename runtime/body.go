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
	prog   *program
	frames idle.List[*frame]
}

// In returns the types of the graph's inputs.
func (b *body) In() []onnx.Type { return portTypes(b.prog.inputs) }

// Out returns the types of the graph's outputs.
func (b *body) Out() []onnx.Type { return portTypes(b.prog.outputs) }

func portTypes(ps []port) []onnx.Type {
	ts := make([]onnx.Type, len(ps))
	for i, p := range ps {
		ts[i] = p.typ
	}
	return ts
}

// Run runs the body once, within the run that c belongs to.
func (b *body) Run(c *ops.Call, in []tensor.Value) ([]tensor.Value, error) {
	outer, ok := c.Frame.(*frame)
	if !ok {
		return nil, fmt.Errorf("internal error: nested graph outside of a session")
	}
	p, r := b.prog, outer.run
	if len(in) != len(p.inputs) {
		return nil, fmt.Errorf("%d values for the %d inputs of the nested graph", len(in), len(p.inputs))
	}
	if r.depth >= maxDepth {
		return nil, fmt.Errorf("nested graphs are more than %d deep", maxDepth)
	}
	r.depth++
	defer func() { r.depth-- }()
	f := newFrame(&b.frames, p, r)
	defer func() { // also after an error, and whatever dies with the frame goes back
		for s, v := range f.vals {
			if v != nil {
				r.drop(v, f.at)
				f.vals[s] = nil
			}
		}
		b.frames.Put(f)
	}()
	for _, k := range p.consts {
		f.vals[k.slot] = k.value
	}
	for _, k := range p.captures {
		v := outer.vals[k.from]
		if v == nil {
			return nil, fmt.Errorf("internal error: captured value %q is gone", p.names[k.to])
		}
		f.vals[k.to] = v
		r.hold(v)
	}
	for i, port := range p.inputs {
		v := in[i]
		if v == nil {
			v = port.initial
		}
		if v == nil {
			return nil, fmt.Errorf("input %q of the nested graph is absent", port.name)
		}
		f.vals[port.slot] = v
		r.hold(v)
	}
	if err := f.loop(c.Ctx()); err != nil {
		return nil, err
	}
	out := make([]tensor.Value, len(p.outputs))
	for i, port := range p.outputs {
		v := f.vals[port.slot]
		t, ok := v.(*tensor.Tensor)
		if !ok || bufferOf(t) == nil || bufferOf(t).kind == pooled {
			r.escapeValue(v)
		}
		if ok {
			v = f.leave(t)
		}
		out[i] = v
	}
	return out, nil
}

// newFrame returns an empty frame for p.
func newFrame(pool *idle.List[*frame], p *program, r *run) *frame {
	f, ok := pool.Get()
	if !ok {
		f = &frame{vals: make([]tensor.Value, len(p.names)), heads: make([]tensor.Tensor, p.results), states: make([][]any, len(p.code))}
	}
	f.prog, f.run, f.main = p, r, false
	return f
}
