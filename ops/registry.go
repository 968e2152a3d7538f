package ops

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// Set is a collection of operators. It is safe for concurrent use.
type Set struct {
	ops    map[string]*Op
	parent *Set
}

var pending []*Op

// Private is the domain of the operators that rewrites write for one process
// (channels-last convolutions and the like). Their meaning may change with
// every version, so they are refused in models that come from outside, and
// custom operators cannot be in it.
const Private = "x"

// register is called from the init function of each operator's file.
func register(o *Op) { pending = append(pending, o) }

var standardBuilt atomic.Bool

var standard = sync.OnceValue(func() *Set {
	standardBuilt.Store(true)
	s, err := newSet(nil, pending)
	if err != nil {
		panic(err) // a bad table in this package: every test run shows it
	}
	return s
})

// Standard returns the operators of this package; those of training only if RegisterTraining was called.
func Standard() *Set { return standard() }

// NewSet returns the standard operators with custom ones added. A custom
// operator takes the place of a standard one of the same domain and name.
func NewSet(custom ...*Op) (*Set, error) {
	if len(custom) == 0 {
		return Standard(), nil
	}
	return newSet(Standard(), custom)
}

func newSet(parent *Set, list []*Op) (*Set, error) {
	s := &Set{ops: make(map[string]*Op, len(list)), parent: parent}
	for _, o := range list {
		key := opKey(o.Domain, o.Name)
		switch {
		case o.Name == "" || len(o.Versions) == 0:
			return nil, fmt.Errorf("ops: operator %q: no name or no versions", key)
		case parent != nil && o.Domain == Private:
			return nil, fmt.Errorf("ops: operator %q: the domain %q is reserved", key, Private)
		case s.ops[key] != nil:
			return nil, fmt.Errorf("ops: operator %q is registered twice", key)
		}
		sort.Slice(o.Versions, func(i, j int) bool { return o.Versions[i].Since < o.Versions[j].Since })
		for i, v := range o.Versions {
			switch {
			case v.Since < 1 || i > 0 && v.Since == o.Versions[i-1].Since:
				return nil, fmt.Errorf("ops: operator %q: version %d", key, v.Since)
			case v.In.Min > v.In.Max || v.Out.Min > v.Out.Max || v.Out.Max == 0:
				return nil, fmt.Errorf("ops: operator %q, version %d: arity %v to %v", key, v.Since, v.In, v.Out)
			case v.Build != nil && v.Infer == nil || v.Build == nil && v.Expand == nil:
				return nil, fmt.Errorf("ops: operator %q, version %d: incomplete", key, v.Since)
			}
		}
		s.ops[key] = o
	}
	return s, nil
}

// NormalDomain maps "ai.onnx" to "", the other spelling of the default domain.
func NormalDomain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

func opKey(domain, name string) string { return NormalDomain(domain) + "." + name }

// Get returns an operator, or nil.
func (s *Set) Get(domain, name string) *Op {
	// The key as opKey makes it, without an allocation.
	var buf [64]byte
	key := append(append(append(buf[:0], NormalDomain(domain)...), '.'), name...)
	for ; s != nil; s = s.parent {
		if o := s.ops[string(key)]; o != nil {
			return o
		}
	}
	return nil
}

// foreign says of domains whose operators depend on a machine or a library
// what a model that has them is, and what to do.
var foreign = map[string]string{
	"com.microsoft.nchwc":    "the model was saved by ONNX Runtime in the layout of one machine; save it at level extended, or run the original",
	"com.ms.internal.nhwc":   "the model was saved by ONNX Runtime for one execution provider; save it for the CPU, or run the original",
	"ai.onnx.contrib":        "an operator of onnxruntime-extensions; register it as a custom operator, or export without it",
	"org.pytorch.aten":       "an ATen operator that the exporter left as it was; export without the fall-back to ATen",
	"com.microsoft.dml":      "the model was saved by ONNX Runtime for DirectML; run the original",
	"com.microsoft.internal": "the model was saved by ONNX Runtime in the middle of its optimisation; run the original",
}

// Lookup returns the version of an operator that a model at opset means.
func (s *Set) Lookup(domain, name string, opset int) (*Op, *Version, error) {
	o := s.Get(domain, name)
	full := func() string {
		if domain != "" {
			return domain + "." + name
		}
		return name
	}
	if o == nil {
		if why := foreign[domain]; why != "" {
			return nil, nil, fmt.Errorf("%w: operator %s: %s", ErrUnsupported, full(), why)
		}
		return nil, nil, fmt.Errorf("%w: operator %s", ErrUnsupported, full())
	}
	for i := len(o.Versions) - 1; i >= 0; i-- {
		if v := &o.Versions[i]; v.Since <= opset {
			return o, v, nil
		}
	}
	return nil, nil, fmt.Errorf("%w: operator %s at opset %d (known since %d)", ErrUnsupported, full(), opset, o.Versions[0].Since)
}

// All returns the operators in order of domain and name.
func (s *Set) All() []*Op {
	seen := map[string]bool{}
	var out []*Op
	for ; s != nil; s = s.parent {
		for k, o := range s.ops {
			if !seen[k] {
				seen[k] = true
				out = append(out, o)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Op) int {
		if c := strings.Compare(a.Domain, b.Domain); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}
