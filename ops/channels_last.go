package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// The private operators x.Conv, x.ConvTranspose, x.MaxPool and x.AveragePool
// are the operators of these names on tensors with the channels last, with one
// to three spatial dimensions.

// channelsFirstType returns the type [n, c, d…] of a tensor [n, d…, c].
func channelsFirstType(t onnx.Type) onnx.Type {
	if r := len(t.Dims); t.Ranked && r >= 2 {
		t.Dims = slices.Concat(t.Dims[:1], t.Dims[r-1:], t.Dims[1:r-1])
	}
	return t
}

// channelsLastType is the other way round.
func channelsLastType(t onnx.Type) onnx.Type {
	if r := len(t.Dims); t.Ranked && r >= 2 {
		t.Dims = slices.Concat(t.Dims[:1], t.Dims[2:], t.Dims[1:2])
	}
	return t
}

// inferLast infers like an operator whose input 0 and outputs have the channels first.
func inferLast(infer func(*InferContext) error) func(*InferContext) error {
	return func(c *InferContext) error {
		if x := c.In(0); x.Ranked && (len(x.Dims) < 3 || len(x.Dims) > 5) {
			return fmt.Errorf("X is %v, want [n d… c] with 1 to 3 spatial dimensions", x)
		}
		node := *c.Node
		node.In = slices.Clone(node.In)
		x := *node.In[0]
		x.Type = channelsFirstType(x.Type)
		node.In[0] = &x
		first := *c
		first.Node, first.attrs.node = &node, &node
		err := infer(&first)
		if err == nil {
			err = first.err
		}
		for i := range first.Out {
			c.Out[i] = channelsLastType(first.Out[i])
		}
		return err
	}
}

// lastFirst returns the shape [n, c, d…], until the call ends.
func lastFirst(c *Call, n, ch int, spatial []int) []int {
	s := c.Dims(2 + len(spatial))
	s[0], s[1] = n, ch
	copy(s[2:], spatial)
	return s
}

// lastShape checks that x is [n, d…, c] and returns its parts.
func lastShape(x []int) (n int, spatial []int, c int, err error) {
	if len(x) < 3 || len(x) > 5 {
		return 0, nil, 0, fmt.Errorf("X has shape %v, want [n d… c] with 1 to 3 spatial dimensions", x)
	}
	return x[0], x[1 : len(x)-1], x[len(x)-1], nil
}
