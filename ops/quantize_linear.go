package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// QuantizeLinear: y = saturate(round(x / y_scale) + y_zero_point), where halves
// are rounded to even; float8 and float4 results round x / y_scale to that type.
//
//	x: T1[...]    y_scale: T2, y_zero_point: T3    y: T3[...], x's shape
//
// y_scale has one element, one per index of the attribute axis, or, with the
// attribute block_size, x's shape divided along axis. y_zero_point (default 0)
// has its shape. T3 is the type of y_zero_point or output_dtype, else uint8.
// The division has the precision of the attribute precision or else of y_scale.
// NaN becomes the least integer.
//
// T1: float32, float16, bfloat16, int32; T2: these and float8e8m0; T3: int and
// uint of 2, 4, 8 and 16 bits, float8 but float8e8m0, float4e2m1.
//
// Spec: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
func init() {
	register(&Op{
		Name:     "QuantizeLinear",
		Numerics: Rounding,
		Versions: []Version{
			// 13 brought axis, 19 saturate, 21 block_size and output_dtype, 23 precision; others only widen the types.
			{Since: 10, In: Arity{2, 3}, Out: N(1), Infer: inferQuantizeLinear, Build: buildQuantizeLinear},
		},
	})
}

func inferQuantizeLinear(c *InferContext) error {
	q := readQuantAttrs(&c.attrs)
	t := c.In(0)
	t.Kind, t.DType = onnx.TensorKind, tensor.Uint8
	switch {
	case c.Has(2):
		t.DType = c.In(2).DType
	case q.out != tensor.Undefined:
		t.DType = q.out
	}
	c.Out[0] = t
	return nil
}

func buildQuantizeLinear(b *BuildContext) (Kernel, error) {
	q := readQuantAttrs(&b.attrs)
	return func(c *Call) error {
		x := c.T(0)
		if x == nil {
			return fmt.Errorf("x is absent")
		}
		st, scales, err := quantScales(c, "y_scale")
		if err != nil {
			return err
		}
		d := tensor.Uint8
		if z := c.T(2); z != nil {
			d = z.DType()
			if q.out != tensor.Undefined && q.out != d {
				return fmt.Errorf("y_zero_point is %v, want %v as output_dtype says", d, q.out)
			}
		} else if q.out != tensor.Undefined {
			d = q.out
		}
		zeros, err := quantZeros(c, st, "y_zero_point")
		if err != nil {
			return err
		}
		plan, err := q.plan(x.Shape(), st.Shape())
		if err != nil {
			return err
		}
		k := quantizer{plan: plan, scales: scales, zeros: zeros, rules: q.rules, precision: q.precision}
		if k.precision == tensor.Undefined {
			k.precision = st.DType()
		}
		return k.run(c, x, d)
	}, nil
}

// quantizer is one call of QuantizeLinear.
type quantizer struct {
	plan          quantPlan
	scales, zeros []float32
	rules         castRules
	precision     tensor.DType
	lo, hi        float32
}

func (k *quantizer) run(c *Call, x *tensor.Tensor, d tensor.DType) error {
	var isInt bool
	k.lo, k.hi, isInt = quantRange(d)
	if !isInt && !isFloat8(d) && d != tensor.Float4E2M1 {
		return fmt.Errorf("%w: quantization to %v", ErrUnsupported, d)
	}
	switch x.DType() {
	case tensor.Float32, tensor.Float16, tensor.BFloat16, tensor.Int32:
	default:
		return unsupportedType(0, x.DType())
	}
	var y *tensor.Tensor
	if d.IsPacked() {
		y = c.Lend(d.Unpacked(), x.Shape())
	} else {
		y = c.Output(0, d, x.Shape()...)
	}
	switch {
	case x.DType() == tensor.Float32 && k.precision == tensor.Float32 && y.DType() == tensor.Uint8 && isInt:
		quantizeRows(c, k, tensor.Data[uint8](y), tensor.Data[float32](x))
	case x.DType() == tensor.Float32 && k.precision == tensor.Float32 && y.DType() == tensor.Int8:
		quantizeRows(c, k, tensor.Data[int8](y), tensor.Data[float32](x))
	case x.DType() == tensor.Float32 && k.precision == tensor.Float32 && y.DType() == tensor.Uint16:
		quantizeWords(c, k, tensor.Data[uint16](y), tensor.Data[float32](x))
	case x.DType() == tensor.Float32 && k.precision == tensor.Float32 && y.DType() == tensor.Int16:
		quantizeWords(c, k, tensor.Data[int16](y), tensor.Data[float32](x))
	default:
		par.Run(c.P, min(k.plan.rows, k.plan.n), k.plan.grain(), par.With(quantizeAny{*k, x, y, d, isInt}))
	}
	if d.IsPacked() {
		tensor.PackTo(c.Output(0, d, x.Shape()...), y.Bytes())
	}
	return nil
}

// quantizeAny is run for any types.
type quantizeAny struct {
	quantizer
	x, y  *tensor.Tensor
	d     tensor.DType
	isInt bool
}

func (r *quantizeAny) Chunk(from, to int) {
	buf, pool := borrow[[block]float64]()
	defer pool.Put(buf)
	for i := from; i < to; i++ {
		for lo, hi, at, step := r.plan.at(i); lo < hi; lo += block {
			b := buf[:min(block, hi-lo)]
			r.divide(b, r.x, lo, at, step)
			switch {
			case r.isInt:
				r.round(b, at, step)
				storeFloats(r.y, lo, b, r.rules)
			case r.d == tensor.Float4E2M1:
				codes := tensor.Data[uint8](r.y)[lo:]
				for i, v := range b {
					if r.zeros != nil {
						v += float64(r.zeros[at+i*step])
					}
					codes[i] = tensor.F4E2M1Of(v)
				}
			default:
				storeFloats(r.y, lo, b, r.rules)
			}
			at += step * len(b)
		}
	}
}

// divide sets b to x / scale, in the precision asked for.
func (k *quantizer) divide(b []float64, x *tensor.Tensor, lo, at, step int) {
	round := func(v float64) float64 { return float64(float32(v)) }
	switch k.precision {
	case tensor.Float16:
		round = func(v float64) float64 { return float64(tensor.F16Of64(v).Float32()) }
	case tensor.BFloat16:
		round = func(v float64) float64 { return float64(tensor.BF16Of64(v).Float32()) }
	case tensor.Float64:
		round = func(v float64) float64 { return v }
	}
	if x.DType() == tensor.Int32 {
		for i, v := range tensor.Data[int32](x)[lo : lo+len(b)] {
			b[i] = float64(v)
		}
	} else {
		loadFloats(b, x, lo)
	}
	for i, v := range b {
		b[i] = round(round(v) / round(float64(k.scales[at+i*step])))
	}
}

// round makes integers within the bounds of b.
func (k *quantizer) round(b []float64, at, step int) {
	for i, v := range b {
		v = math.RoundToEven(v)
		if k.zeros != nil {
			v += float64(k.zeros[at+i*step])
		}
		if !(v > float64(k.lo)) {
			v = float64(k.lo)
		} else if v > float64(k.hi) {
			v = float64(k.hi)
		}
		b[i] = v
	}
}

// quantizeRows is the fast way from float32 to bytes.
func quantizeRows[D int8 | uint8](c *Call, k *quantizer, dst []D, x []float32) {
	par.Run(c.P, min(k.plan.rows, k.plan.n), k.plan.grain(), par.With(quantizeRun[D]{*k, dst, x}))
}

type quantizeRun[D int8 | uint8] struct {
	quantizer
	dst []D
	x   []float32
}

func (r *quantizeRun[D]) Chunk(from, to int) {
	bottom, top := int32(r.lo), int32(r.hi)
	buf, pool := borrow[[quantizeChunk]float32]()
	defer pool.Put(buf)
	for i := from; i < to; i++ {
		lo, hi, at, step := r.plan.at(i)
		d, x := r.dst[lo:hi], r.x[lo:hi]
		if step == 0 {
			zero := int32(0)
			if r.zeros != nil {
				zero = int32(r.zeros[at])
			}
			quant.Quantize(d, x, r.scales[at], zero, bottom, top)
			continue
		}
		var zeros []float32
		if r.zeros != nil {
			zeros = r.zeros[at:]
		}
		quantizeEach(d, x, r.scales[at:], zeros, bottom, top, buf)
	}
}

// quantizeWords is the fast way from float32 to 16 bits.
func quantizeWords[D int16 | uint16](c *Call, k *quantizer, dst []D, x []float32) {
	par.Run(c.P, min(k.plan.rows, k.plan.n), k.plan.grain(), par.With(quantizeWordsRun[D]{*k, dst, x}))
}

type quantizeWordsRun[D int16 | uint16] struct {
	quantizer
	dst []D
	x   []float32
}

func (r *quantizeWordsRun[D]) Chunk(from, to int) {
	for i := from; i < to; i++ {
		lo, hi, at, step := r.plan.at(i)
		var zeros []float32
		if r.zeros != nil {
			zeros = r.zeros[at:]
		}
		quant.Words(r.dst[lo:hi], r.x[lo:hi], r.scales[at:], zeros, step, int32(r.lo), int32(r.hi))
	}
}

const quantizeChunk = 512

// quantizeEach is quant.QuantizeEach by vectors: what is divided and rounded by
// elements is kept within the bounds by the loop for one scale.
func quantizeEach[D int8 | uint8](dst []D, x, scales, zeros []float32, lo, hi int32, buf *[quantizeChunk]float32) {
	t := vec.Best()
	for len(dst) >= 16 {
		n := min(len(dst), quantizeChunk)
		b := buf[:n]
		t.Arith[vec.Div].VV(b, x[:n], scales[:n])
		if zeros != nil {
			t.Round(b, b)
			t.Add(b, b, zeros[:n])
			zeros = zeros[n:]
		}
		quant.Quantize(dst[:n], b, 1, 0, lo, hi)
		dst, x, scales = dst[n:], x[n:], scales[n:]
	}
	quant.QuantizeEach(dst, x[:len(dst)], scales, zeros, lo, hi)
}
