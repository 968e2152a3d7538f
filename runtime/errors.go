package runtime

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gneiss-run/gneiss/tensor"
)

// ErrClosed is returned by methods of a closed Session.
var ErrClosed = errors.New("runtime: session is closed")

// ErrMemory is wrapped by the error of a run that would need more memory than
// Options.MaxMemory.
var ErrMemory = errors.New("over the memory limit")

// NodeError says which node failed and what it was given.
type NodeError struct {
	Model string   // file name; "" if the model has none
	Path  []string // node names, outermost graph first
	Op    string   // operator with its domain
	In    []string // element type and shape of each input; empty when the node was not run
	Err   error
}

// Error names model, node, operator, inputs and cause.
func (e *NodeError) Error() string {
	var b strings.Builder
	if e.Model != "" {
		b.WriteString(e.Model + ": ")
	}
	fmt.Fprintf(&b, "node %q: %s", strings.Join(e.Path, "/"), e.Op)
	if e.In != nil {
		fmt.Fprintf(&b, "(%s)", strings.Join(e.In, ", "))
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns the operator's error.
func (e *NodeError) Unwrap() error { return e.Err }

// nodeError wraps err as the error of an instruction. The error of a node in a
// nested graph gets the outer node's name in front.
func (i *instr) nodeError(p *program, in []tensor.Value, err error) error {
	var inner *NodeError
	if i.bodies && errors.As(err, &inner) {
		e := *inner
		e.Path = append([]string{i.name}, inner.Path...)
		return &e
	}
	e := &NodeError{Model: p.model, Path: []string{i.name}, Op: i.op, In: []string{}, Err: err}
	for _, v := range in {
		if v == nil {
			e.In = append(e.In, "-")
		} else {
			e.In = append(e.In, v.String())
		}
	}
	return e
}
