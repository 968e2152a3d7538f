package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Gather: output[i…, j…, k…] = data[i…, indices[j…], k…], where i… are the
// dimensions before axis. Negative indices count from the end.
//
//	data: T[...], indices: int32 or int64[...]    output: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Gather.html
func init() {
	register(&Op{
		Name: "Gather",
		// 11 allowed negative axes and indices, which are errors before.
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), Infer: inferGather, Build: buildGather}},
	})
}

func inferGather(c *InferContext) error {
	x, idx := c.In(0), c.In(1)
	axis := c.Int("axis", 0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked {
		return nil
	}
	a, err := tensor.Axis(axis, len(x.Dims))
	if err != nil {
		return err
	}
	if idx.Ranked {
		var out []onnx.Dim
		out = append(out, x.Dims[:a]...)
		out = append(out, idx.Dims...)
		c.Out[0] = onnx.TensorType(x.DType, append(out, x.Dims[a+1:]...)...)
	}
	vals, ok := c.KnownInts(0)
	if at, ok2 := c.KnownInts(1); ok && ok2 && len(x.Dims) == 1 && idx.Ranked && len(idx.Dims) <= 1 {
		out := make([]onnx.Dim, len(at))
		for i, d := range at {
			n, ok := d.Size()
			if !ok {
				continue
			}
			if n < -len(vals) || n >= len(vals) {
				return fmt.Errorf("index %d is not in [%d, %d]", n, -len(vals), len(vals)-1)
			}
			if n < 0 {
				n += len(vals)
			}
			out[i] = vals[n]
		}
		c.SetInts(0, out)
	}
	return nil
}

// indices returns the elements of input i, each mapped from [-n, n-1] to [0, n-1].
func (c *Call) indices(i, n int) ([]int64, error) {
	t := c.T(i)
	var out []int64
	switch t.DType() {
	case tensor.Int64:
		src := tensor.Data[int64](t)
		ok := true
		for _, v := range src {
			if uint64(v) >= uint64(n) {
				ok = false
				break
			}
		}
		if ok {
			return src, nil
		}
		out = Scratch[int64](c, len(src))
		copy(out, src)
	case tensor.Int32:
		src := tensor.Data[int32](t)
		out = Scratch[int64](c, len(src))
		for k, v := range src {
			out[k] = int64(v)
		}
	default:
		return nil, fmt.Errorf("input %d has element type %v, want int32 or int64", i, t.DType())
	}
	for k, v := range out {
		if v < -int64(n) || v >= int64(n) {
			return nil, fmt.Errorf("index %d is not in [%d, %d]", v, -n, n-1)
		}
		if v < 0 {
			out[k] = v + int64(n)
		}
	}
	return out, nil
}

func buildGather(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", 0)
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		a, err := tensor.Axis(axis, len(s))
		if err != nil {
			return err
		}
		idx, err := c.indices(1, s[a])
		if err != nil {
			return err
		}
		at := c.T(1).Shape()
		shape := append(append(append(c.Dims(len(s) + len(at) - 1)[:0], s[:a]...), at...), s[a+1:]...)
		y := c.Output(0, x.DType(), shape...)
		moverOf(x.DType()).gather(c.P, y, x, idx, sizeOf(s[:a]), s[a], sizeOf(s[a+1:]))
		return nil
	}, 0), nil
}

// gradGather: what was taken several times gets the sum.
func gradGather(c *GradContext) []*onnx.Value {
	as := onnx.NewAttrs("axis", c.Attr.Int("axis", 0))
	return []*onnx.Value{c.Ops(Private, "GatherGrad", as, 1, c.DOut[0], c.shapeOf(c.X(0)), c.X(1))[0]}
}
