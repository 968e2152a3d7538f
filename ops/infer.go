package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// InferContext is what type inference sees of a node. The embedded readers
// give its attributes.
type InferContext struct {
	attrs
	Node *onnx.Node
	Out  []onnx.Type // to be set; the zero Type where nothing is known
	env  InferEnv
	ints [][]onnx.Dim
}

// InferEnv is what surrounds a node during inference. All fields may be nil.
type InferEnv struct {
	// Set is where operators are looked up (nil: Standard).
	Set *Set
	// Ints returns the symbolic value of an integer scalar or vector.
	Ints func(*onnx.Value) ([]onnx.Dim, bool)
	// Body infers a nested graph for the given input types and returns the
	// types of its outputs.
	Body func(g *onnx.Graph, in []onnx.Type) ([]onnx.Type, error)
}

// In returns the type of input i; the zero Type if it is absent.
func (c *InferContext) In(i int) onnx.Type { return inType(c.Node, i) }

// NumIn returns the number of inputs, absent ones included.
func (c *InferContext) NumIn() int { return len(c.Node.In) }

// Has reports whether input i is given.
func (c *InferContext) Has(i int) bool { return hasInput(c.Node, i) }

// Opset returns the opset of the node's domain.
func (c *InferContext) Opset() int { return c.Node.Opset }

// Const returns input i if it is an initializer, else nil.
func (c *InferContext) Const(i int) *tensor.Tensor {
	if !c.Has(i) {
		return nil
	}
	return c.Node.In[i].Const
}

// KnownInts returns what is known of the elements of input i, an integer
// scalar or vector: sizes, expressions, or unknown Dims. It is false if not
// even the number of elements is known.
func (c *InferContext) KnownInts(i int) ([]onnx.Dim, bool) {
	if t := c.Const(i); t != nil {
		return tensorInts(t)
	}
	if !c.Has(i) || c.env.Ints == nil {
		return nil, false
	}
	return c.env.Ints(c.Node.In[i])
}

// tensorInts returns the elements of a small integer tensor as Dims.
func tensorInts(t *tensor.Tensor) ([]onnx.Dim, bool) {
	if t.Len() > 1024 || t.Rank() > 1 {
		return nil, false
	}
	switch t.DType() {
	case tensor.Int64:
		out := make([]onnx.Dim, t.Len())
		for i, v := range tensor.Data[int64](t) {
			if n := int(v); int64(n) == v { // else unknown
				out[i] = onnx.Size(n)
			}
		}
		return out, true
	case tensor.Int32:
		out := make([]onnx.Dim, t.Len())
		for i, v := range tensor.Data[int32](t) {
			out[i] = onnx.Size(int(v))
		}
		return out, true
	}
	return nil, false
}

// SetInts records what is known of the elements of output i.
func (c *InferContext) SetInts(i int, v []onnx.Dim) {
	for len(c.ints) <= i {
		c.ints = append(c.ints, nil)
	}
	c.ints[i] = v
}

// Body infers the nested graph g for the given input types. Without an
// environment it knows only what the graph declares.
func (c *InferContext) Body(g *onnx.Graph, in []onnx.Type) ([]onnx.Type, error) {
	if c.env.Body != nil {
		return c.env.Body(g, in)
	}
	out := make([]onnx.Type, len(g.Outputs))
	for i, v := range g.Outputs {
		out[i] = v.Type
	}
	return out, nil
}

// InferNode returns the types of n's outputs and, where known, the symbolic
// values of its integer outputs (nil entries elsewhere). It does not change n.
func InferNode(n *onnx.Node, env InferEnv) ([]onnx.Type, [][]onnx.Dim, error) {
	if env.Set == nil {
		env.Set = Standard()
	}
	_, v, err := env.Set.Lookup(n.Domain, n.Op, n.Opset)
	if err != nil {
		return nil, nil, err
	}
	if err := v.CheckArity(n); err != nil {
		return nil, nil, err
	}
	c := &InferContext{attrs: attrs{node: n}, Node: n, Out: make([]onnx.Type, len(n.Out)), env: env}
	if v.Infer == nil {
		return c.Out, nil, nil
	}
	if err := v.Infer(c); err != nil {
		return nil, nil, err
	}
	if c.err != nil {
		return nil, nil, c.err
	}
	return c.Out, c.ints, nil
}

// CheckArity says whether n has the inputs and as many outputs as the version wants.
func (v *Version) CheckArity(n *onnx.Node) error {
	if k := len(n.In); k < v.In.Min || k > v.In.Max {
		return fmt.Errorf("%d inputs, want %v", k, v.In)
	}
	for i, in := range n.In {
		if in == nil && (i < v.In.Min || v.In.Max == Many) && n.Domain != Private && !slices.Contains(v.Absent, i) {
			return fmt.Errorf("input %d is absent", i)
		}
	}
	if k := len(n.Out); k < v.Out.Min || k > v.Out.Max {
		return fmt.Errorf("%d outputs, want %v", k, v.Out)
	}
	return nil
}

// String returns "2", "1 to 3" or "at least 1".
func (a Arity) String() string {
	switch {
	case a.Min == a.Max:
		return fmt.Sprint(a.Min)
	case a.Max == Many:
		return fmt.Sprint("at least ", a.Min)
	}
	return fmt.Sprint(a.Min, " to ", a.Max)
}

// inferSame gives output 0 the type of input 0.
func inferSame(c *InferContext) error {
	c.Out[0] = c.In(0)
	return nil
}
