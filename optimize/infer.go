package optimize

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// InferOptions say how types are inferred. The zero value is right for running
// a model.
type InferOptions struct {
	// Set is where operators are looked up (nil: ops.Standard).
	Set *ops.Set
	// Dims gives sizes to named dimensions of the model's inputs and outputs.
	Dims map[string]int
	// Trust believes the shapes that the file declares for intermediate values
	// where inference knows less. Exporters are often wrong about them.
	Trust bool
	// Strict makes it an error that an output, or under Trust an intermediate
	// value, has another shape than the file declares. Otherwise the inferred
	// shape counts. That an output has another element type is always an error.
	Strict bool
	// Fresh names dimensions of the main graph that only a run can tell, such as
	// the number of results of NonZero, so that two of them can be seen to be equal.
	Fresh bool
	// apart leaves to outputs the shapes that were inferred: a rewrite must not
	// rely on what a file declares of them, no more than of intermediate values.
	apart bool
}

// Infer sets the types of all values of m's graph and the graphs nested in it,
// from the declared types of its inputs on. Operators that the set does not
// know leave their outputs as declared. The error names the first node whose
// inputs do not fit, or the first output that is not what the model declares.
func Infer(m *onnx.Model, o InferOptions) error {
	if m.Graph == nil {
		return fmt.Errorf("optimize: %w: the model has no graph", onnx.ErrInvalid)
	}
	return newInferrer(m, o).run(m.Graph)
}

// inferrer is one walk over a model.
type inferrer struct {
	o    InferOptions
	env  ops.InferEnv
	ints map[*onnx.Value][]onnx.Dim
	main *onnx.Graph
	// expand, if set, is asked after each node is inferred for the nodes to put
	// in its place; they are inferred next.
	expand   func(*onnx.Node) (bool, error)
	expanded int
}

func newInferrer(m *onnx.Model, o InferOptions) *inferrer {
	if o.Set == nil {
		o.Set = ops.Standard()
	}
	f := &inferrer{o: o, ints: map[*onnx.Value][]onnx.Dim{}, main: m.Graph}
	f.env = ops.InferEnv{
		Set:  o.Set,
		Ints: func(v *onnx.Value) ([]onnx.Dim, bool) { d, ok := f.ints[v]; return d, ok },
		Body: f.body,
	}
	return f
}

func (f *inferrer) run(g *onnx.Graph) error {
	for _, v := range g.Inputs {
		v.Type = f.substitute(v.Type)
	}
	declared := make([]onnx.Type, len(g.Outputs))
	for i, v := range g.Outputs {
		declared[i] = f.substitute(v.Type)
	}
	if err := f.graph(g); err != nil {
		return fmt.Errorf("optimize: %w", err)
	}
	for i, v := range g.Outputs {
		t, err := merge(v.Type, declared[i])
		if err != nil {
			if f.o.Strict || isKindError(err) {
				return fmt.Errorf("optimize: output %q is %v, declared %v: %w", v.Name, v.Type, declared[i], err)
			}
			continue // the inferred type stays
		}
		if !f.o.apart {
			v.Type = t
		}
	}
	return nil
}

func (f *inferrer) graph(g *onnx.Graph) error {
	for _, v := range g.Consts {
		switch {
		case v.Const != nil:
			v.Type = onnx.TypeOf(v.Const)
		case v.Sparse != nil: // it is read as the dense tensor
			v.Type = onnx.TensorType(v.Sparse.Values.DType(), onnx.Sizes(v.Sparse.Shape...)...)
		}
	}
	for i := 0; i < len(g.Nodes); i++ {
		n := g.Nodes[i]
		if err := f.node(n); err != nil {
			return err
		}
		if f.expand == nil {
			continue
		}
		before := f.expanded
		for _, b := range n.Bodies() {
			if err := f.graph(b); err != nil {
				return fmt.Errorf("%v: %w", n, err)
			}
		}
		if f.expanded > before { // bodies know more now
			if err := f.node(n); err != nil {
				return err
			}
		}
		done, err := f.expand(n)
		if err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
		if done {
			f.expanded++
			i--
		}
	}
	return nil
}

// node infers one node and sets the types of its outputs.
func (f *inferrer) node(n *onnx.Node) error {
	types, ints, err := f.safely(n)
	if err != nil {
		if !f.knows(n) {
			for _, v := range n.Out {
				if v != nil {
					v.Type = f.substitute(v.Type)
					delete(f.ints, v)
				}
			}
			return nil
		}
		return fmt.Errorf("%v: %w", n, err)
	}
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		t, err := f.settle(n, v, types[i])
		if err != nil {
			return fmt.Errorf("%v: output %q is %v, declared %v: %w", n, v.Name, types[i], v.Type, err)
		}
		v.Type = t
		delete(f.ints, v)
		if i < len(ints) && ints[i] != nil {
			f.ints[v] = ints[i]
		}
	}
	return nil
}

// safely infers n; a panic becomes an error, since files decide what is inferred.
func (f *inferrer) safely(n *onnx.Node) (types []onnx.Type, ints [][]onnx.Dim, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = ops.Recovered(r)
		}
	}()
	return ops.InferNode(n, f.env)
}

// knows reports whether the operator of n can be looked up.
func (f *inferrer) knows(n *onnx.Node) bool {
	_, _, err := f.o.Set.Lookup(n.Domain, n.Op, n.Opset)
	return err == nil
}

// settle joins what was inferred of v with what the file declares.
func (f *inferrer) settle(n *onnx.Node, v *onnx.Value, t onnx.Type) (onnx.Type, error) {
	declared := f.substitute(v.Type)
	switch {
	case t.Kind == onnx.UnknownKind:
		t = declared
	case f.o.Trust && n.Graph == f.main:
		u, err := merge(t, declared)
		if err == nil {
			t = u
		} else if f.o.Strict || isKindError(err) {
			return t, err
		}
	default:
		if t.DType == tensor.Undefined && declared.Kind == t.Kind {
			t.DType = declared.DType
		}
		if t.Elem == nil && declared.Kind == t.Kind {
			t.Elem = declared.Elem
		}
		if t.Denotation == "" {
			t.Denotation = declared.Denotation
		}
	}
	if f.o.Fresh && n.Graph == f.main && t.Kind == onnx.TensorKind && t.Ranked {
		for i, d := range t.Dims {
			if !d.Known() {
				t.Dims = slices.Clone(t.Dims) // the operator may have passed on an input's
				t.Dims[i] = onnx.Name(v.Name + "." + strconv.Itoa(i))
			}
		}
	}
	return t, nil
}

// body infers a nested graph for the given input types. It may be called more
// than once, with other types.
func (f *inferrer) body(g *onnx.Graph, in []onnx.Type) ([]onnx.Type, error) {
	if len(in) > len(g.Inputs) {
		return nil, fmt.Errorf("graph %q has %d inputs, want %d", g.Name, len(g.Inputs), len(in))
	}
	for i, t := range in {
		v := g.Inputs[i]
		delete(f.ints, v)
		switch {
		case t.Kind == onnx.UnknownKind:
			// What the body declares holds of every call of it, or the model is wrong.
			v.Type = onnx.Type{Kind: v.Type.Kind, DType: v.Type.DType, Elem: v.Type.Elem}
		case t.DType == tensor.Undefined && t.Kind == v.Type.Kind:
			t.DType = v.Type.DType
			v.Type = t
		default:
			v.Type = t
		}
	}
	expand := f.expand
	f.expand = nil
	err := f.graph(g)
	f.expand = expand
	if err != nil {
		return nil, err
	}
	out := make([]onnx.Type, len(g.Outputs))
	for i, v := range g.Outputs {
		out[i] = v.Type
	}
	return out, nil
}

// substitute puts the sizes of InferOptions.Dims in place of names.
func (f *inferrer) substitute(t onnx.Type) onnx.Type {
	if len(f.o.Dims) == 0 {
		return t
	}
	if t.Elem != nil {
		e := f.substitute(*t.Elem)
		t.Elem = &e
	}
	for i, d := range t.Dims {
		if _, ok := d.Size(); ok || !d.Known() {
			continue
		}
		if n, ok := d.Eval(f.o.Dims); ok {
			t.Dims = slices.Clone(t.Dims)
			t.Dims[i] = onnx.Size(n)
		}
	}
	return t
}

// errKind is wrapped by errors of merge about kinds and element types.
var errKind = errors.New("not the same type")

func isKindError(err error) bool { return errors.Is(err, errKind) }

// merge joins two descriptions of one value: the more precise one wins,
// a where both are equally precise. It is an error if they contradict.
func merge(a, b onnx.Type) (onnx.Type, error) {
	switch {
	case a.Kind == onnx.UnknownKind:
		return b, nil
	case b.Kind == onnx.UnknownKind:
		return a, nil
	case a.Kind != b.Kind:
		return a, errKind
	}
	t := a
	if t.DType == tensor.Undefined {
		t.DType = b.DType
	} else if b.DType != tensor.Undefined && a.DType != b.DType {
		return a, fmt.Errorf("%w: %v against %v", errKind, a.DType, b.DType)
	}
	if t.Denotation == "" {
		t.Denotation = b.Denotation
	}
	if a.Elem != nil && b.Elem != nil {
		e, err := merge(*a.Elem, *b.Elem)
		if err != nil {
			return a, err
		}
		t.Elem = &e
	} else if a.Elem == nil {
		t.Elem = b.Elem
	}
	switch {
	case !b.Ranked:
		return t, nil
	case !a.Ranked:
		t.Ranked, t.Dims = true, b.Dims
		return t, nil
	case len(a.Dims) != len(b.Dims):
		return a, fmt.Errorf("rank %d against %d", len(a.Dims), len(b.Dims))
	}
	t.Dims = slices.Clone(a.Dims)
	for i, d := range b.Dims {
		n, ok := t.Dims[i].Size()
		m, bok := d.Size()
		switch {
		case ok && bok && n != m:
			return a, fmt.Errorf("dimension %d is %d against %d", i, n, m)
		case !ok && bok, !t.Dims[i].Known():
			t.Dims[i] = d
		}
	}
	return t, nil
}
