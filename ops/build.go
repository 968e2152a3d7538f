package ops

import (
	"fmt"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// BuildContext is what a kernel builder sees of a node: attributes (by the
// embedded readers), types, constant inputs and nested graphs.
type BuildContext struct {
	attrs
	Node *onnx.Node
	env  BuildEnv
}

// BuildEnv is what surrounds a node when its kernel is built.
type BuildEnv struct {
	// Set is where operators are looked up (nil: Standard).
	Set *Set
	// Body compiles a nested graph.
	Body func(*onnx.Graph) (Body, error)
	// BFloat16 allows products of float32 with constant matrices to round both factors to
	// bfloat16, where the processor multiplies these.
	BFloat16 bool
	// Packed is told that the kernel keeps input i, a constant, in a form of
	// its own and will not read it. May be nil.
	Packed func(i int)
	// Pack returns what make returns, or what it returned before for the same
	// value and layout. May be nil.
	Pack func(v *onnx.Value, layout string, make func() (any, error)) (any, error)
}

// Body is a compiled nested graph.
type Body interface {
	// Run runs the graph with in as its inputs and sets out to its first outputs;
	// what it captures comes from the run that c belongs to. The results are lent
	// to c, as by Lend.
	Run(c *Call, in, out []tensor.Value) error
	// In and Out return the types of the graph's inputs and outputs, as far as known.
	In() []onnx.Type
	Out() []onnx.Type
}

// In returns the type of input i; the zero Type if it is absent.
func (b *BuildContext) In(i int) onnx.Type { return inType(b.Node, i) }

// Out returns the type of output i; the zero Type if it is absent.
func (b *BuildContext) Out(i int) onnx.Type {
	if !b.Wants(i) {
		return onnx.Type{}
	}
	return b.Node.Out[i].Type
}

// NumIn returns the number of inputs, absent ones included.
func (b *BuildContext) NumIn() int { return len(b.Node.In) }

// Has reports whether input i is given.
func (b *BuildContext) Has(i int) bool { return hasInput(b.Node, i) }

// Wants reports whether output i is asked for.
func (b *BuildContext) Wants(i int) bool { return i < len(b.Node.Out) && b.Node.Out[i] != nil }

// Opset returns the opset of the node's domain.
func (b *BuildContext) Opset() int { return b.Node.Opset }

// Const returns input i if it is an initializer, else nil.
func (b *BuildContext) Const(i int) *tensor.Tensor {
	if !b.Has(i) {
		return nil
	}
	return b.Node.In[i].Const
}

// ConstInts returns the elements of input i if it is an integer initializer.
func (b *BuildContext) ConstInts(i int) ([]int, bool) {
	t := b.Const(i)
	if t == nil {
		return nil, false
	}
	v, err := IntsOf(t)
	return v, err == nil
}

// Pack returns the constant input i in a kernel's own form, which make
// computes. The result is shared between the nodes, and where possible the
// sessions, that ask for the same layout of the same value, and must not be
// changed. The kernel must not read input i any more: it will be nil.
func (b *BuildContext) Pack(i int, layout string, make func() (any, error)) (any, error) {
	var p any
	var err error
	if b.env.Pack != nil {
		p, err = b.env.Pack(b.Node.In[i], layout, make)
	} else {
		p, err = make()
	}
	if err == nil && b.env.Packed != nil {
		b.env.Packed(i)
	}
	return p, err
}

// Body compiles the graph attribute name.
func (b *BuildContext) Body(name string) (Body, error) {
	g := b.Graph(name)
	if g == nil {
		return nil, fmt.Errorf("attribute %q is missing", name)
	}
	if b.env.Body == nil {
		return nil, fmt.Errorf("%w: nested graphs outside of a session", ErrUnsupported)
	}
	return b.env.Body(g)
}

// Build makes the kernel of n.
func Build(n *onnx.Node, env BuildEnv) (Kernel, *Version, error) {
	if env.Set == nil {
		env.Set = Standard()
	}
	o, v, err := env.Set.Lookup(n.Domain, n.Op, n.Opset)
	if err != nil {
		return nil, nil, err
	}
	if err := v.CheckArity(n); err != nil {
		return nil, nil, err
	}
	if v.Build == nil {
		return nil, nil, fmt.Errorf("%w: operator %s runs by expansion only", ErrUnsupported, n.Op)
	}
	b := &BuildContext{attrs: attrs{node: n}, Node: n, env: env}
	k, err := v.Build(b)
	if err != nil {
		return nil, nil, err
	}
	if b.err != nil {
		return nil, nil, b.err
	}
	if left := b.unread(); len(left) > 0 {
		return nil, nil, fmt.Errorf("%w: attribute %s", ErrUnsupported, strings.Join(left, ", "))
	}
	if o.Flush {
		k = k.flushing()
	}
	return k, v, nil
}

// byType maps the element type of one input to a kernel.
type byType map[tensor.DType]Kernel

// dispatch returns a kernel that picks by the element type of input i. If the
// type is known now, the choice is made now, and a missing entry is an error
// of Build.
func (b *BuildContext) dispatch(i int, m byType) (Kernel, error) {
	if d := b.In(i).DType; d != tensor.Undefined {
		if k := m[d]; k != nil {
			return k, nil
		}
		return nil, unsupportedType(i, d)
	}
	return func(c *Call) error {
		t := c.T(i)
		if t == nil {
			return fmt.Errorf("input %d is absent", i)
		}
		if k := m[t.DType()]; k != nil {
			return k(c)
		}
		return unsupportedType(i, t.DType())
	}, nil
}

func unsupportedType(i int, d tensor.DType) error {
	return fmt.Errorf("%w: element type %v of input %d", ErrUnsupported, d, i)
}
