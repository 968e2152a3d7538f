package runtime

import (
	"context"
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// donation lets a run write over inputs, as [Session.RunInPlace] describes.
type donation struct {
	gate   int // slot of the output that check gets
	check  func(*tensor.Tensor) error
	passed bool // check has accepted it
	begun  bool // inputs may have been written over
}

// RunInPlace is RunInto for results that take the place of inputs: where out has
// for an output the very tensor that in has for an input (the same memory, element type and
// shape), the input is donated. Its memory may be taken for results, its successor
// first of all, as soon as nothing reads it any more. So a state that is updated
// by the model need not be in memory twice. What cannot be computed in place is written at the
// end, as by RunInto.
//
// No donated input is written over before check has accepted the output that gate
// names; an error of check ends the run and is returned as it is. Without a gate
// ("") there is no check. From the first write on the run no longer ends with ctx. When RunInPlace returns an
// error, begun says whether donated inputs may have been written over; while it is false they
// are as they were.
//
// This is the buffer donation of JAX (jax.jit, donate_argnums).
func (s *Session) RunInPlace(ctx context.Context, in, out map[string]tensor.Value, gate string, check func(*tensor.Tensor) error) (begun bool, err error) {
	if _, ok := out[gate]; gate != "" && (!ok || check == nil) {
		return false, fmt.Errorf("runtime: RunInPlace: the gate %q is no output that is asked for, or has no check", gate)
	}
	if err := checkInto(out); err != nil {
		return false, err
	}
	d := &donation{check: check, passed: gate == ""}
	_, err = s.run(ctx, in, request{dest: out, donate: d, gate: gate})
	return d.begun, err
}

// donated marks the tensor t, which the caller has given for an output, as an input that may be
// written over. It returns false unless exactly one input shares t's memory, all of it.
func (r *run) donated(p *program, vals []tensor.Value, t *tensor.Tensor) bool {
	at := -1
	for k := range p.inputs {
		slot := p.inputs[k].slot
		x, ok := vals[slot].(*tensor.Tensor)
		if !ok || !overlap(x.Bytes(), t.Bytes()) {
			continue
		}
		if at >= 0 || x.DType() != t.DType() || !slices.Equal(x.Shape(), t.Shape()) || address(x.Bytes()) != address(t.Bytes()) {
			return false
		}
		at = slot
	}
	if at < 0 || p.keep[at] {
		return false
	}
	if b := bufferOf(vals[at].(*tensor.Tensor)); b != nil && b.kind != escaped { // for another output, or of another run
		return false
	}
	x, err := tensor.FromBytes(t.DType(), t.Shape(), t.Bytes(), &buffer{data: t.Bytes(), kind: donated, refs: 1, rec: -1})
	if err != nil {
		return false
	}
	vals[at] = x
	return true
}

// advance is called before each instruction: it asks check as soon as the gate is there and
// returns the context from here on.
func (d *donation) advance(ctx context.Context, f *frame, at int) (context.Context, error) {
	if !d.passed {
		if f.vals[d.gate] == nil {
			return ctx, nil
		}
		if err := d.ask(f); err != nil {
			return ctx, err
		}
	}
	if !d.begun && f.takes(&f.prog.code[at]) {
		d.begin(f)
	}
	if d.begun {
		ctx = f.run.p.Ctx
	}
	return ctx, nil
}

// ask has the caller look at the gate.
func (d *donation) ask(f *frame) error {
	t, ok := f.vals[d.gate].(*tensor.Tensor)
	if !ok {
		return fmt.Errorf("runtime: the gate %q is a %v, want a tensor", f.prog.names[d.gate], f.vals[d.gate])
	}
	if err := d.check(t); err != nil {
		return err
	}
	d.passed = true
	return nil
}

// begin notes that from now on inputs are written over: what was begun is finished.
func (d *donation) begin(f *frame) {
	if d.begun {
		return
	}
	d.begun = true
	f.run.p.Ctx = context.WithoutCancel(f.run.p.Ctx)
}

// takes reports whether the instruction could write over a donated input.
func (f *frame) takes(in *instr) bool {
	for _, list := range [][]int{in.reuse, in.beside} {
		for _, k := range list {
			if k < 0 || k >= len(in.in) || in.in[k] < 0 {
				continue
			}
			if t, ok := f.vals[in.in[k]].(*tensor.Tensor); ok {
				if b := bufferOf(t); b != nil && b.kind == donated {
					return true
				}
			}
		}
	}
	return false
}
