package runtime

import (
	"fmt"
	"sync"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// compiler turns a graph and the graphs nested in it into programs.
type compiler struct {
	model  string
	set    *ops.Set
	p      par.P
	packs  *packCache
	bf16   bool // see Options.BFloat16
	jobs   []buildJob
	bodies map[*onnx.Graph]*program
}

// buildJob is a kernel to be built. They are independent of each other, and
// packing weights is most of the work of opening a model, so they are built in
// parallel.
type buildJob struct {
	node *onnx.Node
	prog *program
	at   int
}

// scope is the slot table of one graph while it is compiled.
type scope struct {
	outer *scope
	prog  *program
	slot  map[*onnx.Value]int
}

// compile returns the program of g. defaults holds the values of inputs that
// the caller may leave out.
func (c *compiler) compile(g *onnx.Graph, defaults map[*onnx.Value]tensor.Value) (*program, error) {
	c.bodies = map[*onnx.Graph]*program{}
	p, err := c.graph(g, nil, defaults)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(c.jobs))
	c.p.For(len(c.jobs), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			errs[i] = c.build(c.jobs[i])
		}
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	p.checks(g)
	p.dropUnread()
	for _, b := range c.bodies {
		b.dropUnread()
	}
	return p, nil
}

func (s *scope) add(v *onnx.Value) int {
	p := s.prog
	i := len(p.names)
	s.slot[v] = i
	p.names, p.types, p.keep = append(p.names, v.Name), append(p.types, v.Type), append(p.keep, false)
	return i
}

// get returns the slot of v, which may be a constant of any graph around or a
// value captured from one.
func (s *scope) get(v *onnx.Value) (int, error) {
	if v == nil {
		return -1, nil
	}
	if i, ok := s.slot[v]; ok {
		return i, nil
	}
	switch {
	case v.Const != nil && v.From == nil:
		i := s.add(v)
		s.prog.consts = append(s.prog.consts, constant{i, v.Const})
		return i, nil
	case v.Sparse != nil && v.From == nil:
		return 0, fmt.Errorf("internal error: sparse initializer %q was not made dense", v.Name)
	case s.outer == nil:
		return 0, fmt.Errorf("%w: value %q is read before it is defined", onnx.ErrInvalid, v.Name)
	}
	from, err := s.outer.get(v)
	if err != nil {
		return 0, err
	}
	i := s.add(v)
	s.prog.captures = append(s.prog.captures, capture{from, i})
	return i, nil
}

func (c *compiler) graph(g *onnx.Graph, outer *scope, defaults map[*onnx.Value]tensor.Value) (*program, error) {
	p := &program{model: c.model}
	s := &scope{outer: outer, prog: p, slot: map[*onnx.Value]int{}}
	for _, v := range g.Inputs {
		p.inputs = append(p.inputs, port{name: v.Name, slot: s.add(v), typ: v.Type, initial: defaults[v], meta: v.Metadata, doc: v.Doc})
	}
	p.code = make([]instr, len(g.Nodes))
	for i, n := range g.Nodes {
		if err := c.node(&p.code[i], n, s, i); err != nil {
			return nil, err
		}
	}
	for _, v := range g.Outputs {
		i, err := s.get(v)
		if err != nil {
			return nil, fmt.Errorf("graph %q: output: %w", g.Name, err)
		}
		p.outputs = append(p.outputs, port{name: v.Name, slot: i, typ: v.Type, meta: v.Metadata, doc: v.Doc})
		p.keep[i] = true
	}
	p.liveness()
	p.number()
	return p, nil
}

func (c *compiler) node(in *instr, n *onnx.Node, s *scope, at int) error {
	in.name, in.op = n.Name, n.Op
	if n.Domain != "" {
		in.op = n.Domain + "." + n.Op
	}
	for _, v := range n.Out {
		if in.name == "" && v != nil {
			in.name = v.Name
		}
	}
	fail := func(err error) error {
		return &NodeError{Model: c.model, Path: []string{in.name}, Op: in.op, Err: err}
	}
	for _, v := range n.In {
		i, err := s.get(v)
		if err != nil {
			return fail(err)
		}
		in.in = append(in.in, i)
	}
	for _, b := range n.Bodies() {
		in.bodies = true
		p, err := c.graph(b, s, nil)
		if err != nil {
			return in.nodeError(s.prog, nil, err)
		}
		c.bodies[b] = p
		for _, k := range p.captures {
			in.captured = append(in.captured, k.from)
		}
	}
	for _, v := range n.Out {
		if v == nil {
			in.out = append(in.out, -1)
			continue
		}
		if _, ok := s.slot[v]; ok {
			return fail(fmt.Errorf("%w: value %q is defined twice", onnx.ErrInvalid, v.Name))
		}
		in.out = append(in.out, s.add(v))
	}
	c.jobs = append(c.jobs, buildJob{node: n, prog: s.prog, at: at})
	return nil
}

// build makes the kernel of one instruction.
func (c *compiler) build(j buildJob) (err error) {
	in := &j.prog.code[j.at]
	defer func() {
		if r := recover(); r != nil {
			err = ops.Recovered(r)
		}
		if err != nil {
			err = &NodeError{Model: c.model, Path: []string{in.name}, Op: in.op, Err: err}
		}
	}()
	env := ops.BuildEnv{
		Set: c.set, BFloat16: c.bf16,
		Body: func(g *onnx.Graph) (ops.Body, error) {
			p := c.bodies[g]
			if p == nil {
				return nil, fmt.Errorf("internal error: nested graph %q was not compiled", g.Name)
			}
			return newBody(p), nil
		},
		Pack: func(v *onnx.Value, layout string, pack func() (any, error)) (any, error) {
			defer release(v.Const) // at once, so that source and packed form are not both in memory for all weights
			return c.packs.get(v, layout, pack)
		},
		Packed: func(i int) {
			if c := j.node.In[i].Const; c != nil {
				in.packed = append(in.packed, packedInput{i, c.DType(), c.Shape(), len(c.Bytes())})
			}
			in.in[i] = -1
		},
	}
	k, v, err := ops.Build(j.node, env)
	if err != nil {
		return err
	}
	in.kernel, in.reuse, in.beside = k, v.InPlace, v.Beside
	return nil
}

// dropUnread forgets constants that every reader has packed: their memory goes
// back, or, for a mapped file, is not read in again.
func (p *program) dropUnread() {
	read := make([]bool, len(p.names))
	for i := range p.code {
		for _, s := range p.code[i].in {
			if s >= 0 {
				read[s] = true
			}
		}
		for _, s := range p.code[i].captured {
			read[s] = true
		}
	}
	kept := p.consts[:0]
	for _, k := range p.consts {
		if read[k.slot] || p.keep[k.slot] {
			kept = append(kept, k)
		}
	}
	p.consts = kept
}

// packCache holds constants in kernels' own forms, by value and layout.
type packCache struct {
	file *packFile // may be nil
	mu   sync.Mutex
	m    map[packKey]*packEntry
}

type packKey struct {
	v      *onnx.Value
	layout string
}

type packEntry struct {
	once sync.Once
	data any
	err  error
}

func (c *packCache) get(v *onnx.Value, layout string, pack func() (any, error)) (any, error) {
	c.mu.Lock()
	if c.m == nil {
		c.m = map[packKey]*packEntry{}
	}
	e := c.m[packKey{v, layout}]
	if e == nil {
		e = &packEntry{}
		c.m[packKey{v, layout}] = e
	}
	c.mu.Unlock()
	e.once.Do(func() {
		if c.file != nil && v.Const != nil {
			e.data, e.err = c.file.get(v.Const, layout, pack)
		} else {
			e.data, e.err = pack()
		}
	})
	return e.data, e.err
}
