// Package quantize makes models smaller and faster by storing and computing
// with fewer bits. All of its functions rewrite ONNX graphs into ONNX graphs:
// what comes out is a plain model that any runtime loads.
package quantize

import (
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
)

// Range is a closed interval of real numbers that holds the values of a tensor,
// or as much of them as is worth representing.
type Range struct{ Lo, Hi float32 }

// Ranges are the ranges of values of a graph, by name.
type Ranges map[string]Range

// Change says what became of one node of the given model.
type Change struct {
	Node string `json:"node"` // its name, or that of its first output if it has none
	Op   string `json:"op"`
	// Format says how it computes now, such as "uint8 x int8"; empty: as before.
	Format string `json:"format,omitempty"`
	// Reason says why it was left as it was.
	Reason string `json:"reason,omitempty"`
}

// Summary says what a function of this package did to a model.
type Summary struct {
	Changes []Change `json:"changes"` // in the order of the graph
	// Inputs lists inputs that are no more: their defaults were weights of what was changed.
	Inputs []string `json:"inputs,omitempty"`
	// Bytes of all initializers, before and after.
	Before int64 `json:"bytes_before"`
	After  int64 `json:"bytes_after"`
}

// Changed returns how many nodes compute in another format now.
func (s *Summary) Changed() int {
	n := 0
	for _, c := range s.Changes {
		if c.Format != "" {
			n++
		}
	}
	return n
}

// dropTraces takes out of g and what is in it what PyTorch notes where it exports a model:
// modules, functions and lines of source that each node comes from. In small models that
// is as large as quantised weights.
func dropTraces(g *onnx.Graph) {
	trace := func(p onnx.Prop) bool {
		return p.Key == "namespace" || strings.HasPrefix(p.Key, "pkg.torch.") || strings.HasPrefix(p.Key, "pkg.onnxscript.")
	}
	drop := func(ps *[]onnx.Prop) {
		if slices.ContainsFunc(*ps, trace) {
			*ps = slices.DeleteFunc(slices.Clone(*ps), trace) // clones of a model have it in common
		}
	}
	g.Walk(func(h *onnx.Graph) {
		drop(&h.Metadata)
		for _, v := range slices.Concat(h.Inputs, h.Consts, h.Outputs) {
			drop(&v.Metadata)
		}
		for _, n := range h.Nodes {
			drop(&n.Metadata)
			for _, v := range n.Out {
				if v != nil {
					drop(&v.Metadata)
				}
			}
		}
	})
}
