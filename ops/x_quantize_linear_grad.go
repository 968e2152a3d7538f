package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.QuantizeLinearGrad: the straight-through gradient of QuantizeLinear: dX = dY
// where round(x / y_scale) + y_zero_point lies in the range of the integer type, and 0
// where it is clipped. dY is the gradient of the real number that the integer stands for. The
// attributes are those of QuantizeLinear. This operator is private: gradients write
// it.
//
//	x: T[...], y_scale, y_zero_point (optional): as for QuantizeLinear, dY: T, x's shape    dX: T, x's shape
//
// T: float16, bfloat16, float32.
//
// Spec: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html; Bengio, Léonard, Courville, Estimating or Propagating Gradients Through
// Stochastic Neurons, 2013; PyTorch's fake_quantize_per_tensor_affine.
func quantizeLinearGradOp() *Op {
	return &Op{
		Domain: Private, Name: "QuantizeLinearGrad",
		Versions: []Version{{Since: 1, In: N(4), Out: N(1), InPlace: []int{3}, Infer: inferFirst, Build: buildQuantizeLinearGrad}},
	}
}

// gradQuantizeLinear: straight through; the scale is taken as fixed.
func gradQuantizeLinear(c *GradContext) []*onnx.Value {
	q := readQuantAttrs(&c.Attr)
	as := onnx.NewAttrs("axis", q.axis, "block_size", q.block, "output_dtype", int(q.out), "precision", int(q.precision))
	d := c.DOut[0]
	if to := c.X(0).Type.DType; to != c.DType() {
		d = c.Op("Cast", onnx.NewAttrs("to", int(to)), d)
	}
	return []*onnx.Value{c.Ops(Private, "QuantizeLinearGrad", as, 1, c.X(0), c.X(1), c.X(2), d)[0]}
}

// gradDequantizeLinear: straight through, as the gradient of an integer is that of
// the real number it stands for; the scale is taken as fixed.
func gradDequantizeLinear(c *GradContext) []*onnx.Value {
	readQuantAttrs(&c.Attr)
	return []*onnx.Value{c.DOut[0]}
}

func buildQuantizeLinearGrad(b *BuildContext) (Kernel, error) {
	q := quantAttrs{axis: b.Int("axis", 1), block: b.Int("block_size", 0), out: optionalDType(&b.attrs, "output_dtype"), precision: optionalDType(&b.attrs, "precision")}
	if q.block < 0 {
		return nil, fmt.Errorf("attribute \"block_size\" is %d, want a positive number", q.block)
	}
	return func(c *Call) error {
		x, dt := c.T(0), c.T(3)
		if x == nil || dt == nil || dt.DType() != x.DType() || !x.DType().IsFloat() || dt.Len() != x.Len() {
			return fmt.Errorf("x is %v, dY %v, want floats of one type and shape", x, dt)
		}
		st, scales, err := quantScales(c, "y_scale")
		if err != nil {
			return err
		}
		to := tensor.Uint8
		if z := c.T(2); z != nil {
			to = z.DType()
		} else if q.out != tensor.Undefined {
			to = q.out
		}
		lo, hi, isInt := quantRange(to)
		if !isInt {
			return fmt.Errorf("%w: the gradient of quantization to %v", ErrUnsupported, to)
		}
		zeros, err := quantZeros(c, st, "y_zero_point")
		if err != nil {
			return err
		}
		plan, err := q.plan(x.Shape(), st.Shape())
		if err != nil {
			return err
		}
		k := quantizer{plan: plan, scales: scales, zeros: zeros, precision: q.precision, lo: lo, hi: hi}
		if k.precision == tensor.Undefined {
			k.precision = st.DType()
		}
		y := c.Output(0, x.DType(), x.Shape()...)
		switch x.DType() {
		case tensor.Float32:
			quantizeGrad(c, &k, tensor.Data[float32](y), tensor.Data[float32](dt), x)
		case tensor.Float16:
			quantizeGrad(c, &k, tensor.Data[tensor.F16](y), tensor.Data[tensor.F16](dt), x)
		case tensor.BFloat16:
			quantizeGrad(c, &k, tensor.Data[tensor.BF16](y), tensor.Data[tensor.BF16](dt), x)
		default:
			return unsupportedType(0, x.DType())
		}
		return nil
	}, nil
}

func quantizeGrad[T float32 | tensor.F16 | tensor.BF16](c *Call, k *quantizer, y, d []T, x *tensor.Tensor) {
	k.plan.each(c.P, func(lo, hi, at, step int) {
		mem, pool := borrow[[block]float64]()
		defer pool.Put(mem)
		for ; lo < hi; lo += block {
			b := mem[:min(block, hi-lo)]
			k.divide(b, x, lo, at, step)
			for i, v := range b {
				v = math.RoundToEven(v)
				if k.zeros != nil {
					v += float64(k.zeros[at+i*step])
				}
				r := d[lo+i]
				if !(v >= float64(k.lo) && v <= float64(k.hi)) {
					var zero T
					r = zero
				}
				y[lo+i] = r
			}
			at += step * len(b)
		}
	})
}
