package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReverseSequence: entry b of the batch with its first sequence_lens[b] steps
// in reverse order.
//
//	input: T[T, B, ...] or T[B, T, ...], sequence_lens: int64[B]    Y: T, same shape
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReverseSequence.html
func init() {
	register(&Op{
		Name:     "ReverseSequence",
		Versions: []Version{{Since: 10, In: N(2), Out: N(1), Infer: inferReverseSequence, Build: buildReverseSequence}},
	})
}

func gradReverseSequence(c *GradContext) []*onnx.Value {
	as := onnx.NewAttrs("batch_axis", c.Attr.Int("batch_axis", 1), "time_axis", c.Attr.Int("time_axis", 0))
	return []*onnx.Value{c.Op("ReverseSequence", as, c.DOut[0], c.X(1))}
}

func inferReverseSequence(c *InferContext) error {
	x := c.In(0)
	if x.Ranked && len(x.Dims) < 2 {
		return fmt.Errorf("input has rank %d, want at least 2", len(x.Dims))
	}
	c.Out[0] = onnx.UnrankedType(x.DType)
	if x.Ranked {
		c.Out[0] = x
	}
	return nil
}

func buildReverseSequence(b *BuildContext) (Kernel, error) {
	batch, time := b.Int("batch_axis", 1), b.Int("time_axis", 0)
	if batch < 0 || batch > 1 || time != 1-batch {
		return nil, fmt.Errorf("batch_axis %d and time_axis %d, want 0 and 1 or 1 and 0", batch, time)
	}
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		if len(s) < 2 {
			return fmt.Errorf("input has shape %v, want rank at least 2", s)
		}
		lens, err := c.Ints(1)
		if err != nil {
			return err
		}
		if len(lens) != s[batch] {
			return fmt.Errorf("sequence_lens has %d elements, want %d", len(lens), s[batch])
		}
		for _, n := range lens {
			if n < 0 || n > s[time] {
				return fmt.Errorf("sequence length %d is not in [0, %d]", n, s[time])
			}
		}
		y := c.Output(0, x.DType(), s...)
		if y.Len() == 0 {
			return nil
		}
		st := tensor.Strides(s)
		from := Scratch[int64](c, s[0]*s[1])
		for i := range s[0] {
			for j := range s[1] {
				at := [2]int{i, j}
				if n := lens[at[batch]]; at[time] < n {
					at[time] = n - 1 - at[time]
				}
				from[i*s[1]+j] = int64(at[0]*st[0] + at[1]*st[1])
			}
		}
		moverOf(x.DType()).blocks(c.P, y, nil, x, from, st[1], len(from))
		return nil
	}, 0), nil
}
