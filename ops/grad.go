package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// GradContext is what the gradient of an operator sees: the node, a Builder
// that adds to the node's graph, and the gradients of the node's outputs. The
// values it builds may read the node's inputs and outputs.
//
// Gradients are vector-Jacobian products: with L the loss, a Grad returns
// dL/dIn[i] for every input, from dL/dOut[j].
type GradContext struct {
	*Builder
	// Attr reads the node's attributes.
	Attr attrs
	// DOut has dL/dOut[i] for each output, of that output's type; nil where L does
	// not depend on it. At least one is there.
	DOut []*onnx.Value
	need []bool
}

// Gradient builds the gradients of n's inputs and returns them, one for each
// input; nil where need is false or L does not depend on the input. The nodes
// are in b.Nodes. n and its inputs must have their types. Only custom operators have
// gradients unless RegisterTraining was called.
func Gradient(b *Builder, n *onnx.Node, dOut []*onnx.Value, need []bool) ([]*onnx.Value, error) {
	set := b.Set
	if set == nil {
		set = Standard()
	}
	op, _, err := set.Lookup(n.Domain, n.Op, n.Opset)
	if err != nil {
		return nil, err
	}
	if op.Grad == nil {
		return nil, fmt.Errorf("%w: the gradient of operator %s", ErrUnsupported, n.Op)
	}
	c := &GradContext{Builder: b, Attr: attrs{node: n}, DOut: dOut, need: need}
	in := op.Grad(c)
	for len(in) > 0 && in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	switch {
	case c.Attr.err != nil:
		return nil, c.Attr.err
	case b.Err() != nil:
		return nil, b.Err()
	case len(in) > len(n.In):
		return nil, fmt.Errorf("the gradient of %s gives %d values for %d inputs", n.Op, len(in), len(n.In))
	}
	out := make([]*onnx.Value, len(n.In))
	for i, v := range in {
		if need[i] {
			out[i] = v
		}
	}
	return out, nil
}

// Node returns the node whose gradient is built.
func (c *GradContext) Node() *onnx.Node { return c.Attr.node }

// X returns input i, or nil if it is absent.
func (c *GradContext) X(i int) *onnx.Value {
	if !hasInput(c.Attr.node, i) {
		return nil
	}
	return c.Attr.node.In[i]
}

// Y returns output i, or nil if it is absent.
func (c *GradContext) Y(i int) *onnx.Value {
	if i >= len(c.Attr.node.Out) {
		return nil
	}
	return c.Attr.node.Out[i]
}

// Save returns output i, which is added to the node if nobody wanted it so far.
// It is for results that only training needs: masks, indices, statistics.
func (c *GradContext) Save(i int) *onnx.Value {
	n := c.Attr.node
	for len(n.Out) <= i {
		n.Out = append(n.Out, nil)
	}
	if n.Out[i] == nil {
		v := n.Graph.NewValue("", onnx.Type{})
		v.From = n
		n.Out[i] = v
		env := c.Env
		env.Set = c.Set
		types, _, err := InferNode(n, env)
		if err != nil {
			c.Fail(err)
			return v
		}
		v.Type = types[i]
	}
	return n.Out[i]
}

// Needs reports whether the gradient of input i is asked for.
func (c *GradContext) Needs(i int) bool { return i < len(c.need) && c.need[i] }

// DType returns the element type of the gradient of output 0.
func (c *GradContext) DType() tensor.DType {
	for _, d := range c.DOut {
		if d != nil {
			return d.Type.DType
		}
	}
	return tensor.Undefined
}

// Scalar adds a constant of the gradients' element type.
func (c *GradContext) Scalar(x float64) *onnx.Value { return c.Float(c.DType(), x) }

// Plus returns a + b.
func (c *GradContext) Plus(a, b *onnx.Value) *onnx.Value { return c.Op("Add", nil, a, b) }

// Minus returns a - b.
func (c *GradContext) Minus(a, b *onnx.Value) *onnx.Value { return c.Op("Sub", nil, a, b) }

// Times returns a · b, element-wise.
func (c *GradContext) Times(a, b *onnx.Value) *onnx.Value { return c.Op("Mul", nil, a, b) }

// Over returns a / b.
func (c *GradContext) Over(a, b *onnx.Value) *onnx.Value { return c.Op("Div", nil, a, b) }

// Scaled returns f · a.
func (c *GradContext) Scaled(a *onnx.Value, f float64) *onnx.Value {
	if f == 1 {
		return a
	}
	return c.Times(a, c.Scalar(f))
}

// Negated returns -a.
func (c *GradContext) Negated(a *onnx.Value) *onnx.Value { return c.Op("Neg", nil, a) }

// SumTo returns v summed over the dimensions along which a tensor of like's
// shape was broadcast to v's: the gradient of broadcasting.
func (c *GradContext) SumTo(v, like *onnx.Value) *onnx.Value {
	if v == nil || like == nil || sameShape(v.Type, like.Type) {
		return v
	}
	return c.Ops(Private, "SumTo", nil, 1, v, like)[0]
}

// Like returns v, which has like's elements in another shape, in like's shape.
func (c *GradContext) Like(v, like *onnx.Value) *onnx.Value {
	if v == nil || sameShape(v.Type, like.Type) {
		return v
	}
	if dims, ok := like.Type.Static(); ok {
		return c.Op("Reshape", onnx.NewAttrs("allowzero", 1), v, c.Ints(dims...))
	}
	return c.Op("Reshape", onnx.NewAttrs("allowzero", 1), v, c.Op("Shape", nil, like))
}

// shapeOf returns v's shape, a constant where it is known: then v need not be kept
// for it.
func (c *GradContext) shapeOf(v *onnx.Value) *onnx.Value {
	if dims, ok := v.Type.Static(); ok {
		return c.Ints(dims...)
	}
	return c.Op("Shape", nil, v)
}

// Zeros returns zeros of v's shape.
func (c *GradContext) Zeros(v *onnx.Value) *onnx.Value {
	return c.Op("Expand", nil, c.Scalar(0), c.shapeOf(v))
}

// oneMinusSquare returns 1 - v².
func (c *GradContext) oneMinusSquare(v *onnx.Value) *onnx.Value {
	return c.Minus(c.Scalar(1), c.Times(v, v))
}

// onePlusSquare returns 1 + v².
func (c *GradContext) onePlusSquare(v *onnx.Value) *onnx.Value {
	return c.Plus(c.Scalar(1), c.Times(v, v))
}

// Mask returns 1 where cond, a bool tensor, holds and else 0, in the gradients'
// element type.
func (c *GradContext) Mask(cond *onnx.Value) *onnx.Value {
	return c.Op("Cast", onnx.NewAttrs("to", int(c.DType())), cond)
}

// Pick returns v where cond holds and else 0, whatever v is there.
func (c *GradContext) Pick(cond, v *onnx.Value) *onnx.Value {
	return c.Op("Where", nil, cond, v, c.Scalar(0))
}

// sameShape reports whether a and b are known to have one shape.
func sameShape(a, b onnx.Type) bool {
	if !a.Ranked || !b.Ranked || len(a.Dims) != len(b.Dims) {
		return false
	}
	for i, d := range a.Dims {
		if !d.Equal(b.Dims[i]) {
			return false
		}
	}
	return true
}

// Expanded returns v broadcast to like's shape.
func (c *GradContext) Expanded(v, like *onnx.Value) *onnx.Value {
	if sameShape(v.Type, like.Type) {
		return v
	}
	return c.Op("Expand", nil, v, c.Op("Shape", nil, like))
}

// gradUnary makes the Grad of y = f(x) from dy/dx, built from x and y.
func gradUnary(slope func(c *GradContext, x, y *onnx.Value) *onnx.Value) func(*GradContext) []*onnx.Value {
	return func(c *GradContext) []*onnx.Value {
		return []*onnx.Value{c.Times(c.DOut[0], slope(c, c.X(0), c.Y(0)))}
	}
}

// gradBinary makes the Grad of z = f(a, b) with broadcasting from functions that
// build dz/da·d and dz/db·d.
func gradBinary(da, db func(c *GradContext, d, a, b *onnx.Value) *onnx.Value) func(*GradContext) []*onnx.Value {
	return func(c *GradContext) []*onnx.Value {
		out := make([]*onnx.Value, 2)
		for i, f := range []func(c *GradContext, d, a, b *onnx.Value) *onnx.Value{da, db} {
			if c.Needs(i) && f != nil {
				out[i] = c.SumTo(f(c, c.DOut[0], c.X(0), c.X(1)), c.X(i))
			}
		}
		return out
	}
}

// gradNone is the Grad of an operator that is flat almost everywhere, or whose
// results say nothing of its inputs' values.
func gradNone(*GradContext) []*onnx.Value { return nil }
