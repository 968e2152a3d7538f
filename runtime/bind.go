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
// the declared types and binds the symbolic sizes. key identifies the shapes.
func (s *Session) bind(in map[string]tensor.Value) (vals []tensor.Value, key string, err error) {
	p := s.prog
	vals = make([]tensor.Value, len(p.inputs))
	var k strings.Builder
	var names map[string]int
	given := 0
	for i, port := range p.inputs {
		v, ok := in[port.name]
		if ok {
			given++
		}
		if !ok || v == nil {
			if port.initial == nil {
				return nil, "", fmt.Errorf("runtime: %sinput %q (%v) is missing; the model takes %s", s.prefix(), port.name, port.typ, portNames(p.inputs))
			}
			vals[i] = port.initial
			k.WriteByte('-')
			continue
		}
		if t, ok := v.(*tensor.Tensor); ok {
			for _, d := range t.Shape() {
				k.WriteString(strconv.Itoa(d))
				k.WriteByte(',')
			}
			k.WriteByte(';')
			if names == nil {
				names = map[string]int{}
			}
			if err := checkTensor(t, port.typ, names); err != nil {
				return nil, "", fmt.Errorf("runtime: %sinput %q is %v, want %v: %w", s.prefix(), port.name, t, port.typ, err)
			}
		} else if kind := onnx.TypeOf(v).Kind; port.typ.Kind != onnx.UnknownKind && kind != port.typ.Kind {
			return nil, "", fmt.Errorf("runtime: %sinput %q is a %v, want %v", s.prefix(), port.name, v, port.typ)
		}
		vals[i] = v
	}
	if given < len(in) {
		for name := range in {
			if !slices.ContainsFunc(p.inputs, func(p port) bool { return p.name == name }) {
				return nil, "", fmt.Errorf("runtime: %sthere is no input %q; the model takes %s", s.prefix(), name, portNames(p.inputs))
			}
		}
	}
	return vals, k.String(), nil
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
// symbolic dimensions; a name stands for one size everywhere.
func checkTensor(t *tensor.Tensor, want onnx.Type, names map[string]int) error {
	switch {
	case want.Kind == onnx.UnknownKind:
		return nil
	case want.Kind == onnx.OptionalKind && want.Elem != nil:
		return checkTensor(t, *want.Elem, names)
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
		if name == "" {
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
	key  string
	plan *plan // nil: seen once
}

const maxPlans = 16

// get returns the plan for key, if there is one, and whether key was seen before.
func (c *planCache) get(key string) (*plan, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.list {
		if e.key == key {
			c.list = append(append(c.list[:i:i], c.list[i+1:]...), e)
			return e.plan, true
		}
	}
	if len(c.list) >= maxPlans {
		c.list = slices.Delete(c.list, 0, 1)
	}
	c.list = append(c.list, planEntry{key: key})
	return nil, false
}

func (c *planCache) put(key string, p *plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		if c.list[i].key == key {
			c.list[i].plan = p
		}
	}
}
