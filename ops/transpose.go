package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Transpose: dimension i of transposed is dimension perm[i] of data; without
// perm the dimensions are reversed.
//
//	data: T[d0, …]    transposed: T[d(perm[0]), …]; shares data's storage where no element moves
//
// Spec: https://onnx.ai/onnx/operators/onnx__Transpose.html
func init() {
	register(&Op{
		Name:     "Transpose",
		Versions: []Version{{Since: 1, In: N(1), Out: N(1), Infer: inferTranspose, Build: buildTranspose}},
	})
}

// permOf checks perm against rank, or makes the reversing one.
func permOf(own, perm []int, given bool, rank int) ([]int, error) {
	if !given {
		for i := range own {
			own[i] = rank - 1 - i
		}
		return own, nil
	}
	if len(perm) != rank {
		return nil, fmt.Errorf("perm %v has %d entries, want %d", perm, len(perm), rank)
	}
	p, err := normAxesInto(own, perm, rank)
	if err != nil {
		return nil, fmt.Errorf("perm: %w", err)
	}
	return p, nil
}

func inferTranspose(c *InferContext) error {
	x := c.In(0)
	given := c.HasAttr("perm")
	perm := c.Ints("perm", nil)
	if !x.Ranked {
		c.Out[0] = onnx.UnrankedType(x.DType)
		if given {
			c.setRank(0, x.DType, len(perm))
		}
		return nil
	}
	perm, err := permOf(make([]int, len(x.Dims)), perm, given, len(x.Dims))
	if err != nil {
		return err
	}
	out := make([]onnx.Dim, len(perm))
	for i, k := range perm {
		out[i] = x.Dims[k]
	}
	c.Out[0] = onnx.TensorType(x.DType, out...)
	if v, ok := c.KnownInts(0); ok && len(perm) <= 1 {
		c.SetInts(0, v)
	}
	return nil
}

func buildTranspose(b *BuildContext) (Kernel, error) {
	given := b.HasAttr("perm")
	attr := b.Ints("perm", nil)
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		perm, err := permOf(c.Dims(len(s)), attr, given, len(s))
		if err != nil {
			return err
		}
		shape, ss := c.Dims(len(perm)), c.Dims(len(perm))
		strides := c.strides(s)
		last, moves := -1, false
		for i, k := range perm {
			shape[i], ss[i] = s[k], strides[k]
			if s[k] != 1 {
				moves = moves || k < last
				last = k
			}
		}
		if !moves {
			return c.reshaped(shape)
		}
		y := c.Output(0, x.DType(), shape...)
		moverOf(x.DType()).copy(c.P, y, x, strided{shape: shape, ds: c.strides(shape), ss: ss})
		return nil
	}, 0), nil
}

func gradTranspose(c *GradContext) []*onnx.Value {
	perm := c.Attr.Ints("perm", nil)
	if perm == nil { // it reverses the dimensions: so does its gradient
		return []*onnx.Value{c.Op("Transpose", nil, c.DOut[0])}
	}
	back := make([]int, len(perm))
	for i, p := range perm {
		at, err := tensor.Axis(p, len(perm))
		if err != nil {
			c.Fail(fmt.Errorf("attribute perm: %w", err))
			return nil
		}
		back[at] = i
	}
	return []*onnx.Value{c.Op("Transpose", onnx.NewAttrs("perm", back), c.DOut[0])}
}
