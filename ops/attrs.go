package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// attrs reads the attributes of one node. It keeps the first error and the
// names that were read: an attribute that nobody reads is an error of Build,
// so that nothing a model asks for is passed over in silence.
type attrs struct {
	node *onnx.Node
	read []string
	err  error
	seen func(name string, def any) // told of every read with its default; nil outside of tests
}

func attr[T any](a *attrs, name string, def T) T {
	a.read = append(a.read, name)
	if a.seen != nil {
		a.seen(name, def)
	}
	v, err := onnx.Attribute(a.node, name, def)
	if err != nil && a.err == nil {
		a.err = err
	}
	return v
}

// Int returns the int attribute name, or the int nearest to it, or def if the node
// has none.
func (a *attrs) Int(name string, def int) int {
	return tensor.Int(attr(a, name, int64(def)))
}

// Bool returns the int attribute name as a truth value.
func (a *attrs) Bool(name string, def bool) bool {
	d := int64(0)
	if def {
		d = 1
	}
	return attr(a, name, d) != 0
}

// DType returns the int attribute name as an element type.
func (a *attrs) DType(name string, def tensor.DType) tensor.DType {
	d := tensor.DType(attr(a, name, int64(def)))
	if a.HasAttr(name) && !d.Valid() && a.err == nil {
		a.err = fmt.Errorf("attribute %q is %d, which is no element type", name, int32(d))
	}
	return d
}

// HasAttr reports whether the node has the attribute name, which counts as read.
func (a *attrs) HasAttr(name string) bool {
	a.read = append(a.read, name)
	return a.node.Attrs.Get(name) != nil
}

// Ints returns the ints attribute name, or def.
func (a *attrs) Ints(name string, def []int) []int {
	has := a.HasAttr(name)
	if a.seen != nil {
		a.seen(name, def)
	}
	if !has {
		return def
	}
	v, err := onnx.Attribute(a.node, name, []int64(nil))
	if err != nil && a.err == nil {
		a.err = err
	}
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = tensor.Int(x)
	}
	return out
}

// Float returns the float attribute name, or def.
func (a *attrs) Float(name string, def float32) float32 { return attr(a, name, def) }

// Floats returns the floats attribute name, or def.
func (a *attrs) Floats(name string, def []float32) []float32 { return attr(a, name, def) }

// Str returns the string attribute name, or def.
func (a *attrs) Str(name, def string) string { return attr(a, name, def) }

// OneOf returns the string attribute name, which must be one of the choices;
// the first is the default.
func (a *attrs) OneOf(name string, choices ...string) string {
	v := attr(a, name, choices[0])
	if !slices.Contains(choices, v) && a.err == nil {
		a.err = fmt.Errorf("attribute %q is %q, want one of %q", name, v, choices)
	}
	return v
}

// Strs returns the strings attribute name, or def.
func (a *attrs) Strs(name string, def []string) []string { return attr(a, name, def) }

// Tensor returns the tensor attribute name, or nil.
func (a *attrs) Tensor(name string) *tensor.Tensor { return attr(a, name, (*tensor.Tensor)(nil)) }

// Graph returns the graph attribute name, or nil.
func (a *attrs) Graph(name string) *onnx.Graph { return attr(a, name, (*onnx.Graph)(nil)) }

// Type returns the type attribute name; the zero Type if the node has none.
func (a *attrs) Type(name string) onnx.Type { return attr(a, name, onnx.Type{}) }

// Ignore marks attributes as read that do not change the result.
func (a *attrs) Ignore(names ...string) { a.read = append(a.read, names...) }

// Fail keeps err as the node's error if it is the first.
func (a *attrs) Fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

// unread returns the attributes of the node that nobody has asked for.
func (a *attrs) unread() []string {
	var left []string
	for i := range a.node.Attrs {
		if name := a.node.Attrs[i].Name; !slices.Contains(a.read, name) {
			left = append(left, name)
		}
	}
	return left
}
