package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Reshape: the elements of data, in order, under another shape. A -1 stands
// for what is left over, a 0 for the dimension of data at the same place
// (unless allowzero is 1).
//
//	data: T[...], shape: int64[r]    reshaped: T[shape]; shares data's storage
//
// Spec: https://onnx.ai/onnx/operators/onnx__Reshape.html
func init() {
	register(&Op{
		Name: "Reshape",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferReshape1, Build: buildReshape1},
			{Since: 5, In: N(2), Out: N(1), Infer: inferReshape, Build: buildReshape},
			// 14 added allowzero.
		},
	})
}

func gradReshape(c *GradContext) []*onnx.Value { return []*onnx.Value{c.Like(c.DOut[0], c.X(0))} }

func inferReshape1(c *InferContext) error {
	return inferReshapeTo(c, onnx.Sizes(c.Ints("shape", nil)...), false)
}

func inferReshape(c *InferContext) error {
	want, ok := c.KnownInts(1)
	zero := c.Bool("allowzero", false)
	if !ok {
		c.Out[0] = onnx.UnrankedType(c.In(0).DType)
		if n, ok := c.vectorLen(1); ok {
			c.setRank(0, c.In(0).DType, n)
		}
		return nil
	}
	return inferReshapeTo(c, want, zero)
}

func inferReshapeTo(c *InferContext, want []onnx.Dim, allowZero bool) error {
	x := c.In(0)
	out := make([]onnx.Dim, len(want))
	infer := -1
	sure := true // every other dimension is what it says, none can be a -1 or 0 in disguise
	for i, d := range want {
		n, known := d.Size()
		switch {
		case !d.Known():
			sure = false
		case !known:
			out[i] = d
		case n == -1:
			if infer >= 0 {
				return fmt.Errorf("shape %v has more than one -1", want)
			}
			infer = i
		case n < -1:
			return fmt.Errorf("shape %v has dimension %d", want, n)
		case n == 0 && !allowZero:
			if x.Ranked {
				if i >= len(x.Dims) {
					return fmt.Errorf("shape %v has a 0 at %d, data has rank %d", want, i, len(x.Dims))
				}
				out[i] = x.Dims[i]
			}
			sure = sure && out[i].Known()
		default:
			out[i] = d
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, out...)
	if v, ok := c.KnownInts(0); ok && len(want) <= 1 {
		c.SetInts(0, v)
		if len(want) == 1 {
			out[0] = onnx.Size(len(v))
			return nil
		}
	}
	if !x.Ranked || !sure && infer >= 0 {
		return nil
	}
	if infer < 0 {
		// One unknown dimension is what the rest leaves over.
		for i, d := range out {
			if !d.Known() {
				if infer >= 0 {
					return nil
				}
				infer = i
			}
		}
		if infer < 0 {
			return nil
		}
	}
	out[infer] = leftover(x.Dims, out, infer)
	return nil
}

// leftover returns the product of in divided by that of out without out[skip],
// if the division is known to be exact.
func leftover(in, out []onnx.Dim, skip int) onnx.Dim {
	in = append([]onnx.Dim{}, in...)
	rest := onnx.Size(1)
	for i, d := range out {
		if i == skip {
			continue
		}
		gone := false
		if _, number := d.Size(); !number {
			for k, e := range in {
				if e.Equal(d) { // a named size cancels
					in[k], gone = onnx.Size(1), true
					break
				}
			}
		}
		if !gone {
			rest = rest.Mul(d)
		}
	}
	num := productOf(in)
	if rest.Is(0) || !num.Known() || !rest.Known() {
		return onnx.Dim{}
	}
	q := num.FloorDiv(rest)
	if n, ok := num.Size(); ok {
		if m, ok := rest.Size(); ok && n%m != 0 {
			return onnx.Dim{}
		}
	}
	return q
}

// reshapeTo returns the shape that want asks for of a tensor of shape in.
func reshapeTo(out, in, want []int, allowZero bool) ([]int, error) {
	infer, rest := -1, 1
	for i, d := range want {
		switch {
		case d == -1:
			if infer >= 0 {
				return nil, fmt.Errorf("shape %v has more than one -1", want)
			}
			infer = i
			continue
		case d < -1:
			return nil, fmt.Errorf("shape %v has dimension %d", want, d)
		case d == 0 && !allowZero:
			if i >= len(in) {
				return nil, fmt.Errorf("shape %v has a 0 at %d, data has rank %d", want, i, len(in))
			}
			d = in[i]
		}
		out[i] = d
	}
	if infer >= 0 {
		var err error
		out[infer] = 1
		if rest, err = tensor.Count(out); err != nil {
			return nil, err
		}
		n := sizeOf(in)
		if rest == 0 {
			if allowZero {
				return nil, fmt.Errorf("shape %v has a -1 next to a 0", want)
			}
			// data is empty too; any size fits, and 0 is what others take
			out[infer] = 0
			return out, nil
		}
		if n%rest != 0 {
			return nil, fmt.Errorf("shape %v does not divide %d elements of shape %v", want, n, in)
		}
		out[infer] = n / rest
	}
	n, err := tensor.Count(out)
	if err != nil {
		return nil, err
	}
	if m := sizeOf(in); n != m {
		return nil, fmt.Errorf("shape %v has %d elements, want %d as in %v", want, n, m, in)
	}
	return out, nil
}

// reshaped sets output 0 to input 0 under another shape.
func (c *Call) reshaped(shape []int) error {
	return c.View(0, c.T(0), shape...)
}

func buildReshape1(b *BuildContext) (Kernel, error) {
	want := b.Ints("shape", nil)
	b.Ignore("consumed_inputs")
	return func(c *Call) error {
		shape, err := reshapeTo(c.Dims(len(want)), c.T(0).Shape(), want, false)
		if err != nil {
			return err
		}
		return c.reshaped(shape)
	}, nil
}

func buildReshape(b *BuildContext) (Kernel, error) {
	zero := b.Bool("allowzero", false)
	return func(c *Call) error {
		want, err := c.Ints(1)
		if err != nil {
			return err
		}
		shape, err := reshapeTo(c.Dims(len(want)), c.T(0).Shape(), want, zero)
		if err != nil {
			return err
		}
		return c.reshaped(shape)
	}, nil
}
