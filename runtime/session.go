package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gneiss-run/gneiss/internal/idle"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Session is a model that is ready to run. It is safe for concurrent use:
// calls of Run share the program and the weights, and nothing else.
type Session struct {
	opt    Options
	set    *ops.Set
	model  *onnx.Model // as prepared, before optimisation: for programs with other outputs
	prog   *program
	report Report
	plans  planCache
	began  atomic.Bool // a run has been given a region, if there is one
	// returned is the size of the largest plan that memory was returned for.
	returned atomic.Int64
	states   *idle.List[*frame] // of the main program; apart, as the Go runtime knows what ages and must not hold the session
	out      *atomic.Int64      // apart from the session, as reuse is: what watches over results holds both
	reuse    *recycler

	packed *tensor.Mapping // of Options.PackFile; may be nil

	mu     sync.RWMutex // held for reading while a Run is in progress
	closed bool

	variantMu sync.Mutex
	variants  map[string]*Session
	open      *Session // in which defaults can be overridden

	overridden bool            // inputs that have defaults are inputs; else they are constants
	takes      []ValueInfo     // all inputs, where some were made constants
	optional   map[string]bool // these
}

// Open reads and compiles the model file at path. External data is read from
// the file's folder only. Weights are views of the mapped file where kernels
// read them as they are.
func Open(path string, o Options) (*Session, error) {
	defer calm()()
	m, err := onnx.Open(path, onnx.DecodeOptions{Limits: o.Limits, NoMmap: o.NoMmap})
	if err != nil {
		return nil, err
	}
	return owned(m, o)
}

// OpenBytes compiles a model from memory. Weights are views of data, which
// must not change while the session is open. Models with external data need
// Open or OpenFS.
func OpenBytes(data []byte, o Options) (*Session, error) {
	defer calm()()
	m, err := onnx.Decode(data, onnx.DecodeOptions{Limits: o.Limits})
	if err != nil {
		return nil, err
	}
	return owned(m, o)
}

// OpenFS reads and compiles the model file at path in fsys, with its external
// data from the same file system.
func OpenFS(fsys fs.FS, path string, o Options) (*Session, error) {
	defer calm()()
	m, err := onnx.OpenFS(fsys, path, onnx.DecodeOptions{Limits: o.Limits})
	if err != nil {
		return nil, err
	}
	return owned(m, o)
}

// New compiles m, which it does not change and which must stay open as long as
// the session is.
func New(m *onnx.Model, o Options) (*Session, error) {
	defer calm()()
	return owned(m.Clone(), o)
}

// owned compiles a model that belongs to the session.
func owned(m *onnx.Model, o Options) (*Session, error) {
	s, err := newSession(m, o)
	if err != nil {
		m.Close()
		return nil, err
	}
	return s, nil
}

func newSession(m *onnx.Model, o Options) (*Session, error) {
	if o.Threads < 0 {
		return nil, fmt.Errorf("runtime: Options.Threads is %d, want 0 or more", o.Threads)
	}
	if o.Threads == 0 {
		o.Threads = goruntime.GOMAXPROCS(0)
	}
	if o.MaxMemory < 0 {
		return nil, fmt.Errorf("runtime: Options.MaxMemory is %d, want 0 or more bytes", o.MaxMemory)
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = defaultMemory()
	}
	set, err := ops.NewSet(o.Operators...)
	if err != nil {
		return nil, err
	}
	s := emptySession(o, set, m)
	if err := s.compile(m.Clone()); err != nil {
		return nil, err
	}
	return s, nil
}

func emptySession(o Options, set *ops.Set, m *onnx.Model) *Session {
	return &Session{opt: o, set: set, model: m, states: new(idle.List[*frame]), out: new(atomic.Int64), reuse: new(recycler)}
}

// ValueInfo describes an input or output of a model.
type ValueInfo struct {
	Name string
	Type onnx.Type // element type and symbolic shape
	// Optional says that the input has a default and may be left out. The model is compiled with
	// that as a constant, and once more when a run first gives another value.
	Optional bool
	Doc      string
	Metadata []onnx.Prop
}

// Inputs returns what Run takes, in the model's order.
func (s *Session) Inputs() []ValueInfo {
	if s.takes != nil {
		return slices.Clone(s.takes)
	}
	return infos(s.prog.inputs)
}

// Outputs returns what Run gives, in the model's order.
func (s *Session) Outputs() []ValueInfo { return infos(s.prog.outputs) }

func infos(ps []port) []ValueInfo {
	out := make([]ValueInfo, len(ps))
	for i, p := range ps {
		out[i] = ValueInfo{Name: p.name, Type: p.typ, Optional: p.initial != nil, Doc: p.doc, Metadata: p.meta}
	}
	return out
}

// Metadata describes the model: producer, versions and metadata_props. The
// caller must not change it.
func (s *Session) Metadata() *onnx.Model { return s.model }

// Threads returns how many threads one Run may use.
func (s *Session) Threads() int { return s.opt.Threads }

// Close frees the model after the runs in progress have ended. Later calls
// return ErrClosed. Outputs of earlier runs stay valid.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.variantMu.Lock()
	s.variants, s.open = nil, nil
	s.variantMu.Unlock()
	s.reuse.end()
	s.states.Clear()
	s.plans.clear()
	s.prog, s.plans = &program{inputs: s.prog.inputs, outputs: s.prog.outputs}, planCache{}
	err := s.model.Close()
	if s.packed != nil {
		err = errors.Join(err, s.packed.Close())
	}
	return err
}

// Run computes the named outputs, or all outputs of the model if none is
// named. Any value of the model's main graph may be named. in maps input names to values; inputs
// are only read. The results belong to the caller. A cancelled ctx ends the
// run, between operators and inside long ones, with ctx's error.
func (s *Session) Run(ctx context.Context, in map[string]tensor.Value, outputs ...string) (map[string]tensor.Value, error) {
	return s.run(ctx, in, request{outputs: outputs})
}

// request is what a run is asked for.
type request struct {
	dest    map[string]tensor.Value // where results go; nil: to new tensors
	outputs []string                // without dest: the results; none: all
	profile *Profile                // nil: times are not taken
	donate  *donation               // nil: inputs are only read
	gate    string                  // with donate: the output that it checks, "": none
}

// RunInto is Run with the results written to the caller's tensors: out maps
// output names to tensors of the right element type and shape. Outputs that
// out does not name are not returned; where it names one with nil, such as one
// whose shape is not known before, it gets a new value. An output tensor may share memory with
// an input: it is then written when the run is done.
func (s *Session) RunInto(ctx context.Context, in, out map[string]tensor.Value) error {
	if err := checkInto(out); err != nil {
		return err
	}
	_, err := s.run(ctx, in, request{dest: out})
	return err
}

// checkInto checks where results are to be written.
func checkInto(out map[string]tensor.Value) error {
	if len(out) == 0 {
		return fmt.Errorf("runtime: RunInto without outputs")
	}
	for name, v := range out {
		if t, ok := v.(*tensor.Tensor); v != nil && (!ok || t == nil) {
			return fmt.Errorf("runtime: output %q: RunInto writes tensors, not %v", name, v)
		}
	}
	return nil
}

func (s *Session) run(ctx context.Context, in map[string]tensor.Value, q request) (res map[string]tensor.Value, err error) {
	dest, outputs := q.dest, q.outputs
	if ctx == nil {
		ctx = context.Background()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.gives(in) {
		v, err := s.overriding()
		if err != nil {
			return nil, err
		}
		return v.run(ctx, in, q)
	}
	var want []port
	missing := false
	if dest == nil {
		want, missing = s.ports(outputs)
	} else if missing = !s.has(dest); missing {
		outputs = slices.Collect(maps.Keys(dest))
	}
	if missing {
		v, err := s.variant(outputs)
		if err != nil {
			return nil, err
		}
		q.outputs = outputs
		return v.run(ctx, in, q)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := newFrame(s.states, s.prog, nil)
	if err := s.bind(f, in); err != nil {
		return nil, err // the frame is left to the garbage collector, as after any error
	}
	// A file that is truncated while it is mapped makes reads of it fault.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	r := &f.own
	f.main, f.run = true, r
	r.p, r.profile, r.depth = par.P{Ctx: ctx, Threads: s.opt.Threads}, q.profile, 0
	r.limit, r.out, r.reuse, r.live, r.given = s.opt.MaxMemory, s.out, s.reuse, 0, 0
	pl, sighted := s.plans.get(f.key)
	if pl != nil {
		r.plan, r.slab, r.live = pl, pl.slab(), int64(pl.size)
	} else if sighted {
		r.rec = &recording{}
	} else if s.began.CompareAndSwap(false, true) {
		if r.first = s.regionFor(f); r.first != nil {
			r.rec, r.live = &recording{}, int64(len(r.first.data))
		}
	}
	if dest != nil {
		r.donate = q.donate
		if err := r.setDest(s.prog, f.vals, dest, q.gate); err != nil {
			return nil, err
		}
	}
	if err := f.loop(ctx); err != nil {
		return nil, err
	}
	if dest != nil {
		if err = f.fill(dest); err == nil {
			err = f.deliver(dest)
		}
	} else {
		res, err = f.results(want)
	}
	if err != nil {
		return nil, err
	}
	if r.rec != nil {
		pl := makePlan(r.rec, s.prog.results)
		s.plans.put(f.key, pl)
		f.forget()
		clear(f.heads) // and what they are tensors over
		r.free, r.heads, r.rec, r.scratch.blocks = nil, nil, nil, nil
		n := int64(pl.size)
		if r.first != nil && len(r.first.data) >= pl.size {
			pl.slabs.Put(pl.over(r.first.data[:pl.size]))
			s.returned.Store(n)
		} else if n >= minReturned && n >= 2*s.returned.Load() {
			s.returned.Store(n)
			debug.FreeOSMemory() // the slab comes in the place of what the lists held
		}
	}
	f.forget()
	s.reuse.ran(r.given)
	if pl != nil {
		clear(r.slab.used)
		pl.slabs.Put(r.slab)
	}
	r.scratch.begin(nil)
	clear(r.dest)
	r.dest = r.dest[:0]
	r.p, r.profile, r.rec, r.plan, r.slab, r.first, r.donate = par.P{}, nil, nil, nil, nil, nil, nil
	s.states.Put(f)
	return res, nil
}

// has reports whether all names are outputs of the program.
func (s *Session) has(names map[string]tensor.Value) bool {
	n := 0
	for i := range s.prog.outputs {
		p := &s.prog.outputs[i]
		if _, ok := names[p.name]; ok {
			n++
		}
	}
	return n == len(names)
}

// ports returns the output ports with the given names (none: all), and whether
// a name is not an output of the program.
func (s *Session) ports(names []string) (ps []port, missing bool) {
	if len(names) == 0 {
		return s.prog.outputs, false
	}
next:
	for _, n := range names {
		for _, p := range s.prog.outputs {
			if p.name == n {
				ps = append(ps, p)
				continue next
			}
		}
		return nil, true
	}
	return ps, false
}

// setDest notes the caller's tensors that kernels may write directly; late are
// those that must be copied at the end because they share memory with an input
// or with each other. Of those that are inputs to be written over, kernels write
// what Version.InPlace allows.
func (r *run) setDest(p *program, vals []tensor.Value, dest map[string]tensor.Value, gate string) error {
	if r.late == nil {
		r.late = make([]bool, len(p.outputs))
	}
	r.dest = slices.Grow(r.dest[:0], len(p.names))[:len(p.names)]
	for i := range p.outputs {
		port := &p.outputs[i]
		if r.donate != nil && gate == port.name {
			r.donate.gate = port.slot
		}
		t, ok := dest[port.name].(*tensor.Tensor)
		if !ok {
			continue
		}
		if d := port.typ.DType; d != tensor.Undefined && d != t.DType() {
			return fmt.Errorf("runtime: output %q: tensor for it is %v, want %v", port.name, t, port.typ)
		}
		shared := r.dest[port.slot] != nil || bufferOf(t) != nil && bufferOf(t).kind != escaped
		for k := range p.inputs {
			if x, ok := vals[p.inputs[k].slot].(*tensor.Tensor); ok && overlap(x.Bytes(), t.Bytes()) {
				shared = true
			}
		}
		for k := range p.outputs[:i] {
			if other := r.dest[p.outputs[k].slot]; other != nil {
				shared = shared || overlap(other.Bytes(), t.Bytes())
			}
		}
		r.late[i] = shared || t.DType() == tensor.String
		if r.late[i] && r.donate != nil && t.DType() != tensor.String && r.donated(p, vals, t) {
			continue
		}
		if !r.late[i] {
			r.dest[port.slot] = t
		}
	}
	return nil
}

// results hands out the values of the given ports.
func (f *frame) results(want []port) (map[string]tensor.Value, error) {
	res := make(map[string]tensor.Value, len(want))
	for i := range want {
		p := &want[i]
		v := f.vals[p.slot]
		if v == nil {
			return nil, fmt.Errorf("runtime: internal error: output %q was not computed", p.name)
		}
		v = f.run.detach(v)
		if t, ok := v.(*tensor.Tensor); ok {
			v = f.leave(t)
		}
		res[p.name] = v
	}
	return res, nil
}

// minReturned is the size of a plan from which on it pays to return the memory of
// the runs before it. That takes some milliseconds: the plans of further input
// shapes do it only if they are much larger.
const minReturned = 8 << 20

// fill hands out the values of the outputs that dest has nil for.
func (f *frame) fill(dest map[string]tensor.Value) error {
	var want []port
	for i := range f.prog.outputs {
		if v, ok := dest[f.prog.outputs[i].name]; ok && v == nil {
			want = append(want, f.prog.outputs[i])
		}
	}
	if len(want) == 0 {
		return nil
	}
	res, err := f.results(want)
	maps.Copy(dest, res)
	return err
}

// deliver copies to the caller's tensors what kernels have not written there.
func (f *frame) deliver(dest map[string]tensor.Value) error {
	if d := f.run.donate; d != nil {
		if !d.passed {
			if err := d.ask(f); err != nil {
				return err
			}
		}
		d.begin(f)
	}
	type move struct {
		name     string
		to, from *tensor.Tensor
	}
	var few [8]move
	moves := few[:0]
	for i := range f.prog.outputs {
		p := &f.prog.outputs[i]
		to, ok := dest[p.name].(*tensor.Tensor)
		if !ok {
			continue
		}
		v := f.vals[p.slot]
		if v == nil {
			return fmt.Errorf("runtime: internal error: output %q was not computed", p.name)
		}
		from, ok := v.(*tensor.Tensor)
		if !ok {
			return fmt.Errorf("runtime: output %q is a %v: RunInto writes tensors", p.name, v)
		}
		if from == to || address(from.Bytes()) == address(to.Bytes()) && slices.Equal(from.Shape(), to.Shape()) && from.DType() == to.DType() && to.DType() != tensor.String {
			continue
		}
		if b := bufferOf(from); f.run.late[i] || b != nil && b.kind == donated { // what is written may be what another output still is
			from = from.Clone()
		}
		moves = append(moves, move{p.name, to, from})
	}
	for _, m := range moves {
		if err := m.to.CopyFrom(m.from); err != nil {
			return fmt.Errorf("runtime: output %q: tensor for it is %v, the result %v", m.name, m.to, m.from)
		}
	}
	return nil
}
