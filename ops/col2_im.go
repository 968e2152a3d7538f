package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Col2Im: puts the columns of sliding blocks back into images, and adds up
// where blocks overlap.
//
//	input: T[n, c·Πblock_shape, l]    image_shape: int64[d]    block_shape: int64[d]
//	output: T[n, c, image_shape…], l the number of positions of the block
//
// T: all number types; float16 and bfloat16 are summed in float32.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Col2Im.html
func init() {
	register(&Op{
		Name:     "Col2Im",
		Numerics: Rounding,
		Versions: []Version{{Since: 18, In: N(3), Out: N(1), Infer: inferCol2Im, Build: buildCol2Im}},
	})
}

func readCol2Im(a *attrs) windowParams {
	p := windowParams{autoPad: "NOTSET", strides: a.Ints("strides", nil), pads: a.Ints("pads", nil)}
	p.check(a, "strides", p.strides, 1)
	p.check(a, "pads", p.pads, 0)
	return p.withDilations(a)
}

func inferCol2Im(c *InferContext) error {
	readCol2Im(&c.attrs)
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	image, ok := c.KnownInts(1)
	if !ok || c.err != nil {
		return nil
	}
	dims := make([]onnx.Dim, 2, len(image)+2)
	if x.Ranked {
		if len(x.Dims) != 3 {
			return fmt.Errorf("input is %v, want rank 3", x)
		}
		dims[0] = x.Dims[0]
		if block, ok := c.KnownInts(2); ok {
			n := onnx.Size(1)
			for _, b := range block {
				n = n.Mul(b)
			}
			dims[1] = x.Dims[1].FloorDiv(n)
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, append(dims, image...)...)
	return nil
}

func buildCol2Im(b *BuildContext) (Kernel, error) {
	p := readCol2Im(&b.attrs)
	f32 := col2ImKernel[float32](p)
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{
		tensor.Float32: f32, tensor.Float64: col2ImKernel[float64](p), tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int8: col2ImKernel[int8](p), tensor.Int16: col2ImKernel[int16](p), tensor.Int32: col2ImKernel[int32](p), tensor.Int64: col2ImKernel[int64](p),
		tensor.Uint8: col2ImKernel[uint8](p), tensor.Uint16: col2ImKernel[uint16](p), tensor.Uint32: col2ImKernel[uint32](p), tensor.Uint64: col2ImKernel[uint64](p),
		tensor.Complex64: col2ImKernel[complex64](p), tensor.Complex128: col2ImKernel[complex128](p),
	})
}

func col2ImKernel[T interface {
	tensor.Element
	conv.Summand
}](p windowParams) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		image, err := c.Ints(1)
		if err != nil {
			return err
		}
		block, err := c.Ints(2)
		if err != nil {
			return err
		}
		bad := func(n int) bool { return n < 1 || n > math.MaxInt32 }
		if x.Rank() != 3 || len(image) == 0 || len(block) != len(image) || slices.ContainsFunc(image, bad) || slices.ContainsFunc(block, bad) {
			return fmt.Errorf("input has shape %v, image_shape is %v and block_shape is %v, want rank 3 and two lists of positive sizes of the same length", x.Shape(), image, block)
		}
		w, err := p.over(image, block)
		if err != nil {
			return err
		}
		taps, err := tensor.Count(block)
		if err != nil {
			return err
		}
		positions, err := tensor.Count(w.Out)
		if err != nil {
			return err
		}
		n, rows := x.Dim(0), x.Dim(1)
		if rows%taps != 0 || x.Dim(2) != positions {
			return fmt.Errorf("input has shape %v, want [n, c*%d, %d]", x.Shape(), taps, positions)
		}
		planes := n * (rows / taps)
		y := tensor.Data[T](c.Output(0, x.DType(), append([]int{n, rows / taps}, image...)...))
		xs := tensor.Data[T](x)
		size, _ := tensor.Count(image)
		c.P.For(planes, max(1, (1<<15)/max(1, taps*positions)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				plane := y[i*size : (i+1)*size]
				clear(plane)
				conv.Scatter(&w.Window, xs[i*taps*positions:(i+1)*taps*positions], plane)
			}
		})
		return nil
	}
}
