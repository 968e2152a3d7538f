package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Range: output[i] = start + i*delta for i < max(ceil((limit - start) / delta), 0).
//
//	start, limit, delta: T[]    output: T[n]
//
// T is float16, bfloat16, float32, float64, int16, int32 or int64. The half
// types compute in float32.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Range.html
func init() {
	register(&Op{
		Name: "Range",
		// 27 added the half types and stash_type.
		Versions: []Version{{Since: 11, In: N(3), Out: N(1), Infer: inferRange, Build: buildRange}},
	})
}

// gradRange: dstart = Σ dY, ddelta = Σ i·dY[i]; limit only tells how many there are.
func gradRange(c *GradContext) []*onnx.Value {
	out, d, sum := make([]*onnx.Value, 3), c.DOut[0], onnx.NewAttrs("keepdims", 0)
	if c.Needs(0) {
		out[0] = c.Like(c.Op("ReduceSum", sum, d), c.X(0))
	}
	if c.Needs(2) {
		zero, one := c.Const(tensor.Scalar(int64(0))), c.Const(tensor.Scalar(int64(1)))
		at := c.Op("CastLike", nil, c.Op("Range", nil, zero, c.Op("Size", nil, d), one), d)
		out[2] = c.Like(c.Op("ReduceSum", sum, c.Times(d, at)), c.X(2))
	}
	return out
}

func inferRange(c *InferContext) error {
	d := c.In(0).DType
	c.setRank(0, d, 1)
	start, ok1 := c.KnownInts(0)
	limit, ok2 := c.KnownInts(1)
	delta, ok3 := c.KnownInts(2)
	if !c.Has(2) {
		delta, ok3 = onnx.Sizes(1), true
	}
	if !ok1 || !ok2 || !ok3 || len(start) != 1 || len(limit) != 1 || len(delta) != 1 {
		return nil
	}
	step, ok := delta[0].Size()
	if !ok || step == 0 {
		return nil
	}
	s, known1 := start[0].Size()
	e, known2 := limit[0].Size()
	if known1 && known2 {
		n, err := rangeLen(int64(s), int64(e), int64(step))
		if err != nil {
			return err
		}
		c.Out[0].Dims[0] = onnx.Size(n)
		if n <= 1024 {
			out := make([]onnx.Dim, n)
			for i := range out {
				out[i] = onnx.Size(s + i*step)
			}
			c.SetInts(0, out)
		}
		return nil
	}
	if step > 0 {
		n := limit[0].Sub(start[0]).CeilDiv(onnx.Size(step))
		if !(start[0].Is(0) && neverNegative(limit[0])) {
			n = n.Max(onnx.Size(0))
		}
		c.Out[0].Dims[0] = n
	}
	return nil
}

// rangeLen returns the number of elements of an integer range.
func rangeLen(start, limit, delta int64) (int, error) {
	var n uint64
	switch {
	case delta == 0:
		return 0, fmt.Errorf("delta is 0")
	case delta > 0 && limit > start:
		n = (uint64(limit)-uint64(start)-1)/uint64(delta) + 1
	case delta < 0 && limit < start:
		n = (uint64(start)-uint64(limit)-1)/(-uint64(delta)) + 1
	}
	if n > math.MaxInt {
		return 0, fmt.Errorf("%w: range of %d elements", tensor.ErrSize, n)
	}
	return int(n), nil
}

// rangeArgs returns start, limit and delta, scalars or vectors of one element;
// delta is 1 if it is absent.
func rangeArgs[T int8 | int16 | int32 | int64 | float32 | float64](c *Call) (v [3]T, err error) {
	d := tensor.DTypeOf[T]()
	for i := range v {
		t := c.T(i)
		if t == nil && i == 2 {
			v[i] = 1
			continue
		}
		if t == nil || t.DType() != d || t.Len() != 1 {
			return v, fmt.Errorf("input %d is %v, want a scalar %v", i, t, d)
		}
		v[i] = tensor.Data[T](t)[0]
	}
	return v, nil
}

func rangeInts[T int8 | int16 | int32 | int64](c *Call) error {
	v, err := rangeArgs[T](c)
	if err != nil {
		return err
	}
	n, err := rangeLen(int64(v[0]), int64(v[1]), int64(v[2]))
	if err != nil {
		return err
	}
	out := tensor.Data[T](c.Output(0, tensor.DTypeOf[T](), n))
	for i := range out {
		out[i] = v[0] + T(i)*v[2]
	}
	return nil
}

func rangeFloats[T float32 | float64](c *Call) error {
	v, err := rangeArgs[T](c)
	if err != nil {
		return err
	}
	if v[2] == 0 {
		return fmt.Errorf("delta is 0")
	}
	count := math.Ceil((float64(v[1]) - float64(v[0])) / float64(v[2]))
	if math.IsNaN(count) || count > min(1<<46, math.MaxInt) {
		return fmt.Errorf("%w: range of %g elements", tensor.ErrSize, count)
	}
	out := tensor.Data[T](c.Output(0, tensor.DTypeOf[T](), int(max(count, 0))))
	for i := range out {
		out[i] = v[0] + T(i)*v[2]
	}
	return nil
}

func buildRange(b *BuildContext) (Kernel, error) {
	if b.Node.Domain == "" {
		if s := b.Int("stash_type", 1); s != 1 {
			return nil, fmt.Errorf("%w: attribute %q is %d", ErrUnsupported, "stash_type", s)
		}
	}
	half := throughFloat32(rangeFloats[float32], 0)
	return b.dispatch(0, byType{
		tensor.Float32: rangeFloats[float32], tensor.Float64: rangeFloats[float64],
		tensor.Int16: rangeInts[int16], tensor.Int32: rangeInts[int32], tensor.Int64: rangeInts[int64],
		tensor.Float16: half, tensor.BFloat16: half,
	})
}
