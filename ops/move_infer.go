package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// newInts is Call.Dims where there is no call.
func newInts(n int) []int { return make([]int, n) }

// normAxes maps axes to [0, rank) and refuses duplicates.
func normAxes(axes []int, rank int) ([]int, error) {
	return normAxesInto(make([]int, len(axes)), axes, rank)
}

func normAxesInto(out, axes []int, rank int) ([]int, error) {
	var seen []bool
	if len(axes) > 64 {
		seen = make([]bool, rank)
	}
	for i, a := range axes {
		n, err := tensor.Axis(a, rank)
		if err != nil {
			return nil, err
		}
		twice := seen == nil && slices.Contains(out[:i], n) || seen != nil && seen[n]
		if seen != nil {
			seen[n] = true
		}
		if twice {
			return nil, fmt.Errorf("axis %d is given twice in %v", n, axes)
		}
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

// inferArith is inferBroadcast for the arithmetic of integers that may be
// sizes: it also follows their symbolic values.
func inferArith(c *InferContext) error {
	if err := inferBroadcast(c); err != nil {
		return err
	}
	acc, ok := c.KnownInts(0)
	if !ok {
		return nil
	}
	for i := 1; i < c.NumIn(); i++ {
		v, ok := c.KnownInts(i)
		if !ok {
			return nil
		}
		n := max(len(acc), len(v))
		if len(acc) == 0 || len(v) == 0 || len(acc) != n && len(acc) != 1 || len(v) != n && len(v) != 1 {
			return nil
		}
		out := make([]onnx.Dim, n)
		for k := range out {
			out[k] = dimArith(c, acc[min(k, len(acc)-1)], v[min(k, len(v)-1)])
		}
		acc = out
	}
	c.SetInts(0, acc)
	return nil
}

// dimArith is one element of inferArith. Unknown operands give an unknown result.
func dimArith(c *InferContext, a, b onnx.Dim) onnx.Dim {
	if !a.Known() || !b.Known() {
		return onnx.Dim{}
	}
	x, okX := a.Size()
	y, okY := b.Size()
	switch c.Node.Op {
	case "Add", "Sum":
		return a.Add(b)
	case "Sub":
		return a.Sub(b)
	case "Mul":
		return a.Mul(b)
	case "Max":
		return a.Max(b)
	case "Min":
		return a.Min(b)
	case "Div": // cuts towards zero: the floor where nothing is negative
		switch {
		case okY && y == 0:
		case okX && okY:
			return onnx.Size(x / y)
		case neverNegative(a) && neverNegative(b):
			return a.FloorDiv(b)
		}
	case "Mod": // of integers, with the sign of the divisor
		if fmod := c.Int("fmod", 0); fmod == 0 && okY && y > 0 {
			return a.Sub(a.FloorDiv(b).Mul(b))
		}
	}
	return onnx.Dim{}
}
