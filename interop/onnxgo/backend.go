package onnxgo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gneiss-run/gneiss"
	gonnx "github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend"
	"gonum.org/v1/gonum/graph"
	gorgonia "gorgonia.org/tensor"
)

var _ backend.ComputationBackend = (*Backend)(nil)

// DefaultOpset is the version of ai.onnx that operators are taken from unless
// Options.Opsets says otherwise: the one that onnx-go was written for.
const DefaultOpset = 9

// Options says how a Backend runs a model. The zero value is right for models of opset 9.
type Options struct {
	// Opsets maps a domain ("" is ai.onnx) to the version that the model declares: onnx-go
	// does not pass it on. Function Opsets reads it from a file. Without an entry it is
	// DefaultOpset for ai.onnx and the newest version for other domains.
	Opsets map[string]int
	// Session is how sessions are opened.
	Session gneiss.Options
}

// Opsets returns the versions that a model file declares, for Options.
func Opsets(model []byte) (map[string]int, error) {
	m, err := gonnx.Decode(model, gonnx.DecodeOptions{})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return maps.Clone(m.Opsets), nil
}

// Backend is a graph that onnx-go decodes a model into, and that runs it. It takes one model.
// It is not safe for concurrent use, except that several Backends may be used at a time; a
// gneiss.Session can be shared.
//
// What onnx-go's interfaces have no error result for is returned by the next ApplyOperation
// or Run.
type Backend struct {
	opt        Options
	set        *ops.Set
	err        error
	nextID     int64
	linked     bool // an edge was set or an operator applied
	order      []*Node
	byID       map[int64]*Node
	names      map[string]*value
	links      map[int64]*links
	edges      map[[2]int64]*edge
	operations []*operation

	stale   bool // the plan does not match the graph
	plan    *plan
	session *runtime.Session
	runs    int
	feed    map[string]tensor.Value // of the last run
}

// operation is one call of ApplyOperation.
type operation struct {
	name, domain string
	opset        int
	version      *ops.Version
	attrs        gonnx.Attrs
	outs         []*value
}

// NewBackend returns a backend without a model. What is wrong with the options is reported by
// the first ApplyOperation or Run.
func NewBackend(o Options) *Backend {
	b := &Backend{
		opt: o, byID: map[int64]*Node{}, names: map[string]*value{},
		links: map[int64]*links{}, edges: map[[2]int64]*edge{}, stale: true,
	}
	opsets := map[string]int{"": DefaultOpset}
	for d, v := range o.Opsets {
		opsets[ops.NormalDomain(d)] = v
	}
	b.opt.Opsets = opsets
	b.set, b.err = ops.NewSet(o.Session.Operators...)
	return b
}

// fail keeps the first error.
func (b *Backend) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// String names the node for messages.
func (n *Node) String() string {
	if n.v.name != "" {
		return fmt.Sprintf("%q", n.v.name)
	}
	return fmt.Sprintf("node %d", n.id)
}

// ApplyOperation makes results the outputs of an operator, whose inputs are the operands that
// edges give to each of them. An operator or attribute that Gneiss does not have is an
// *onnx.ErrNotImplemented, not wrapped.
func (b *Backend) ApplyOperation(o onnx.Operation, results ...graph.Node) error {
	b.linked = true
	if b.err != nil {
		return b.err
	}
	op := &operation{name: o.Name}
	var err error
	if op.domain, op.opset, op.version, err = b.lookup(o.Name); err != nil {
		return &onnx.ErrNotImplemented{Operator: o.Name, Message: err.Error()}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Attributes)) {
		v, err := attribute(o.Attributes[name])
		if err != nil {
			return &onnx.ErrNotImplemented{Operator: o.Name, AttributeName: name, AttributeValue: o.Attributes[name], Message: err.Error()}
		}
		op.attrs = append(op.attrs, gonnx.Attr{Name: name, Value: v})
	}
	given := false
	for _, gn := range results {
		n, err := b.own(gn)
		if err != nil {
			return err
		}
		switch {
		case !n.added:
			return fmt.Errorf("onnxgo: operator %s: result %s is not in the graph", o.Name, n)
		case n.v.absent:
			op.outs = append(op.outs, nil)
			continue
		case n.v.producer != nil || slices.Contains(op.outs, n.v):
			return fmt.Errorf("onnxgo: operator %s: %s is the result of two operators", o.Name, n)
		}
		given = true
		op.outs = append(op.outs, n.v)
	}
	if !given {
		return fmt.Errorf("onnxgo: operator %s has no result", o.Name)
	}
	for _, v := range op.outs {
		if v != nil {
			v.producer = op
		}
	}
	b.operations = append(b.operations, op)
	b.stale = true
	return nil
}

// lookup finds the operator that a model means by name: onnx-go does not tell its domain.
func (b *Backend) lookup(name string) (domain string, opset int, v *ops.Version, err error) {
	if b.set.Get("", name) != nil {
		opset = b.opt.Opsets[""]
		_, v, err = b.set.Lookup("", name, opset)
		return "", opset, v, err
	}
	var found []*ops.Op
	for _, o := range b.set.All() {
		if o.Name == name && o.Domain != ops.Private {
			found = append(found, o)
		}
	}
	if len(found) > 1 { // those the caller named come first
		named := slices.DeleteFunc(slices.Clone(found), func(o *ops.Op) bool { return b.opt.Opsets[o.Domain] == 0 })
		if len(named) == 1 {
			found = named
		}
	}
	switch len(found) {
	case 0:
		return "", 0, nil, errors.New("no such operator")
	case 1:
		o := found[0]
		opset, ok := b.opt.Opsets[o.Domain]
		if !ok {
			opset = o.Versions[len(o.Versions)-1].Since
		}
		_, v, err = b.set.Lookup(o.Domain, name, opset)
		return o.Domain, opset, v, err
	}
	return "", 0, nil, fmt.Errorf("domains %q and %q have it: name one in Options.Opsets", found[0].Domain, found[1].Domain)
}

func attribute(v any) (any, error) {
	switch v := v.(type) {
	case float32, int64, string, []float32, []int64, []string:
		return v, nil
	case gorgonia.Tensor:
		return FromGorgonia(v)
	case struct{}:
		return nil, errors.New("the file does not tell its type, and onnx-go not its value")
	}
	return nil, fmt.Errorf("value of type %T", v)
}

// Run computes the results of the model from the tensors of its nodes. The first Run compiles
// the model; later ones reuse that unless graph, element types or initializers changed, or a
// size of an input changed that was constant so far.
//
// What Gneiss does not support is an *onnx.ErrNotImplemented, not wrapped.
func (b *Backend) Run() error { return b.RunContext(context.Background()) }

// RunContext is Run with a context, whose end ends the run with the context's error.
func (b *Backend) RunContext(ctx context.Context) error {
	if err := b.run(ctx); err != nil {
		return notImplemented(err)
	}
	return nil
}

func (b *Backend) run(ctx context.Context) error {
	if b.err != nil {
		return b.err
	}
	if b.stale {
		if err := b.replan(); err != nil {
			return err
		}
	}
	feed := make(map[string]tensor.Value, len(b.plan.inputs))
	for _, in := range b.plan.inputs {
		if in.v.tensor == nil {
			return fmt.Errorf("onnxgo: input %q has no tensor", in.v.key)
		}
		t, err := FromGorgonia(in.v.tensor)
		if err != nil {
			return fmt.Errorf("onnxgo: input %q: %w", in.v.key, err)
		}
		feed[in.v.key] = t
		if in.widen(t) {
			b.closeSession()
		}
	}
	if b.session == nil {
		s, err := b.plan.open(b.opt)
		if err != nil {
			return err
		}
		b.session = s
	}
	names := make([]string, len(b.plan.wanted))
	for i, v := range b.plan.wanted {
		names[i] = v.key
	}
	out, err := b.session.Run(ctx, feed, names...)
	if err != nil {
		return err
	}
	converted := make([]gorgonia.Tensor, len(names))
	for i, name := range names {
		if converted[i], err = toResult(name, out[name]); err != nil {
			return err
		}
	}
	b.runs++
	b.feed = feed
	for i, v := range b.plan.wanted {
		v.tensor, v.run = converted[i], b.runs
	}
	return nil
}

func toResult(name string, v tensor.Value) (gorgonia.Tensor, error) {
	t, ok := v.(*tensor.Tensor)
	if !ok {
		return nil, fmt.Errorf("onnxgo: result %q is a %v: %w by onnx-go, which knows tensors only", name, v, ops.ErrUnsupported)
	}
	g, err := ToGorgonia(t)
	if err != nil {
		return nil, fmt.Errorf("onnxgo: result %q: %w", name, err)
	}
	return g, nil
}

// compute returns a result that the last run left out.
func (b *Backend) compute(v *value) (gorgonia.Tensor, error) {
	if b.stale || b.session == nil {
		return nil, fmt.Errorf("onnxgo: %q: the graph changed since the last run", v.key)
	}
	out, err := b.session.Run(context.Background(), b.feed, v.key)
	if err != nil {
		return nil, notImplemented(err)
	}
	t, err := toResult(v.key, out[v.key])
	if err != nil {
		return nil, notImplemented(err)
	}
	v.tensor, v.run = t, b.runs
	b.plan.wanted = append(b.plan.wanted, v)
	return t, nil
}

// notImplemented returns the error in the form that onnx-go's tests know.
func notImplemented(err error) error {
	if !errors.Is(err, ops.ErrUnsupported) {
		return err
	}
	e := &onnx.ErrNotImplemented{Message: err.Error()}
	var node *gneiss.NodeError
	if errors.As(err, &node) {
		e.Operator = node.Op
	}
	return e
}

// Close frees what a run keeps. The graph and its tensors stay; a later Run compiles anew.
func (b *Backend) Close() error { return b.closeSession() }

func (b *Backend) closeSession() error {
	if b.session == nil {
		return nil
	}
	s := b.session
	b.session = nil
	return s.Close()
}
