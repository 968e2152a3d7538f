package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
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
	f32 := col2ImKernel(p, scatterPlanes[float32])
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{
		tensor.Float32: f32, tensor.Float64: col2ImKernel(p, scatterPlanes[float64]), tensor.Float16: half, tensor.BFloat16: half,
		tensor.Int8: col2ImKernel(p, scatterPlanes[int8]), tensor.Int16: col2ImKernel(p, scatterPlanes[int16]), tensor.Int32: col2ImKernel(p, scatterPlanes[int32]), tensor.Int64: col2ImKernel(p, scatterPlanes[int64]),
		tensor.Uint8: col2ImKernel(p, scatterPlanes[uint8]), tensor.Uint16: col2ImKernel(p, scatterPlanes[uint16]), tensor.Uint32: col2ImKernel(p, scatterPlanes[uint32]), tensor.Uint64: col2ImKernel(p, scatterPlanes[uint64]),
		tensor.Complex64: col2ImKernel(p, scatterPlanes[complex64]), tensor.Complex128: col2ImKernel(p, scatterPlanes[complex128]),
	})
}

func col2ImKernel(p windowParams, scatter func(a *columnPlanes, lo, hi int)) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		w, err := readColumns(c, p)
		if err != nil {
			return err
		}
		if x.Rank() != 3 || x.Dim(1)%w.taps != 0 || x.Dim(2) != w.positions {
			return fmt.Errorf("input has shape %v, want [n, c*%d, %d]", x.Shape(), w.taps, w.positions)
		}
		n, channels := x.Dim(0), x.Dim(1)/w.taps
		y := c.Output(0, x.DType(), lastFirst(c, n, channels, w.In)...)
		par.Run(c.P, n*channels, max(1, (1<<15)/max(1, w.taps*w.positions)), par.With(columnPlanes{w, y, x, scatter}))
		return nil
	}
}

// columnPlanes is the loop of Col2Im over planes, which scatter does for an element type.
type columnPlanes struct {
	columnShape
	y, x    *tensor.Tensor
	scatter func(a *columnPlanes, lo, hi int)
}

func (a *columnPlanes) Chunk(lo, hi int) { a.scatter(a, lo, hi) }

func scatterPlanes[T interface {
	tensor.Element
	conv.Summand
}](a *columnPlanes, lo, hi int) {
	y, x, size := tensor.Data[T](a.y), tensor.Data[T](a.x), a.taps*a.positions
	for i := lo; i < hi; i++ {
		plane := y[i*a.pixels : (i+1)*a.pixels]
		clear(plane)
		conv.Scatter(&a.Window, x[i*size:(i+1)*size], plane)
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
	if w.window, err = p.keptOver(c, image, block); err != nil {
		return w, err
	}
	if w.taps, err = tensor.Count(block); err != nil {
		return w, err
	}
	if w.positions, err = tensor.Count(w.Out); err != nil {
		return w, err
	}
	w.pixels, err = tensor.Count(image)
	return w, err
}

// gradCol2Im: each element of a column gets the gradient of where it went.
func gradCol2Im(c *GradContext) []*onnx.Value {
	d := c.Ops(Private, "Im2Col", slices.Clone(c.Node().Attrs), 1, c.DOut[0], c.X(1), c.X(2))[0]
	return []*onnx.Value{d}
}
