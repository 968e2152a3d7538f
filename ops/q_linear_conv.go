package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearConv: y = quantize(conv(dequantize(x), dequantize(w)) + B·x_scale·w_scale),
// by way of exact int32 sums: round((sum + B) · x_scale·w_scale/y_scale) +
// y_zero_point, saturated.
//
//	x: u8 or i8 [n, c, d…]          x_scale, x_zero_point: one
//	w: u8 or i8 [m, c/group, k…]    w_scale, w_zero_point: one or [m]
//	y: type of y_zero_point [n, m, e…]    B: int32 [m]
//
// Spec: https://onnx.ai/onnx/operators/onnx__QLinearConv.html
func init() {
	register(&Op{
		Name: "QLinearConv", Numerics: Rounding,
		Versions: []Version{
			{Since: 10, In: Arity{8, 9}, Out: N(1), Infer: inferQLinearConv, Build: buildQLinearConv},
		},
	})
}

func inferQLinearConv(c *InferContext) error { return inferIntConv(c, 0, 3, c.In(7).DType) }

func buildQLinearConv(b *BuildContext) (Kernel, error) {
	v, err := parseIntConv(&b.attrs)
	if err != nil {
		return nil, err
	}
	packed, err := buildIntKernel(b, 3, v.group)
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		x, err := byteInput(c, 0, "x")
		if err != nil {
			return err
		}
		w, err := packed.orInput(c, 3, v.group)
		if err != nil {
			return err
		}
		qx, err := quantParamsOf(c, 1, x.DType(), "x")
		if err != nil {
			return err
		}
		sw, err := scalesOf(c, 4, "w_scale")
		if err != nil {
			return err
		}
		zw, err := zeroPoints(c.T(5), w.dtype, "w_zero_point")
		if err != nil {
			return err
		}
		zt, err := byteInput(c, 7, "y_zero_point")
		if err != nil {
			return err
		}
		out := zt.DType()
		qy, err := quantParamsOf(c, 6, out, "y")
		if err != nil {
			return err
		}
		g := &State[intConvState](c).convGeometry
		if err := v.geometry(c, g, x.Shape(), w.shape); err != nil {
			return err
		}
		if len(sw) != 1 && len(sw) != g.outC {
			return fmt.Errorf("w_scale has %d elements, want 1 or %d", len(sw), g.outC)
		}
		var bias []int32
		if t := c.T(8); t != nil {
			if t.DType() != tensor.Int32 || t.Len() != g.outC {
				return fmt.Errorf("B is %v, want int32 [%d]", t, g.outC)
			}
			bias = tensor.Data[int32](t)
		}
		y := c.Output(0, out, slices.Concat([]int{g.batch, g.outC}, g.out)...).Bytes()
		return v.run(c, g, x, w, qx.zero, zw, func(n, ch, lo int, acc []int32) {
			if bias != nil {
				for i := range acc {
					acc[i] += bias[ch]
				}
			}
			scale := [1]float32{qx.scale * at(sw, ch) / qy.scale}
			first := (n*g.outC+ch)*g.positions + lo
			requantize(y[first:first+len(acc)], acc, scale[:], qy.zero, out)
		})
	}, nil
}
