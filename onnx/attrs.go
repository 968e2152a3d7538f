package onnx

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// Attr is one attribute of a node. Value is one of float32, int64, string,
// *tensor.Tensor, *Graph, *tensor.Sparse, Type, or a slice of one of these.
// In a function body Ref names the function's attribute that gives the value;
// Value is then a zero value of the right type.
type Attr struct {
	Name    string
	Value   any
	Ref     string
	Doc     string
	Unknown []byte
	tensors []tensorInfo
}

// Attrs are the attributes of a node in file order.
type Attrs []Attr

// NewAttrs makes attributes from name, value pairs. Go ints, bools, float64
// and their slices become ONNX's types. It panics on other types: the values
// are written in code.
func NewAttrs(pairs ...any) Attrs {
	as := make(Attrs, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		as = append(as, Attr{Name: pairs[i].(string), Value: attrValue(pairs[i+1])})
	}
	return as
}

func attrValue(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case float64:
		return float32(v)
	case tensor.DType:
		return int64(v)
	case []int:
		s := make([]int64, len(v))
		for i, x := range v {
			s[i] = int64(x)
		}
		return s
	case []float64:
		s := make([]float32, len(v))
		for i, x := range v {
			s[i] = float32(x)
		}
		return s
	case float32, int64, string, *tensor.Tensor, *Graph, *tensor.Sparse, Type,
		[]float32, []int64, []string, []*tensor.Tensor, []*Graph, []*tensor.Sparse, []Type:
		return v
	}
	panic(fmt.Sprintf("onnx: attribute value of type %T", v))
}

// Get returns the attribute called name, or nil.
func (as Attrs) Get(name string) *Attr {
	for i := range as {
		if as[i].Name == name {
			return &as[i]
		}
	}
	return nil
}

// Set returns as with the attribute name set to v.
func (as Attrs) Set(name string, v any) Attrs {
	if a := as.Get(name); a != nil {
		a.Value = attrValue(v)
		return as
	}
	return append(as, Attr{Name: name, Value: attrValue(v)})
}

// Without returns a copy of as that lacks the given names.
func (as Attrs) Without(names ...string) Attrs {
	var out Attrs
next:
	for _, a := range as {
		for _, n := range names {
			if a.Name == n {
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}

// Attribute returns the value of the node's attribute name as a T, or def if
// the node has none. An attribute of another type is an error.
func Attribute[T any](n *Node, name string, def T) (T, error) {
	a := n.Attrs.Get(name)
	if a == nil {
		return def, nil
	}
	if a.Ref != "" {
		return def, fmt.Errorf("attribute %q refers to the function attribute %q outside of a function", name, a.Ref)
	}
	v, ok := a.Value.(T)
	if !ok {
		if v, ok = emptyList[T](a.Value); ok { // an empty list has lost its element type in some writers
			return v, nil
		}
		return def, fmt.Errorf("attribute %q is %s, want %s", name, attrTypeName(a.Value), attrTypeName(any(def)))
	}
	return v, nil
}

func emptyList[T any](v any) (T, bool) {
	var zero T
	switch v := v.(type) {
	case []int64:
		return zero, len(v) == 0 && isList(zero)
	case []float32:
		return zero, len(v) == 0 && isList(zero)
	case []string:
		return zero, len(v) == 0 && isList(zero)
	}
	return zero, false
}

func isList(v any) bool {
	switch v.(type) {
	case []int64, []float32, []string:
		return true
	}
	return false
}

func attrTypeName(v any) string {
	switch v.(type) {
	case float32:
		return "a float"
	case int64:
		return "an int"
	case string:
		return "a string"
	case *tensor.Tensor:
		return "a tensor"
	case *Graph:
		return "a graph"
	case *tensor.Sparse:
		return "a sparse tensor"
	case Type:
		return "a type"
	case []float32:
		return "floats"
	case []int64:
		return "ints"
	case []string:
		return "strings"
	case []*tensor.Tensor:
		return "tensors"
	case []*Graph:
		return "graphs"
	}
	return fmt.Sprintf("%T", v)
}

func isGraph(v any) bool {
	switch v.(type) {
	case *Graph, []*Graph:
		return true
	}
	return false
}

// Bodies returns the graphs among the node's attributes, in attribute order.
func (n *Node) Bodies() []*Graph {
	var gs []*Graph
	for i := range n.Attrs {
		switch v := n.Attrs[i].Value.(type) {
		case *Graph:
			if v != nil {
				gs = append(gs, v)
			}
		case []*Graph:
			gs = append(gs, v...)
		}
	}
	return gs
}
