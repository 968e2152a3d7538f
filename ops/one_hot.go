package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// OneHot: output has a new dimension of size depth at axis, with values[1]
// where its index is the one in indices and values[0] elsewhere. An index out
// of [-depth, depth-1] gives values[0] throughout.
//
//	indices: T1[...], depth: T2[], values: T3[2]    output: T3[..., depth, ...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__OneHot.html
func init() {
	register(&Op{
		Name: "OneHot",
		// 11 allowed negative axes and indices.
		Versions: []Version{{Since: 9, In: N(3), Out: N(1), Infer: inferOneHot, Build: buildOneHot}},
	})
}

func inferOneHot(c *InferContext) error {
	x := c.In(0)
	axis := c.Int("axis", -1)
	c.Out[0] = onnx.UnrankedType(c.In(2).DType)
	if !x.Ranked {
		return nil
	}
	a, err := tensor.Axis(axis, len(x.Dims)+1)
	if err != nil {
		return err
	}
	var depth onnx.Dim
	if v, ok := c.KnownInts(1); ok && len(v) == 1 {
		depth = v[0]
	}
	dims := append([]onnx.Dim{}, x.Dims[:a]...)
	dims = append(append(dims, depth), x.Dims[a:]...)
	c.Out[0] = onnx.TensorType(c.In(2).DType, dims...)
	return nil
}

// wholeNumbers returns the elements of a real input as integers, fractions cut, valid until the call ends.
func wholeNumbers(c *Call, i int) ([]int, error) {
	switch t := c.T(i); t.DType() {
	case tensor.Float32:
		return cutReals(c, tensor.Data[float32](t)), nil
	case tensor.Float64:
		return cutReals(c, tensor.Data[float64](t)), nil
	case tensor.Float16, tensor.BFloat16:
		return cutReals(c, tensor.Data[float32](tensor.Widen(t))), nil
	}
	return c.Ints(i)
}

func cutReals[T floating](c *Call, v []T) []int {
	out := c.Dims(len(v))
	for i, x := range v {
		out[i] = math.MaxInt // no index
		if math.Abs(float64(x)) < math.MaxInt {
			out[i] = int(x)
		}
	}
	return out
}

func buildOneHot(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", -1)
	return bytewise(func(c *Call) error {
		x, v := c.T(0), c.T(2)
		s := x.Shape()
		a, err := tensor.Axis(axis, len(s)+1)
		if err != nil {
			return err
		}
		idx, err := wholeNumbers(c, 0)
		if err != nil {
			return fmt.Errorf("indices: %w", err)
		}
		depths, err := wholeNumbers(c, 1)
		if err != nil {
			return fmt.Errorf("depth: %w", err)
		}
		if len(depths) != 1 || depths[0] < 0 {
			return fmt.Errorf("depth is %v, want one number that is not negative", depths)
		}
		if v.Len() != 2 {
			return fmt.Errorf("values has shape %v, want [2]", v.Shape())
		}
		depth := depths[0]
		shape := append(c.Dims(len(s) + 1)[:0], s[:a]...)
		shape = append(append(shape, depth), s[a:]...)
		y := c.Output(0, v.DType(), shape...)
		if y.Len() == 0 {
			return nil
		}
		m := moverOf(v.DType())
		m.fill(c.P, y, 0, y.Len(), v, 0)
		inner := sizeOf(s[a:])
		to, from := Scratch[int64](c, len(idx))[:0], Scratch[int64](c, len(idx))
		for i, k := range idx {
			if k < 0 {
				k += depth
			}
			if k >= 0 && k < depth {
				to = append(to, int64((i/inner*depth+k)*inner+i%inner))
			}
			from[i] = 1
		}
		m.blocks(c.P, y, to, v, from, 1, len(to))
		return nil
	}, 0), nil
}

// gradOneHot: values[1] gets the sum of dY where the ones are, values[0] the rest.
func gradOneHot(c *GradContext) []*onnx.Value {
	d, all := c.DOut[0], onnx.NewAttrs("keepdims", 0)
	unit := c.Op("Concat", onnx.NewAttrs("axis", 0), c.Op("Reshape", nil, c.Scalar(0), c.Ints(1)), c.Op("Reshape", nil, c.Scalar(1), c.Ints(1)))
	ones := c.Op("OneHot", onnx.NewAttrs("axis", c.Attr.Int("axis", -1)), c.X(0), c.X(1), unit)
	on := c.Op("ReduceSum", all, c.Times(d, ones))
	off := c.Minus(c.Op("ReduceSum", all, d), on)
	axis := c.Ints(0)
	return []*onnx.Value{nil, nil, c.Op("Concat", onnx.NewAttrs("axis", 0), c.Op("Unsqueeze", nil, off, axis), c.Op("Unsqueeze", nil, on, axis))}
}
