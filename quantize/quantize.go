// Package quantize makes models smaller and faster by storing and computing
// with fewer bits. All of its functions rewrite ONNX graphs into ONNX graphs:
// what comes out is a plain model that any runtime loads.
package quantize

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
