package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.Im2Col: the sliding blocks of images as columns, zeros beyond the edges: the
// transpose of Col2Im, and its gradient. The attributes are those of Col2Im.
// This operator is private: the gradient of Col2Im writes it.
//
//	X: T[n, c, image_shape…]    image_shape: int64[d]    block_shape: int64[d]
//	Y: T[n, c·Πblock_shape, l], l the number of positions of the block
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Col2Im.html
func im2ColOp() *Op {
	return &Op{
		Domain: Private, Name: "Im2Col",
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: inferIm2Col, Build: buildIm2Col}},
	}
}

func inferIm2Col(c *InferContext) error {
	readCol2Im(&c.attrs)
	x := c.In(0)
	dims := make([]onnx.Dim, 3)
	if block, ok := c.KnownInts(2); ok && len(x.Dims) > 1 {
		dims[0], dims[1] = x.Dims[0], x.Dims[1]
		for _, b := range block {
			dims[1] = dims[1].Mul(b)
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildIm2Col(b *BuildContext) (Kernel, error) {
	p := readCol2Im(&b.attrs)
	f32 := im2ColKernel[float32](p)
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: im2ColKernel[float64](p), tensor.Float16: half, tensor.BFloat16: half})
}

func im2ColKernel[T conv.Float](p windowParams) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		w, err := readColumns(c, p)
		if err != nil {
			return err
		}
		if x.Rank() != 2+len(w.In) || !slices.Equal(x.Shape()[2:], w.In) {
			return fmt.Errorf("X has shape %v, want [n c] and image_shape %v", x.Shape(), w.In)
		}
		size := w.taps * w.positions
		if _, err := tensor.Count([]int{x.Dim(0), x.Dim(1), w.taps, w.positions}); err != nil {
			return err
		}
		y := tensor.Data[T](c.Output(0, x.DType(), x.Dim(0), x.Dim(1)*w.taps, w.positions))
		data := tensor.Data[T](x)
		c.P.For(x.Dim(0)*x.Dim(1), max(1, (1<<15)/max(1, size)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				conv.Columns(&w.Window, y[i*size:(i+1)*size], data[i*w.pixels:(i+1)*w.pixels])
			}
		})
		return nil
	}
}
