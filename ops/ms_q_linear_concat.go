package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearConcat (com.microsoft): the inputs, each with a scale and zero point,
// requantized to Y_scale and Y_zero_point and put together along axis.
//
//	Y_scale, Y_zero_point    inputs: (tensor u8 or i8, scale, zero point)…    Y: type of Y_zero_point
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearConcat
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearConcat", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{3, Many}, Out: N(1), Infer: inferQLinearConcat, Build: buildQLinearConcat},
		},
	})
}

func inferQLinearConcat(c *InferContext) error {
	axis := c.Int("axis", 0)
	d := c.In(1).DType
	c.Out[0] = onnx.UnrankedType(d)
	var dims []onnx.Dim
	for i := 2; i < c.NumIn(); i += 3 {
		t := c.In(i)
		if !t.Ranked {
			return nil
		}
		at, err := tensor.Axis(axis, len(t.Dims))
		if err != nil {
			return err
		}
		if dims == nil {
			dims = slices.Clone(t.Dims)
			continue
		}
		if len(t.Dims) != len(dims) {
			return fmt.Errorf("input %d is %v, want %d dimensions", i, t, len(dims))
		}
		for k, e := range t.Dims {
			if k == at {
				dims[k] = dims[k].Add(e)
			} else if _, ok := dims[k].Size(); !ok {
				dims[k] = e
			}
		}
	}
	c.Out[0] = onnx.TensorType(d, dims...)
	return nil
}

func buildQLinearConcat(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", 0)
	if (b.NumIn()-2)%3 != 0 {
		return nil, fmt.Errorf("%d inputs, want 2 and 3 for each tensor", b.NumIn())
	}
	return func(c *Call) error {
		zt, err := byteInput(c, 1, "Y_zero_point")
		if err != nil {
			return err
		}
		d := zt.DType()
		qy, err := quantParamsOf(c, 0, d, "Y")
		if err != nil {
			return err
		}
		var shape []int
		at := 0
		for i := 2; i < len(c.In); i += 3 {
			t, err := byteInput(c, i, "it")
			if err != nil {
				return fmt.Errorf("input %d: %w", i, err)
			}
			if shape == nil {
				shape = c.list(t.Shape()...)
				if at, err = tensor.Axis(axis, len(shape)); err != nil {
					return err
				}
				continue
			}
			if t.Rank() != len(shape) {
				return fmt.Errorf("input %d has shape %v, want %d dimensions", i, t.Shape(), len(shape))
			}
			for k, e := range t.Shape() {
				if k == at {
					shape[k] += e
				} else if shape[k] != e {
					return fmt.Errorf("input %d has shape %v, want %d in dimension %d", i, t.Shape(), shape[k], k)
				}
			}
		}
		y := c.Output(0, d, shape...).Bytes()
		outer, inner := axisBlocks(shape, at)
		if outer == 0 {
			return nil // parts have places only in rows
		}
		row, first := shape[at]*inner, 0
		for i := 2; i < len(c.In); i += 3 {
			t := c.T(i)
			q, err := quantParamsOf(c, i+1, t.DType(), "it")
			if err != nil {
				return fmt.Errorf("input %d: %w", i, err)
			}
			n := t.Dim(at) * inner
			part := concatBytes{y: y[first:], x: t.Bytes(), n: n, row: row}
			if q != qy || q.scale <= 0 || t.DType() != d {
				part.table = rescaleTable(c, q, t.DType(), qy, d, func(v float32) float32 { return v })
			}
			par.Each(c.P, outer, 1+(1<<16)/max(1, n), part, (*concatBytes).run)
			first += n
		}
		return nil
	}, nil
}

// concatBytes puts one input, in pieces of n bytes, into the rows of the output.
type concatBytes struct {
	y, x   []byte
	n, row int
	table  *[256]byte // what bytes become; nil: they stay
}

func (a *concatBytes) run(lo, hi int) {
	for o := lo; o < hi; o++ {
		dst, src := a.y[o*a.row:][:a.n], a.x[o*a.n:][:a.n]
		if a.table == nil {
			copy(dst, src)
		} else {
			quant.Lookup(dst, src, a.table)
		}
	}
}
