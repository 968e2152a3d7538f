// Package prune makes models smaller by taking weights away.
//
// [Magnitude], [NM] and [Block] set the least important weights to zero; shapes
// stay. [Structured] removes whole channels of convolutions, neurons of
// perceptrons and heads of attention, so that the model has smaller tensors and
// takes less time in any runtime. [Schedule] says how far to prune at which
// step of a training.
//
// All functions change the model they are given and never write to a tensor
// that it had before: tensors are replaced. None may run while another
// goroutine reads the same model.
//
// Sources: Han et al., Learning both Weights and Connections (2015), for
// magnitudes; Mishra et al., Accelerating Sparse Deep Neural Networks (2021),
// for N:M; Li et al., Pruning Filters for Efficient ConvNets (2017), and Fang et
// al., DepGraph: Towards Any Structural Pruning (2023), for coupled channels;
// Zhu and Gupta, To Prune, or Not to Prune (2017), for schedules.
package prune

import "fmt"

// Scope says among which weights the least important ones are sought.
type Scope uint8

// The scopes.
const (
	PerLayer Scope = iota // each layer, or group of coupled channels, loses the same fraction
	Global                // all layers are compared with each other
)

// String returns "per-layer" or "global".
func (s Scope) String() string {
	if s == Global {
		return "global"
	}
	return "per-layer"
}

// ParseScope returns the scope of that name.
func ParseScope(s string) (Scope, error) {
	for _, c := range []Scope{PerLayer, Global} {
		if s == c.String() {
			return c, nil
		}
	}
	return 0, fmt.Errorf("prune: there is no scope %q: it is %v or %v", s, PerLayer, Global)
}

// Totals measure a layer or a model.
type Totals struct {
	Parameters int64 `json:"parameters"` // elements of floating-point and quantised initializers
	Nonzeros   int64 `json:"nonzeros"`   // of these, those that are not zero
	Bytes      int64 `json:"bytes"`      // of these initializers
	// FLOPs of convolutions, products, attention and recurrent operators, two for
	// a multiply-add, with 1 in place of sizes that are not known.
	FLOPs int64 `json:"flops"`
}

// Layer says what became of one operator with weights.
type Layer struct {
	Node   string `json:"node"` // its name, or that of its first output if it has none
	Op     string `json:"op"`
	Weight string `json:"weight"` // the name of the initializer
	Was    []int  `json:"was"`    // shapes of the weight
	Is     []int  `json:"is"`
	Before Totals `json:"before"` // of the weight alone
	After  Totals `json:"after"`
	// Reason says why the weight was left as it was; empty where it was not.
	Reason string `json:"reason,omitempty"`
}

// Group is a set of dimensions that lose the same indices.
type Group struct {
	Layers []string `json:"layers"` // the layers whose outputs these dimensions are, by node name
	// Units are what can be removed on its own: channels, neurons, heads.
	Units   int `json:"units"`
	Removed int `json:"removed"`
	// PinnedBy names the node that some units cannot be removed for, Why says what
	// it is about it. Pinned is the number of such units.
	Pinned   int    `json:"pinned,omitempty"`
	PinnedBy string `json:"pinned_by,omitempty"`
	Why      string `json:"why,omitempty"`
}

// Report says what a function of this package did to a model.
type Report struct {
	Layers []Layer `json:"layers"`           // in the order of the graph
	Groups []Group `json:"groups,omitempty"` // of Structured, in the order of the graph
	// Inputs lists inputs that are no more: their defaults were weights that have another shape now.
	Inputs []string `json:"inputs,omitempty"`
	Before Totals   `json:"before"` // of the whole model
	After  Totals   `json:"after"`
}

// fraction returns an error unless x is in [0, 1).
func fraction(what string, x float64) error {
	if !(x >= 0 && x < 1) {
		return fmt.Errorf("prune: %s %v: want at least 0 and less than 1", what, x)
	}
	return nil
}
