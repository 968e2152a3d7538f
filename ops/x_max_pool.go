package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/nhwc"
	"github.com/gneiss-run/gneiss/internal/kernels/qconv"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.MaxPool is MaxPool without Indices on a tensor with the channels last and
// one to three spatial dimensions.
//
//	X: T[n, d…, c]    Y: T[n, o…, c]
//
// T: float16, bfloat16, float32, float64, int8, uint8.
//
// Spec: https://onnx.ai/onnx/operators/onnx__MaxPool.html
func init() {
	register(&Op{
		Domain: "x",
		Name:   "MaxPool",
		Versions: []Version{{Since: 1, In: N(1), Out: N(1),
			Infer: inferLastPool, Build: func(b *BuildContext) (Kernel, error) {
				b.Ignore("storage_order") // it is about Indices
				return buildLastMaxPool(b)
			}}},
	})
}

func inferLastPool(c *InferContext) error {
	return inferLast(func(c *InferContext) error { return inferPool(c, readLastPool(&c.attrs)) })(c)
}

// readLastPool reads the attributes of the newest versions of pooling.
func readLastPool(a *attrs) windowParams {
	p := readWindow(a).withDilations(a)
	p.ceil = a.Bool("ceil_mode", false)
	return p
}

func buildLastMaxPool(b *BuildContext) (Kernel, error) {
	p := readLastPool(&b.attrs)
	f32 := lastMaxPoolKernel(p, float32(math.Inf(-1)), maxPlanes32())
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{
		tensor.Float32: f32, tensor.Float64: lastMaxPoolKernel(p, math.Inf(-1), nil), tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int8: lastByteMaxPool(p, maxPlanes8(true)), tensor.Uint8: lastByteMaxPool(p, maxPlanes8(false)),
	})
}

func lastMaxPoolKernel[T nhwc.Pooled](p windowParams, least T, planes planesKernel) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		n, in, ch, err := lastShape(x.Shape())
		if err != nil {
			return err
		}
		w, err := p.keptWindow(c, in, false)
		if err != nil {
			return err
		}
		y := c.Output(0, x.DType(), lastDims(c.Dims(len(in)+2), n, w.Out, ch)...)
		if planes != nil && lastByPlanes(ch, x, y) && separates(&w.Window) {
			planes(c, &w.Window, n, ch, nil, x, y)
			return nil
		}
		nhwc.MaxPool(c.P, n, ch, &w.Window, tensor.Data[T](x), tensor.Data[T](y), least)
		return nil
	}
}

func lastByteMaxPool(p windowParams, planes planesKernel) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		n, in, ch, err := lastShape(x.Shape())
		if err != nil {
			return err
		}
		w, err := p.keptWindow(c, in, false)
		if err != nil {
			return err
		}
		y := c.Output(0, x.DType(), lastDims(c.Dims(len(in)+2), n, w.Out, ch)...)
		if planes != nil && lastByPlanes(ch, x, y) && separates(&w.Window) {
			planes(c, &w.Window, n, ch, nil, x, y)
			return nil
		}
		win := State[qconv.Window](c)
		*win = qconv.Window(w.Window)
		qconv.Max(c.P, n, ch, win, x.Bytes(), y.Bytes(), x.DType() == tensor.Int8)
		return nil
	}
}

// lastByPlanes reports whether so few channels are last that they do not fill a vector.
func lastByPlanes(channels int, x, y *tensor.Tensor) bool {
	return x.Len() > 0 && y.Len() > 0 && channels*x.DType().Size() < 32
}
