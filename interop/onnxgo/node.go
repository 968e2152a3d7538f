package onnxgo

import (
	"errors"
	"fmt"

	"github.com/owulveryck/onnx-go"
	gorgonia "gorgonia.org/tensor"
)

var (
	_ onnx.Namer       = (*Node)(nil)
	_ onnx.DataCarrier = (*Node)(nil)
)

// Node is one value of a model: an input, an initializer or a result. It is made by
// Backend.NewNode.
type Node struct {
	b     *Backend
	id    int64
	added bool
	v     *value
}

// value is what nodes of one name stand for: ONNX knows one value by each name.
type value struct {
	name     string // "" until it is given, or if the value is absent
	absent   bool   // it was given the name "": an input or output that is left out
	early    bool   // it was there before the first operator: onnx-go does so for what the file declares
	nodes    int    // nodes that share it
	sets     int    // calls of SetTensor before the first operator
	fed      bool   // SetTensor was called after the first operator: an input, not an initializer
	tensor   gorgonia.Tensor
	operands []*value // by position; nil where none was given
	producer *operation
	used     bool // an operator reads it
	run      int  // the run that computed tensor, for results
	key      string
}

// ID returns the number of the node: 0, 1, 2 … in order of creation.
func (n *Node) ID() int64 { return n.id }

// GetName returns the name of the value, "" if it has none.
func (n *Node) GetName() string { return n.v.name }

// SetName gives the value its name. The name "" says that it is an input or output that is
// left out. A new node with the name of another one becomes another node of the same value.
func (n *Node) SetName(name string) {
	if name == "" {
		n.v.absent = true
		return
	}
	if old := n.b.names[name]; old != nil && old != n.v {
		if n.v.name != "" || n.v.nodes > 1 || n.v.tensor != nil || n.v.operands != nil || n.v.producer != nil || n.v.used {
			n.b.fail(fmt.Errorf("onnxgo: two values have the name %q", name))
			return
		}
		old.nodes++
		n.v = old
		return
	}
	if n.b.names[n.v.name] == n.v {
		delete(n.b.names, n.v.name)
	}
	n.v.name, n.v.absent = name, false
	n.b.names[name] = n.v
}

// SetTensor gives the node its tensor. What is set before the first operator is applied is an
// initializer; what is set later, as onnx-go's SetInput does, is an input. The tensor is read by later runs, without a
// copy if it is contiguous, and must not change during a run; an initializer's tensor must not
// change at all.
func (n *Node) SetTensor(t gorgonia.Tensor) error {
	if t == nil {
		return errors.New("onnxgo: SetTensor without a tensor")
	}
	n.v.tensor = t
	if len(n.b.operations) == 0 {
		n.v.sets++
		return nil
	}
	if !n.v.fed && n.v.producer == nil {
		n.v.fed = true
		n.b.stale = true
	}
	return nil
}

// GetTensor returns the node's tensor: of an input or initializer what was set, of a result
// what the last Run gave, or nil if it cannot be had; Value tells why.
func (n *Node) GetTensor() gorgonia.Tensor {
	t, err := n.Value()
	if err != nil {
		return nil
	}
	return t
}

// Value is GetTensor with an error. Run computes what the model returns. Another result is
// computed when it is asked for, from the inputs of the last run, which must not have changed
// since; from then on every Run computes it. Before the first Run a result has the tensor that
// was set, which onnx-go does to tell its declared type, or nil.
func (n *Node) Value() (gorgonia.Tensor, error) {
	if n.v.producer == nil || n.b.runs == 0 || n.v.run == n.b.runs {
		return n.v.tensor, nil
	}
	return n.b.compute(n.v)
}
