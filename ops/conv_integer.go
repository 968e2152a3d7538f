package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// ConvInteger: the convolution of x - x_zero_point with w - w_zero_point, exact
// in int32 (sums wrap around). Padding counts as x_zero_point.
//
//	x: u8 or i8 [n, c, d…]            x_zero_point: one
//	w: u8 or i8 [m, c/group, k…]      w_zero_point: one or [m]
//	y: int32 [n, m, e…]
//
// Spec: https://onnx.ai/onnx/operators/onnx__ConvInteger.html
func init() {
	register(&Op{
		Name: "ConvInteger",
		Versions: []Version{
			{Since: 10, In: Arity{2, 4}, Out: N(1), Infer: inferConvInteger, Build: buildConvInteger},
		},
	})
}

func inferConvInteger(c *InferContext) error { return inferIntConv(c, 0, 1, tensor.Int32) }

func buildConvInteger(b *BuildContext) (Kernel, error) {
	v, err := parseIntConv(&b.attrs)
	if err != nil {
		return nil, err
	}
	packed, err := buildIntKernel(b, 1, v.group)
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		x, err := byteInput(c, 0, "x")
		if err != nil {
			return err
		}
		w, err := packed.orInput(c, 1, v.group)
		if err != nil {
			return err
		}
		zx, err := zeroPoints(c.T(2), x.DType(), "x_zero_point")
		if err != nil {
			return err
		}
		zw, err := zeroPoints(c.T(3), w.dtype, "w_zero_point")
		if err != nil {
			return err
		}
		if zx == nil {
			zx = []int32{0}
		}
		if len(zx) != 1 {
			return fmt.Errorf("x_zero_point has %d elements, want 1", len(zx))
		}
		g := &State[intConvState](c).convGeometry
		if err := v.geometry(c, g, x.Shape(), w.shape); err != nil {
			return err
		}
		y := tensor.Data[int32](c.Output(0, tensor.Int32, slices.Concat([]int{g.batch, g.outC}, g.out)...))
		return v.run(c, g, x, w, zx[0], zw, func(n, ch, lo int, acc []int32) {
			copy(y[(n*g.outC+ch)*g.positions+lo:], acc)
		})
	}, nil
}
