package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/nhwc"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.AveragePool is AveragePool on a tensor with the channels last and one to
// three spatial dimensions.
//
//	X: T[n, d…, c]    Y: T[n, o…, c]
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__AveragePool.html
func init() {
	register(&Op{
		Domain:   "x",
		Name:     "AveragePool",
		Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(1), Out: N(1),
			Infer: inferLast(func(c *InferContext) error { return inferPool(c, readLastPool(&c.attrs)) }), Build: buildLastAveragePool}},
	})
}

func buildLastAveragePool(b *BuildContext) (Kernel, error) {
	p := averageParams{readLastPool(&b.attrs), b.Bool("count_include_pad", false)}
	f32 := lastAveragePoolKernel[float32](p, meanPlanes32())
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: lastAveragePoolKernel[float64](p, nil), tensor.Float16: half, tensor.BFloat16: half})
}

func lastAveragePoolKernel[T nhwc.Float](p averageParams, planes planesKernel) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		n, in, ch, err := lastShape(x.Shape())
		if err != nil {
			return err
		}
		w, err := p.keptWindow(c, in, p.includePad)
		if err != nil {
			return err
		}
		y := c.Output(0, x.DType(), lastDims(c.Dims(len(in)+2), n, w.Out, ch)...)
		if planes != nil && lastByPlanes(ch, x, y) && separates(&w.Window) && sums(&w.Window) {
			planes(c, &w.Window, n, ch, w.divisors(), x, y)
			return nil
		}
		nhwc.AveragePool(c.P, n, ch, &w.Window, tensor.Data[T](x), tensor.Data[T](y), w.counts)
		return nil
	}
}
