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
		w, err := readColumns(c, p)
		if err != nil {
			return err
		}
		if x.Rank() != 3 || x.Dim(1)%w.taps != 0 || x.Dim(2) != w.positions {
			return fmt.Errorf("input has shape %v, want [n, c*%d, %d]", x.Shape(), w.taps, w.positions)
		}
		n, channels, size := x.Dim(0), x.Dim(1)/w.taps, w.taps*w.positions
		y := tensor.Data[T](c.Output(0, x.DType(), append([]int{n, channels}, w.In...)...))
		xs := tensor.Data[T](x)
		c.P.For(n*channels, max(1, (1<<15)/max(1, size)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				plane := y[i*w.pixels : (i+1)*w.pixels]
				clear(plane)
				conv.Scatter(&w.Window, xs[i*size:(i+1)*size], plane)
			}
		})
		return nil
	}
}

// columnShape is how blocks slide over an image: block elements, positions and pixels.
type columnShape struct {
	window
	taps, positions, pixels int
}

// readColumns reads image_shape, input 1, and block_shape, input 2.
func readColumns(c *Call, p windowParams) (w columnShape, err error) {
	image, err := c.Ints(1)
	if err != nil {
		return w, err
	}
	block, err := c.Ints(2)
	if err != nil {
		return w, err
	}
	bad := func(n int) bool { return n < 1 || n > math.MaxInt32 }
	if len(image) == 0 || len(block) != len(image) || slices.ContainsFunc(image, bad) || slices.ContainsFunc(block, bad) {
		return w, fmt.Errorf("image_shape is %v and block_shape is %v, want two lists of positive sizes of the same length", image, block)
	}
	if w.window, err = p.over(image, block); err != nil {
		return w, err
	}
	for to, list := range map[*int][]int{&w.taps: block, &w.positions: w.Out, &w.pixels: image} {
		if *to, err = tensor.Count(list); err != nil {
			return w, err
		}
	}
	return w, nil
}

// gradCol2Im: each element of a column gets the gradient of where it went.
func gradCol2Im(c *GradContext) []*onnx.Value {
	d := c.Ops(Private, "Im2Col", slices.Clone(c.Node().Attrs), 1, c.DOut[0], c.X(1), c.X(2))[0]
	return []*onnx.Value{d}
}
