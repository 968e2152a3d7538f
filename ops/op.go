package ops

import (
	"errors"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// ErrUnsupported is wrapped by errors about operators, versions, attributes or
// types that may be valid ONNX but that no kernel here computes.
var ErrUnsupported = errors.New("not supported")

// Op is one operator in all the versions that this package implements.
type Op struct {
	Domain      string // "" is ai.onnx
	Name        string
	Commutative bool // the first two inputs may be swapped
	// AnyOrder: nothing that the operator does depends on the order of dimensions
	// of input 0, so it may get it transposed.
	AnyOrder bool
	Numerics Numerics
	// Flush: subnormal numbers count as zero, because an instruction that meets one
	// takes some processors as long as a hundred others. It is for sums of products and
	// functions of which nobody takes the logarithm or the root: there 1e-40 and 0 differ.
	Flush    bool
	Versions []Version
	// Grad builds the gradients of the inputs from those of the outputs, for nodes
	// of the newest version; nil for an input means none. Nil: the operator is not
	// differentiable, or by its expansion only, or is one of this package and
	// RegisterTraining was not called.
	Grad func(*GradContext) []*onnx.Value
}

// Version is an operator as of one opset. It holds until the next Version.
type Version struct {
	Since   int
	In, Out Arity
	// Absent lists inputs that may be left out although they count towards
	// In.Min or belong to a variadic list. Others that count may only be empty
	// in private operators.
	Absent []int
	// InPlace lists inputs whose storage output 0 may take over. The kernel
	// must then be right when they share storage.
	InPlace []int
	// Beside[i] is the input whose storage output i may take over, for i from 1
	// on; -1 where there is none. Nil: no output but the first does so.
	Beside []int
	// Infer sets what can be known of the outputs before running. Nil only with
	// Build nil.
	Infer func(*InferContext) error
	// Build makes the kernel: attributes are parsed, constants packed and the
	// ISA table read here, once. Nil: the operator runs by expansion only.
	Build func(*BuildContext) (Kernel, error)
	// Expand builds the operator from others, for an operator that is defined
	// as a function of its context, and for one with a kernel whose gradient is that
	// of its expansion. Nil: it has a kernel, or its function body is in the table of
	// the standard.
	Expand func(*ExpandContext) ([]*onnx.Value, error)
}

// Arity is an inclusive range of argument counts.
type Arity struct{ Min, Max int }

// Many is the Max of a variadic list.
const Many = math.MaxInt32

// N returns the arity of exactly n arguments.
func N(n int) Arity { return Arity{n, n} }

// Kernel computes one node. It is built once per program; concurrent calls
// must be safe.
type Kernel func(*Call) error

// Numerics says how far two right implementations of an operator may differ.
type Numerics uint8

// The classes of Numerics.
const (
	Exact    Numerics = iota // same bits: integers, copies, comparisons
	Rounding                 // a few units in the last place, or a sum's error
	Random                   // results differ from call to call: never folded, shared or compared
)

// ExpandContext is what a context-dependent function body sees: the node with
// its types, and a Builder that adds to the node's graph.
type ExpandContext struct {
	*Builder
	attrs
}

// In returns the type of input i; the zero Type if it is absent.
func (c *ExpandContext) In(i int) onnx.Type { return inType(c.node, i) }

// Has reports whether input i is given.
func (c *ExpandContext) Has(i int) bool { return hasInput(c.node, i) }

// Node returns the node that is expanded.
func (c *ExpandContext) Node() *onnx.Node { return c.node }

func inType(n *onnx.Node, i int) onnx.Type {
	if hasInput(n, i) {
		return n.In[i].Type
	}
	return onnx.Type{}
}

func hasInput(n *onnx.Node, i int) bool { return i < len(n.In) && n.In[i] != nil }
