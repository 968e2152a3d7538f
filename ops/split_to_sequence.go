package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// SplitToSequence: the pieces of input along axis: of size split (the last may
// be smaller), of the sizes split, or, without split, of size 1, from which
// keepdims 0 drops the dimension.
//
//	input: T[..., n, ...], split: int32 or int64[] or [k], optional    output_sequence: seq(T)
//
// Spec: https://onnx.ai/onnx/operators/onnx__SplitToSequence.html
func init() {
	register(&Op{
		Name:     "SplitToSequence",
		Versions: []Version{{Since: 11, In: Arity{1, 2}, Out: N(1), Infer: inferSplitToSequence, Build: buildSplitToSequence}},
	})
}

func inferSplitToSequence(c *InferContext) error {
	x := c.In(0)
	axis, keep := c.Int("axis", 0), c.Bool("keepdims", true)
	e := onnx.UnrankedType(x.DType)
	if x.Ranked {
		a, err := tensor.Axis(axis, len(x.Dims))
		if err != nil {
			return err
		}
		dims := append([]onnx.Dim{}, x.Dims...)
		switch {
		case c.Has(1):
			dims[a] = onnx.Dim{}
		case keep:
			dims[a] = onnx.Size(1)
		default:
			dims = append(dims[:a], dims[a+1:]...)
		}
		e = onnx.TensorType(x.DType, dims...)
	}
	c.Out[0] = sequenceOf(e)
	return nil
}

// chunkSizes returns the sizes of the pieces of n.
func chunkSizes(n int, split *tensor.Tensor) ([]int, error) {
	size := 1
	if split != nil {
		v, err := IntsOf(split)
		if err != nil {
			return nil, fmt.Errorf("input 1: %w", err)
		}
		if split.Rank() > 0 {
			return splitSizes(n, len(v), v, false, nil)
		}
		if size = v[0]; size < 1 {
			return nil, fmt.Errorf("split is %d, want a positive number", size)
		}
	}
	if n/size > 1<<24 { // a dimension next to a 0 can be of any size
		return nil, fmt.Errorf("%w: a sequence of %d", tensor.ErrSize, n/size)
	}
	var out []int
	for n > 0 {
		out = append(out, min(size, n))
		n -= min(size, n)
	}
	return out, nil
}

func buildSplitToSequence(b *BuildContext) (Kernel, error) {
	axis, keep := b.Int("axis", 0), b.Bool("keepdims", true)
	return func(c *Call) error {
		x := c.T(0)
		packed := x.DType()
		if packed.IsPacked() {
			x = unpackBits(x)
		}
		s := x.Shape()
		a, err := tensor.Axis(axis, len(s))
		if err != nil {
			return err
		}
		sizes, err := chunkSizes(s[a], c.T(1))
		if err != nil {
			return err
		}
		m := moverOf(x.DType())
		outer, inner, at := sizeOf(s[:a]), sizeOf(s[a+1:]), 0
		out := &tensor.Sequence{DType: packed}
		for _, n := range sizes {
			shape := append([]int{}, s...)
			shape[a] = n
			if !c.Has(1) && !keep {
				shape = append(shape[:a], shape[a+1:]...)
			}
			y := tensor.New(x.DType(), shape...)
			m.copy(c.P, y, x, strided{shape: c.list(outer, n*inner), ds: c.list(n*inner, 1), ss: c.list(s[a]*inner, 1), so: at * inner})
			if packed.IsPacked() {
				p := tensor.New(packed, shape...)
				packBits(p, y)
				y = p
			}
			out.Elems = append(out.Elems, y)
			at += n
		}
		c.SetOut(0, out)
		return nil
	}, nil
}
