package runtime

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// Report says what Open did with the model.
type Report = optimize.Report

// Report returns what the optimiser did.
func (s *Session) Report() *Report { return &s.report }

// compile makes the session's program from m, which it changes.
func (s *Session) compile(m *onnx.Model) error {
	name := ""
	if m.Path != "" {
		name = filepath.Base(m.Path)
	}
	fail := func(err error) error {
		if name != "" && !strings.Contains(err.Error(), name) {
			return fmt.Errorf("%s: %w", name, err)
		}
		return err
	}
	if m.Graph == nil {
		return fail(fmt.Errorf("%w: no graph", onnx.ErrInvalid))
	}
	defaults, err := prepare(m)
	if err != nil {
		return fail(err)
	}
	if len(defaults) > 0 && !s.overridden {
		s.takes, s.optional = fix(m.Graph, defaults)
		defaults = nil
	}
	p := par.P{Threads: s.opt.Threads}
	if err := optimize.Inline(m, s.set); err != nil {
		return fail(err)
	}
	before := initializers(m.Graph)
	rep, err := optimize.Run(m, s.opt.Level, optimize.Options{Set: s.set, Disable: s.opt.Disable, Dims: s.opt.Dims, Private: s.opt.Private, P: p})
	if err != nil {
		return fail(err)
	}
	releaseReplaced(before, m.Graph)
	if rep != nil {
		s.report = *rep
	}
	if s.opt.Logger != nil {
		s.opt.Logger.Debug("model optimised", "model", name, "nodes", len(m.Graph.Nodes))
	}
	byValue := make(map[*onnx.Value]tensor.Value, len(defaults))
	for _, v := range m.Graph.Inputs {
		if d := defaults[v.Name]; d != nil {
			byValue[v] = d
		}
	}
	c := &compiler{model: name, set: s.set, p: p, packs: &packCache{}, bf16: s.opt.BFloat16}
	if s.opt.PackFile != "" {
		if c.packs.file, err = openPackFile(s.opt.PackFile); err != nil {
			s.warn("the file of packed weights cannot be used", err)
		}
		s.packed = c.packs.file.mapping
	}
	if s.prog, err = c.compile(m.Graph, byValue); err != nil {
		if s.packed != nil {
			err = errors.Join(err, s.packed.Close())
		}
		return fail(err)
	}
	if c.packs.file != nil {
		if err := c.packs.file.save(); err != nil {
			s.warn("the file of packed weights cannot be written", err)
		}
	}
	c.releaseUnread(m.Graph, s.prog)
	if err := cpu.Lost(); err != nil && s.opt.Logger != nil {
		warnLost.Do(func() { s.opt.Logger.Warn("slower instructions are used", "because", err, "level", cpu.Level()) })
	}
	return nil
}

func (s *Session) warn(text string, err error) {
	if s.opt.Logger != nil {
		s.opt.Logger.Warn(text, "because", err)
	}
}

var warnLost sync.Once

// prepare makes inputs with defaults inputs only, and sparse initializers
// dense. Before IR version 4 every initializer had to be listed among the
// inputs; such models mean them as constants.
func prepare(m *onnx.Model) (map[string]tensor.Value, error) {
	defaults := map[string]tensor.Value{}
	g := m.Graph
	if m.IRVersion < 4 {
		g.Inputs = slices.DeleteFunc(g.Inputs, func(v *onnx.Value) bool {
			if v.Const != nil && !slices.Contains(g.Consts, v) {
				g.Consts = append(g.Consts, v)
			}
			return v.Const != nil
		})
	}
	for _, v := range g.Inputs {
		if v.Const != nil {
			defaults[v.Name] = v.Const
			if v.Type.Kind == onnx.UnknownKind {
				v.Type = onnx.TypeOf(v.Const)
			}
			v.Const = nil
			g.Consts = slices.DeleteFunc(g.Consts, func(w *onnx.Value) bool { return w == v })
		}
	}
	var err error
	g.Walk(func(h *onnx.Graph) {
		for _, v := range h.Consts {
			if v.Sparse != nil && v.Const == nil && err == nil {
				if v.Const, err = v.Sparse.Dense(); err != nil {
					err = fmt.Errorf("sparse initializer %q: %w", v.Name, err)
				}
				v.Sparse = nil
			}
		}
	})
	return defaults, err
}

// fix makes constants of the inputs that have defaults, which few callers give, and returns
// all inputs, and of those that were fixed the names.
func fix(g *onnx.Graph, defaults map[string]tensor.Value) (all []ValueInfo, fixed map[string]bool) {
	fixed = map[string]bool{}
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v *onnx.Value) bool {
		t, ok := defaults[v.Name].(*tensor.Tensor)
		all = append(all, ValueInfo{Name: v.Name, Type: v.Type, Optional: ok, Doc: v.Doc, Metadata: v.Metadata})
		if !ok {
			return false
		}
		fixed[v.Name] = true
		v.Const = t
		g.Consts = append(g.Consts, v)
		return true
	})
	return all, fixed
}

// gives reports whether in has a value for an input that was fixed.
func (s *Session) gives(in map[string]tensor.Value) bool {
	if len(s.optional) > 0 {
		for name, v := range in {
			if v != nil && s.optional[name] {
				return true
			}
		}
	}
	return false
}

// overriding returns a session over the same model in which defaults can be overridden.
func (s *Session) overriding() (*Session, error) {
	s.variantMu.Lock()
	defer s.variantMu.Unlock()
	var err error
	if s.open == nil {
		s.open, err = s.again(s.model.Clone(), true)
	}
	return s.open, err
}

// again returns a session with other outputs or inputs.
func (s *Session) again(m *onnx.Model, overridden bool) (*Session, error) {
	o := s.opt
	o.PackFile = "" // which is that of the whole model
	v := emptySession(o, s.set, s.model)
	v.overridden = overridden
	if err := v.compile(m); err != nil {
		return nil, err
	}
	return v, nil
}

// variant returns a session over the same model whose outputs are the named
// values: the optimiser must know of them, or it may remove them.
func (s *Session) variant(names []string) (*Session, error) {
	key := strings.Join(slices.Sorted(maps.Keys(set(names))), "\x00")
	s.variantMu.Lock()
	defer s.variantMu.Unlock()
	if v := s.variants[key]; v != nil {
		return v, nil
	}
	m := s.model.Clone()
	values := map[string]*onnx.Value{}
	for _, v := range slices.Concat(m.Graph.Inputs, m.Graph.Consts) {
		values[v.Name] = v
	}
	for _, n := range m.Graph.Nodes {
		for _, v := range n.Out {
			if v != nil {
				values[v.Name] = v
			}
		}
	}
	for _, v := range m.Graph.Outputs {
		values[v.Name] = v
	}
	m.Graph.Outputs = nil
	for _, name := range slices.Sorted(maps.Keys(set(names))) {
		v := values[name]
		if v == nil {
			return nil, fmt.Errorf("runtime: %sthere is no value %q in the main graph; the outputs are %s", s.prefix(), name, portNames(s.prog.outputs))
		}
		m.Graph.Outputs = append(m.Graph.Outputs, v)
	}
	v, err := s.again(m, s.overridden)
	if err != nil {
		return nil, err
	}
	if s.variants == nil || len(s.variants) >= maxVariants {
		s.variants = map[string]*Session{}
	}
	s.variants[key] = v
	return v, nil
}

const maxVariants = 8

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
