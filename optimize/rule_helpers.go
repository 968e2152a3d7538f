package optimize

import (
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// sameType reports whether v and w are known to be tensors of one element type and shape.
func sameType(v, w *onnx.Value) bool {
	a, b := v.Type, w.Type
	if a.Kind != onnx.TensorKind || b.Kind != onnx.TensorKind || a.DType != b.DType || a.DType == tensor.Undefined ||
		!a.Ranked || !b.Ranked || len(a.Dims) != len(b.Dims) {
		return false
	}
	for i, d := range a.Dims {
		if !d.Equal(b.Dims[i]) {
			return false
		}
	}
	return true
}

// keepsType reports whether output 0 of the match's root has the type of the value called name.
func keepsType(name string) func(*Match) bool {
	return func(m *Match) bool { return sameType(m.Root.Out[0], m.Var(name)) }
}

// give returns a Rewrite that puts the value called name in place of output 0.
// The root's other outputs must not be used.
func give(name string) func(*Match, *ops.Builder) []*onnx.Value {
	return func(m *Match, b *ops.Builder) []*onnx.Value { return only(m, m.Var(name)) }
}

// only returns v for output 0 and nothing for the root's other outputs.
func only(m *Match, v *onnx.Value) []*onnx.Value {
	out := make([]*onnx.Value, len(m.Root.Out))
	out[0] = v
	return out
}

// input returns input i of n, or nil.
func input(n *onnx.Node, i int) *onnx.Value {
	if i < len(n.In) {
		return n.In[i]
	}
	return nil
}

// constOf returns the tensor of an initializer or of a Constant node, or nil.
func constOf(v *onnx.Value) *tensor.Tensor {
	if v.Const != nil || v.From == nil || v.From.Op != "Constant" || v.From.Domain != "" {
		return v.Const
	}
	out, err := ops.Eval(par.P{}, v.From, nil, ops.BuildEnv{})
	if err != nil {
		return nil
	}
	t, _ := out[0].(*tensor.Tensor)
	return t
}

// constInts returns input i of n if it is a constant of integers, else the ints
// attribute of the given name, which older versions have in its place. ok is
// false if neither is known; given is false if neither is there.
func constInts(n *onnx.Node, i int, attr string) (v []int, given, ok bool) {
	if x := input(n, i); x != nil {
		t := constOf(x)
		if t == nil {
			return nil, true, false
		}
		v, err := ops.IntsOf(t)
		return v, true, err == nil
	}
	a := n.Attrs.Get(attr)
	if a == nil {
		return nil, false, true
	}
	list, isList := a.Value.([]int64)
	if !isList || a.Ref != "" {
		return nil, true, false
	}
	for _, x := range list {
		v = append(v, tensor.Int(x))
	}
	return v, true, true
}

// intAttr returns an int attribute, or def.
func intAttr(n *onnx.Node, name string, def int64) int64 {
	v, err := onnx.Attribute(n, name, def)
	if err != nil {
		return def
	}
	return v
}

// floatAttr returns a float attribute, or def.
func floatAttr(n *onnx.Node, name string, def float32) float32 {
	v, err := onnx.Attribute(n, name, def)
	if err != nil {
		return def
	}
	return v
}

// permOf returns the permutation of a Transpose; without one, the reversal of rank axes.
// Exporters write negative axes, too, which the operator takes.
func permOf(n *onnx.Node) ([]int, bool) {
	p, given, ok := constInts(n, len(n.In), "perm")
	if !ok {
		return nil, false
	}
	if given {
		own := make([]int, len(p))
		for i, x := range p {
			if x < 0 {
				x += len(p)
			}
			if x < 0 || x >= len(p) || slices.Contains(own[:i], x) {
				return nil, false
			}
			own[i] = x
		}
		return own, true
	}
	r := n.In[0].Type.Rank()
	if r < 0 {
		return nil, false
	}
	for i := r - 1; i >= 0; i-- {
		p = append(p, i)
	}
	return p, true
}

func isIdentityPerm(p []int) bool {
	for i, x := range p {
		if i != x {
			return false
		}
	}
	return true
}

func all(v []int, want int) bool {
	return !slices.ContainsFunc(v, func(x int) bool { return x != want })
}

// in adds an input of an example.
func in(b *ops.Builder, name string, shape ...int) *onnx.Value {
	return b.G.AddInput(name, onnx.TensorType(tensor.Float32, onnx.Sizes(shape...)...))
}

// inOf is in for another element type.
func inOf(b *ops.Builder, d tensor.DType, name string, shape ...int) *onnx.Value {
	return b.G.AddInput(name, onnx.TensorType(d, onnx.Sizes(shape...)...))
}

// ret makes values the outputs of an example.
func ret(b *ops.Builder, vs ...*onnx.Value) {
	b.G.Outputs = append(b.G.Outputs, vs...)
}

// floats makes a float32 constant of distinct positive values for an example.
func floats(b *ops.Builder, shape ...int) *onnx.Value {
	n, _ := tensor.Count(shape)
	d := make([]float32, n)
	for i := range d {
		d[i] = 0.25 + float32((i*7)%11)/8
	}
	return b.Const(tensor.Of(d, shape...))
}
