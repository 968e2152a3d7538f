package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Builder adds nodes to a graph and infers their types at once. It keeps the
// first error, so that graph code reads as a formula; check Err at the end.
// The nodes are not in the graph until Insert or Graph.Insert(at, Nodes...).
type Builder struct {
	G     *onnx.Graph
	Set   *Set         // nil: Standard
	Env   InferEnv     // its Set is taken from Set
	Nodes []*onnx.Node // added so far, in order
	err   error
}

// NewBuilder returns a Builder for g.
func NewBuilder(g *onnx.Graph) *Builder { return &Builder{G: g} }

// Err returns the first error.
func (b *Builder) Err() error { return b.err }

// Fail keeps err if it is the first.
func (b *Builder) Fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Op adds a node of the default domain with one output and returns that output.
func (b *Builder) Op(name string, as onnx.Attrs, in ...*onnx.Value) *onnx.Value {
	return b.Ops("", name, as, 1, in...)[0]
}

// Ops adds a node of any domain with outs outputs. After an error its results
// are nil values, which further calls pass on.
func (b *Builder) Ops(domain, name string, as onnx.Attrs, outs int, in ...*onnx.Value) []*onnx.Value {
	if b.err != nil {
		return make([]*onnx.Value, outs)
	}
	n := b.G.NewNodeIn(domain, name, as, in, outs)
	n.TrimInputs()
	return b.Add(n)
}

// Add adds a node made by the caller, infers it and returns its outputs.
func (b *Builder) Add(n *onnx.Node) []*onnx.Value {
	if b.err != nil {
		return make([]*onnx.Value, len(n.Out))
	}
	env := b.Env
	env.Set = b.Set
	types, _, err := InferNode(n, env)
	if err != nil {
		b.err = fmt.Errorf("%s: %w", n.Op, err)
		return make([]*onnx.Value, len(n.Out))
	}
	for i, t := range types {
		if n.Out[i] != nil {
			n.Out[i].Type = t
		}
	}
	b.Nodes = append(b.Nodes, n)
	return n.Out
}

// Const adds a constant.
func (b *Builder) Const(t *tensor.Tensor) *onnx.Value { return b.G.NewConst("", t) }

// Ints adds an int64 vector.
func (b *Builder) Ints(v ...int) *onnx.Value {
	d := make([]int64, len(v))
	for i, x := range v {
		d[i] = int64(x)
	}
	return b.Const(tensor.Of(d, len(d)))
}

// Float adds a scalar of type d, a floating-point type.
func (b *Builder) Float(d tensor.DType, x float64) *onnx.Value {
	switch d {
	case tensor.Float64:
		return b.Const(tensor.Scalar(x))
	case tensor.Float16:
		return b.Const(tensor.Scalar(tensor.F16Of(float32(x))))
	case tensor.BFloat16:
		return b.Const(tensor.Scalar(tensor.BF16Of(float32(x))))
	case tensor.Float32:
		return b.Const(tensor.Scalar(float32(x)))
	}
	b.Fail(fmt.Errorf("%w: float constant of type %v", ErrUnsupported, d))
	return nil
}

// Insert puts the nodes into the graph before at (nil: at the end).
func (b *Builder) Insert(at *onnx.Node) {
	b.G.Insert(at, b.Nodes...)
	b.Nodes = nil
}
