package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// normAxes maps axes to [0, rank) and refuses duplicates.
func normAxes(axes []int, rank int) ([]int, error) {
	out := make([]int, len(axes))
	seen := make([]bool, rank)
	for i, a := range axes {
		n, err := tensor.Axis(a, rank)
		if err != nil {
			return nil, err
		}
		if seen[n] {
			return nil, fmt.Errorf("axis %d is given twice in %v", n, axes)
		}
		seen[n] = true
		out[i] = n
	}
	return out, nil
}

// axisOf is tensor.Axis for a kernel's axis input: an integer scalar or a
// vector of one element.
func (c *Call) axisOf(i, rank int) (int, error) {
	v, err := c.one(i)
	if err != nil {
		return 0, err
	}
	return tensor.Axis(v, rank)
}

// one returns the only element of input i, an integer tensor.
func (c *Call) one(i int) (int, error) {
	v, err := c.Ints(i)
	if err != nil {
		return 0, err
	}
	if len(v) != 1 {
		return 0, fmt.Errorf("input %d has %d elements, want 1", i, len(v))
	}
	return v[0], nil
}

// sizesKnown returns the elements of input i if all are known integers.
func (c *InferContext) sizesKnown(i int) ([]int, bool) {
	v, ok := c.KnownInts(i)
	if !ok {
		return nil, false
	}
	out := make([]int, len(v))
	for k, d := range v {
		if out[k], ok = d.Size(); !ok {
			return nil, false
		}
	}
	return out, true
}

// setRank gives output i a tensor type with a rank and unknown dimensions.
func (c *InferContext) setRank(i int, d tensor.DType, rank int) {
	c.Out[i] = onnx.TensorType(d, make([]onnx.Dim, rank)...)
}

// wants reports whether output i is asked for.
func (c *InferContext) wants(i int) bool { return i < len(c.Node.Out) && c.Node.Out[i] != nil }

// scalarKnown returns the only known integer of input i.
func (c *InferContext) scalarKnown(i int) (int, bool) {
	v, ok := c.sizesKnown(i)
	if !ok || len(v) != 1 {
		return 0, false
	}
	return v[0], true
}

// vectorLen returns the number of elements of input i, a vector, if it is known.
func (c *InferContext) vectorLen(i int) (int, bool) {
	if v, ok := c.KnownInts(i); ok {
		return len(v), true
	}
	if t := c.In(i); t.Ranked && len(t.Dims) == 1 {
		return t.Dims[0].Size()
	}
	return 0, false
}

// productOf multiplies dims; a zero is known even next to unknown sizes.
func productOf(dims []onnx.Dim) onnx.Dim {
	n := onnx.Size(1)
	for _, d := range dims {
		if d.Is(0) {
			return d
		}
		n = n.Mul(d)
	}
	return n
}
