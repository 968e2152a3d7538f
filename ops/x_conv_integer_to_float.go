package ops

import (
	"fmt"
	"sync"

	"github.com/gneiss-run/gneiss/internal/kernels/qconv"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.ConvIntegerToFloat: y = activation(conv(x - x_zero_point, w - w_zero_point) ·
// x_scale·w_scale + B) with exact int32 sums and the channels of x and y last, one
// to three spatial dimensions. The attributes are those of ConvInteger, and
// activation and activation_params, which are x.Conv's.
//
//	x: u8 or i8 [n, d…, c]          x_scale, x_zero_point: one
//	w: u8 or i8 [m, c/group, k…]    w_scale, w_zero_point: one or [m]
//	B: float32 [m], optional        y: float32 [n, e…, m]
//
// Spec: https://onnx.ai/onnx/operators/onnx__ConvInteger.html
func init() {
	register(&Op{
		Domain: "x", Name: "ConvIntegerToFloat", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: Arity{5, 7}, Out: N(1), Infer: inferLast(func(c *InferContext) error {
			c.Str("activation", "")
			c.Floats("activation_params", nil)
			return inferIntConv(c, 0, 3, tensor.Float32)
		}), Build: buildConvIntegerToFloat}},
	})
}

func buildConvIntegerToFloat(b *BuildContext) (Kernel, error) {
	v, err := parseIntConv(&b.attrs)
	if err != nil {
		return nil, err
	}
	act, err := newActivation(b.Str("activation", ""), b.Floats("activation_params", nil))
	if err != nil {
		return nil, err
	}
	f := activationFor[float32](act)
	weights, err := v.buildLastWeights(b, 3, 5)
	if err != nil {
		return nil, err
	}
	// What a call makes of its parameters, for one call after the other.
	rounds := &sync.Pool{New: func() any { return new(qconv.Round) }}
	return func(c *Call) error {
		x, err := byteInput(c, 0, "x")
		if err != nil {
			return err
		}
		w, err := weights.orInput(c, v, 3, 5)
		if err != nil {
			return err
		}
		q, err := quantParamsOf(c, 1, x.DType(), "x")
		if err != nil {
			return err
		}
		scale, err := scalesOf(c, 4, "w_scale")
		if err != nil {
			return err
		}
		if len(scale) != 1 && len(scale) != w.w.M {
			return fmt.Errorf("w_scale has %d elements, want 1 or %d", len(scale), w.w.M)
		}
		zw, err := v.zerosOfWeights(c.T(5), w.dtype, w.w.M)
		if err != nil {
			return err
		}
		var bias []float32
		if t := c.T(6); t != nil {
			if t.DType() != tensor.Float32 || t.Len() != w.w.M {
				return fmt.Errorf("B is %v, want float32 [%d]", t, w.w.M)
			}
			bias = tensor.Data[float32](t)
		}
		n, in, ch, err := lastShape(x.Shape())
		if err != nil {
			return err
		}
		st := State[intConvState](c)
		if err := v.geometry(c, &st.convGeometry, lastFirst(c, n, ch, in), w.shape); err != nil {
			return err
		}
		y := c.Output(0, tensor.Float32, lastDims(c.Dims(len(in)+2), n, st.out, st.outC)...)
		if y.Len() == 0 {
			return nil
		}
		zx := q.zero
		if x.DType() == tensor.Int8 {
			zx += 128
		}
		r := rounds.Get().(*qconv.Round)
		r.SetFloats(w.w, zx, zw, scale, q.scale, bias)
		st.args = qconv.Args{X: x.Bytes(), F: tensor.Data[float32](y), Act: f, Signed: x.DType() == tensor.Int8, Zero: byte(zx), W: w.w, R: r}
		st.run(c, n, ch)
		rounds.Put(r)
		return nil
	}, nil
}
