package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Clip: output = min(max(input, min), max), element-wise; NaN stays NaN.
//
//	input: T[...]    min, max: T[], optional    output: T[...], the same shape; may share input's storage
//
// Where min is above max, the result is max. Before opset 11 the bounds are the
// attributes min and max.
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Clip.html
func init() {
	register(&Op{
		Name: "Clip",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildClipAttrs(float32(math.Inf(1)))},
			// 6 gave the attributes defaults.
			{Since: 6, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildClipAttrs(math.MaxFloat32)},
			// 12 and 13 only widen the types.
			{Since: 11, In: Arity{1, 3}, Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildClip},
		},
	})
}

func buildClipAttrs(def float32) func(b *BuildContext) (Kernel, error) {
	return func(b *BuildContext) (Kernel, error) {
		lo, hi := b.Float("min", -def), b.Float("max", def)
		b.Ignore("consumed_inputs")
		return b.need(0, floatKernels(
			func(d, x []float32) { clipLoop(d, x, lo, hi) },
			func(d, x []float64) { clipLoop(d, x, float64(lo), float64(hi)) }))
	}
}

func buildClip(b *BuildContext) (Kernel, error) {
	f32 := clipKernel(float32(math.Inf(-1)), float32(math.Inf(1)))
	return b.need(0, merge(halfThrough(byType{
		tensor.Float32: f32,
		tensor.Float64: clipKernel(math.Inf(-1), math.Inf(1)),
	}), integerPairs(
		clipBytes[int8](math.MinInt8, math.MaxInt8), clipKernel[int16](math.MinInt16, math.MaxInt16),
		clipKernel[int32](math.MinInt32, math.MaxInt32), clipKernel[int64](math.MinInt64, math.MaxInt64),
		clipBytes[uint8](0, math.MaxUint8), clipKernel[uint16](0, math.MaxUint16),
		clipKernel[uint32](0, math.MaxUint32), clipKernel[uint64](0, math.MaxUint64))))
}

func clipKernel[T interface {
	number
	tensor.Element
}](least, most T) Kernel {
	return func(c *Call) error {
		lo, hi, err := bounds(c, least, most)
		if err != nil {
			return err
		}
		x := c.T(0)
		src, dst := tensor.Data[T](x), tensor.Data[T](c.Output(0, x.DType(), x.Shape()...))
		par.Run(c.P, len(dst), grain, par.With(clipRun[T]{dst, src, lo, hi}))
		return nil
	}
}

// bounds returns min and max, least and most where they are absent.
func bounds[T tensor.Element](c *Call, least, most T) (lo, hi T, err error) {
	if lo, err = bound(c, 1, "min", least); err == nil {
		hi, err = bound(c, 2, "max", most)
	}
	return lo, hi, err
}

// clipBytes looks up what each of the 256 values becomes: models quantised to few
// bits clip after every layer.
func clipBytes[T int8 | uint8](least, most T) Kernel {
	return func(c *Call) error {
		lo, hi, err := bounds(c, least, most)
		if err != nil {
			return err
		}
		table := (*[256]byte)(Scratch[uint8](c, 256))
		for i := range table {
			table[i] = byte(min(max(T(i), lo), hi))
		}
		x := c.T(0)
		lookup(c, c.Output(0, x.DType(), x.Shape()...).Bytes(), x.Bytes(), table)
		return nil
	}
}

type clipRun[T number] struct {
	dst, src []T
	lo, hi   T
}

func (r *clipRun[T]) Chunk(lo, hi int) { clipLoop(r.dst[lo:hi], r.src[lo:hi], r.lo, r.hi) }

// bound returns the only element of input i, or def if it is absent.
func bound[T tensor.Element](c *Call, i int, name string, def T) (T, error) {
	t := c.T(i)
	if t == nil {
		return def, nil
	}
	if t.DType() != tensor.DTypeOf[T]() {
		return def, fmt.Errorf("%s is %v, want %v as the input", name, t.DType(), tensor.DTypeOf[T]())
	}
	if t.Len() != 1 {
		return def, fmt.Errorf("%s has shape %v, want a scalar", name, t.Shape())
	}
	return tensor.Data[T](t)[0], nil
}

func clipLoop[T number](d, x []T, lo, hi T) {
	if f, ok := any(d).([]float32); ok {
		vec.Best().Clip(f, any(x).([]float32), any(lo).(float32), any(hi).(float32))
		return
	}
	if lo != lo || hi != hi { // a bound that is NaN bounds nothing
		zip(d, x, func(v T) T {
			if v < lo {
				v = lo
			}
			if v > hi {
				v = hi
			}
			return v
		})
		return
	}
	zip(d, x, func(v T) T { return min(max(v, lo), hi) })
}

// gradClip: what is inside passes, as in PyTorch's clamp, whose bounds belong to the
// inside. min gets what lies below it where it is below max, max what lies above
// it, or everything where it is below min.
func gradClip(c *GradContext) []*onnx.Value {
	x, lo, hi, d := c.X(0), c.X(1), c.X(2), c.DOut[0]
	out := make([]*onnx.Value, 3)
	if c.Needs(0) {
		out[0] = c.Ops(Private, "ClipGrad", nil, 1, d, x, lo, hi)[0]
	}
	if c.Needs(1) {
		at := c.Op("Less", nil, x, lo)
		if hi != nil {
			at = c.Op("And", nil, at, c.Op("Less", nil, lo, hi))
		}
		out[1] = c.SumTo(c.Pick(at, d), lo)
	}
	if c.Needs(2) {
		at := c.Op("Greater", nil, x, hi)
		if lo != nil {
			at = c.Op("Or", nil, at, c.Op("Less", nil, hi, lo))
		}
		out[2] = c.SumTo(c.Pick(at, d), hi)
	}
	return out
}
