package runtime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// bind puts the caller's inputs in the program's order, checks them against
// the declared types and binds the symbolic sizes. f.key then identifies the shapes.
func (s *Session) bind(f *frame, in map[string]tensor.Value) error {
	if !s.bindPlain(f, in) {
		return s.bindAny(f, in)
	}
	return nil
}

// bindPlain is bind for what runs see every day; false says that bindAny must look.
func (s *Session) bindPlain(f *frame, in map[string]tensor.Value) bool {
	p := s.prog
	if !p.plain || len(in) > len(p.inputs) {
		return false
	}
	f.symbols = slices.Grow(f.symbols[:0], p.symbols)[:p.symbols]
	for i := range f.symbols {
		f.symbols[i] = -1
	}
	f.key = f.key[:0]
	given := 0
	for i := range p.inputs {
		port := &p.inputs[i]
		v := in[port.name]
		if v == nil {
			if port.initial == nil {
				return false
			}
			f.vals[port.slot] = port.initial
			f.key = append(f.key, keyAbsent)
			continue
		}
		given++
		t, ok := v.(*tensor.Tensor)
		if !ok || port.typ.DType != tensor.Undefined && t.DType() != port.typ.DType {
			return false
		}
		shape := t.Shape()
		f.key = append(append(f.key, shape...), keyEnd)
		if port.check != nil {
			if len(shape) != len(port.check) {
				return false
			}
			for k, c := range port.check {
				switch {
				case c.size >= 0:
					if shape[k] != c.size {
						return false
					}
				case c.symbol >= 0 && !port.takes(shape[k]):
					if have := f.symbols[c.symbol]; have >= 0 && have != shape[k] {
						return false
					}
					f.symbols[c.symbol] = shape[k]
				}
			}
		}
		f.vals[port.slot] = v
	}
	return given == len(in)
}

// Marks in the key of a run's shapes.
const (
	keyEnd    = -1
	keyAbsent = -2
	keyOther  = -3
)

func (s *Session) bindAny(f *frame, in map[string]tensor.Value) error {
	p := s.prog
	var names map[string]int
	f.key = f.key[:0]
	given := 0
	for i := range p.inputs {
		port := &p.inputs[i]
		v, ok := in[port.name]
		if ok {
			given++
		}
		if !ok || v == nil {
			if port.initial == nil {
				return fmt.Errorf("runtime: %sinput %q (%v) is missing; the model takes %s", s.prefix(), port.name, port.typ, portNames(p.inputs))
			}
			f.vals[port.slot] = port.initial
			f.key = append(f.key, keyAbsent)
			continue
		}
		if t, ok := v.(*tensor.Tensor); ok {
			f.key = append(append(f.key, t.Shape()...), keyEnd)
			if names == nil {
				names = map[string]int{}
			}
			if err := checkTensor(t, port.typ, names, port.takes); err != nil {
				return fmt.Errorf("runtime: %sinput %q is %v, want %v: %w", s.prefix(), port.name, t, port.typ, err)
			}
		} else {
			f.key = append(f.key, keyOther)
			if kind := onnx.TypeOf(v).Kind; port.typ.Kind != onnx.UnknownKind && kind != port.typ.Kind {
				return fmt.Errorf("runtime: %sinput %q is a %v, want %v", s.prefix(), port.name, v, port.typ)
			}
		}
		f.vals[port.slot] = v
	}
	if given < len(in) {
		for name := range in {
			if !s.optional[name] && !slices.ContainsFunc(p.inputs, func(p port) bool { return p.name == name }) {
				return fmt.Errorf("runtime: %sthere is no input %q; the model takes %s", s.prefix(), name, portNames(p.inputs))
			}
		}
	}
	return nil
}

func (s *Session) prefix() string {
	if s.prog.model == "" {
		return ""
	}
	return s.prog.model + ": "
}

func portNames(ps []port) string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = strconv.Quote(p.name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// checkTensor holds t against the declared type and binds the names of its
// symbolic dimensions; a name stands for one size everywhere, except for those that takes.
func checkTensor(t *tensor.Tensor, want onnx.Type, names map[string]int, takes func(int) bool) error {
	switch {
	case want.Kind == onnx.UnknownKind:
		return nil
	case want.Kind == onnx.OptionalKind && want.Elem != nil:
		return checkTensor(t, *want.Elem, names, takes)
	case want.Kind != onnx.TensorKind:
		return fmt.Errorf("another kind of value")
	case want.DType != tensor.Undefined && t.DType() != want.DType:
		return fmt.Errorf("another element type")
	case !want.Ranked:
		return nil
	case len(want.Dims) != t.Rank():
		return fmt.Errorf("rank %d, want %d", t.Rank(), len(want.Dims))
	}
	for i, d := range want.Dims {
		got := t.Dim(i)
		if n, ok := d.Size(); ok {
			if n != got {
				return fmt.Errorf("dimension %d is %d, want %d", i, got, n)
			}
			continue
		}
		name := d.Expr()
		if name == "" || takes(got) {
			continue
		}
		if n, ok := names[name]; ok && n != got {
			return fmt.Errorf("dimension %d (%s) is %d, but %d elsewhere", i, name, got, n)
		}
		names[name] = got
	}
	return nil
}

// planCache keeps the plans of the input shapes seen last. A plan is made when
// shapes come a second time: a growing cache shows each of its shapes once.
type planCache struct {
	mu   sync.Mutex
	list []planEntry // most recently used last
}

type planEntry struct {
	key  []int
	plan *plan // nil: seen once
}

const maxPlans = 16

// get returns the plan for key, if there is one, and whether key was seen before.
func (c *planCache) get(key []int) (*plan, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.list) - 1
	for i := last; i >= 0; i-- {
		if e := c.list[i]; slices.Equal(e.key, key) {
			copy(c.list[i:], c.list[i+1:])
			c.list[last] = e
			return e.plan, true
		}
	}
	if len(c.list) >= maxPlans {
		c.list = slices.Delete(c.list, 0, 1)
	}
	c.list = append(c.list, planEntry{key: slices.Clone(key)})
	return nil, false
}

func (c *planCache) put(key []int, p *plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		if slices.Equal(c.list[i].key, key) {
			c.list[i].plan = p
		}
	}
}

// clear gives up the memory that plans hold for later runs.
func (c *planCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.list {
		if e.plan != nil {
			e.plan.slabs.Clear()
		}
	}
}
