package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// DequantizeLinear: y = (x - x_zero_point) * x_scale.
//
//	x: T1[...]    x_scale: T2, x_zero_point: T1    y: T3[...], x's shape
//
// x_scale has one element, one per index of the attribute axis, or, with the
// attribute block_size, x's shape divided along axis. x_zero_point (default 0)
// has its shape. T3 is output_dtype, else the type of x_scale.
//
// T1: int and uint of 2, 4, 8 and 16 bits, int32, float8 but float8e8m0,
// float4e2m1; T2: float32, float16, bfloat16, float8e8m0; T3: float32, float16,
// bfloat16.
//
// Spec: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
func init() {
	register(&Op{
		Name:     "DequantizeLinear",
		Numerics: Rounding,
		Versions: []Version{
			// 13 brought axis, 21 block_size, 23 output_dtype; others only widen the types.
			{Since: 10, In: Arity{2, 3}, Out: N(1), Infer: inferDequantizeLinear, Build: buildDequantizeLinear},
		},
	})
}

func inferDequantizeLinear(c *InferContext) error {
	q := readQuantAttrs(&c.attrs)
	t := c.In(0)
	t.Kind, t.DType = onnx.TensorKind, c.In(1).DType
	if q.out != tensor.Undefined {
		t.DType = q.out
	}
	c.Out[0] = t
	return nil
}

func buildDequantizeLinear(b *BuildContext) (Kernel, error) {
	q := readQuantAttrs(&b.attrs)
	return func(c *Call) error {
		x := c.T(0)
		if x == nil {
			return fmt.Errorf("x is absent")
		}
		st, scales, err := quantScales(c, "x_scale")
		if err != nil {
			return err
		}
		if z := c.T(2); z != nil && z.DType() != x.DType() {
			return fmt.Errorf("x_zero_point is %v, want %v as x", z.DType(), x.DType())
		}
		zeros, err := quantZeros(c, st, "x_zero_point")
		if err != nil {
			return err
		}
		plan, err := q.plan(x.Shape(), st.Shape())
		if err != nil {
			return err
		}
		d := st.DType()
		if q.out != tensor.Undefined {
			d = q.out
		}
		return dequantize(c, plan, x, scales, zeros, d)
	}, nil
}

func dequantize(c *Call, plan quantPlan, x *tensor.Tensor, scales, zeros []float32, d tensor.DType) error {
	switch d {
	case tensor.Float32, tensor.Float16, tensor.BFloat16:
	default:
		return fmt.Errorf("%w: dequantization to %v", ErrUnsupported, d)
	}
	isInt := x.DType().IsInt()
	switch {
	case isInt && x.DType().Bits() <= 32 && x.DType() != tensor.Uint32, isFloat8(x.DType()), x.DType() == tensor.Float4E2M1:
	default:
		return unsupportedType(0, x.DType())
	}
	if isInt && x.DType().IsPacked() {
		u := c.Lend(x.DType().Unpacked(), x.Shape())
		tensor.UnpackTo(u.Bytes(), x)
		x = u
	}
	y := c.Output(0, d, x.Shape()...)
	switch {
	case d == tensor.Float32 && x.DType() == tensor.Uint8 && isInt:
		dequantizeRows(c, plan, tensor.Data[float32](y), tensor.Data[uint8](x), scales, zeros)
		return nil
	case d == tensor.Float32 && x.DType() == tensor.Int8:
		dequantizeRows(c, plan, tensor.Data[float32](y), tensor.Data[int8](x), scales, zeros)
		return nil
	case d == tensor.Float32 && x.DType() == tensor.Uint16:
		dequantizeRows(c, plan, tensor.Data[float32](y), tensor.Data[uint16](x), scales, zeros)
		return nil
	case d == tensor.Float32 && x.DType() == tensor.Int16:
		dequantizeRows(c, plan, tensor.Data[float32](y), tensor.Data[int16](x), scales, zeros)
		return nil
	}
	par.Run(c.P, min(plan.rows, plan.n), plan.grain(), par.With(dequantizeAny{plan, x, y, scales, zeros}))
	return nil
}

// dequantizeAny is dequantize for any types.
type dequantizeAny struct {
	quantPlan
	x, y          *tensor.Tensor
	scales, zeros []float32
}

func (r *dequantizeAny) Chunk(from, to int) {
	mem, pool := borrow[castBlock]()
	defer pool.Put(mem)
	isInt := r.x.DType().IsInt()
	for i := from; i < to; i++ {
		for lo, hi, at, step := r.at(i); lo < hi; lo += block {
			b := mem.floats[:min(block, hi-lo)]
			if isInt {
				ints := mem.ints[:len(b)]
				loadInts(ints, r.x, lo)
				for i, v := range ints {
					b[i] = float64(v)
				}
			} else {
				loadFloats(b, r.x, lo)
			}
			for i, v := range b {
				p := at + i*step
				if r.zeros != nil {
					v -= float64(r.zeros[p])
				}
				b[i] = v * float64(r.scales[p])
			}
			storeFloats(r.y, lo, b, castRules{})
			at += step * len(b)
		}
	}
}

// dequantizeRows is the fast way from bytes and 16 bits to float32.
func dequantizeRows[S small](c *Call, plan quantPlan, dst []float32, x []S, scales, zeros []float32) {
	par.Run(c.P, min(plan.rows, plan.n), plan.grain(), par.With(dequantizeRun[S]{plan, dst, x, scales, zeros}))
}

type small interface{ int8 | uint8 | int16 | uint16 }

type dequantizeRun[S small] struct {
	quantPlan
	dst           []float32
	x             []S
	scales, zeros []float32
}

func (r *dequantizeRun[S]) Chunk(from, to int) {
	for i := from; i < to; i++ {
		lo, hi, at, step := r.at(i)
		d, x := r.dst[lo:hi], r.x[lo:hi]
		if step == 0 {
			s, z := r.scales[at], int32(0)
			if r.zeros != nil {
				z = int32(r.zeros[at])
			}
			switch x := any(x).(type) {
			case []uint8:
				quant.Dequantize(d, x, s, z)
			case []int8:
				quant.Dequantize(d, x, s, z)
			default:
				dequantizeOne(d, r.x[lo:hi], s, z)
			}
			continue
		}
		s := r.scales[at : at+len(d)]
		if r.zeros == nil {
			for i, v := range x[:len(d)] {
				d[i] = float32(v) * s[i]
			}
			continue
		}
		z := r.zeros[at : at+len(d)]
		for i, v := range x[:len(d)] {
			d[i] = (float32(v) - z[i]) * s[i]
		}
	}
}

func dequantizeOne[S small](dst []float32, x []S, scale float32, zero int32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = float32(int32(v)-zero) * scale
	}
}
