package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// CropAndResize (com.microsoft): crops of images at boxes, each resized to the same size, corners on corners.
// Places outside the image take extrapolation_value. mode: bilinear (the default) or nearest.
//
//	X: T[n, c, h, w]    rois: T[r, 4], y1, x1, y2, x2 from 0 to 1    batch_indices: int32[r]
//	crop_size: int32[2], height and width    Y: T[r, c, height, width]
//
// T is float16, float32 or float64.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.CropAndResize
func init() {
	register(&Op{Domain: "com.microsoft", Name: "CropAndResize", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(4), Out: N(1), Infer: inferCropAndResize, Build: buildCropAndResize},
	}})
}

func inferCropAndResize(c *InferContext) error {
	c.OneOf("mode", "bilinear", "nearest")
	x, rois := c.In(0), c.In(1)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked || len(x.Dims) != 4 || !rois.Ranked || len(rois.Dims) != 2 {
		return nil
	}
	dims := []onnx.Dim{rois.Dims[0], x.Dims[1], {}, {}}
	if t := c.Const(3); t != nil && t.Len() == 2 && t.DType() == tensor.Int32 {
		for i, n := range tensor.Data[int32](t) {
			if n > 0 {
				dims[2+i] = onnx.Size(int(n))
			}
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildCropAndResize(b *BuildContext) (Kernel, error) {
	nearest, outside := b.OneOf("mode", "bilinear", "nearest") == "nearest", b.Float("extrapolation_value", 0)
	return b.realKernels(0, func(c *Call) error { return cropAndResize(c, nearest, outside) }, func(c *Call) error { return cropAndResize(c, nearest, float64(outside)) })
}

func cropAndResize[T floating](c *Call, nearest bool, outside T) error {
	x, rois := c.T(0), c.T(1)
	index, err := c.Ints(2)
	if err != nil {
		return err
	}
	size, err := c.Ints(3)
	if err != nil {
		return err
	}
	r := len(index)
	if x.Rank() != 4 || rois.Rank() != 2 || rois.Dim(0) != r || rois.Dim(1) != 4 || len(size) != 2 || size[0] < 1 || size[1] < 1 {
		return fmt.Errorf("X has shape %v, rois %v, batch_indices %v, crop_size is %v, want [n c h w], [r 4], [r] and two sizes above 0",
			x.Shape(), rois.Shape(), c.T(2).Shape(), size)
	}
	n, channels, h, w := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3)
	for _, i := range index {
		if i < 0 || i >= n {
			return fmt.Errorf("batch_indices has %d, want 0 to %d", i, n-1)
		}
	}
	data, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	boxes, err := reals[T](c, 1)
	if err != nil {
		return err
	}
	out, done := realsOut[T](c, 0, x.DType(), r, channels, size[0], size[1])
	par.Run(c.P, r, 1+moveGrain/(1+4*channels*size[0]*size[1]), par.With(crops[T]{out, data, boxes, index, size, channels, h, w, nearest, outside}))
	done()
	return nil
}

// crops are the results of boxes, one for each index.
type crops[T floating] struct {
	out, data, boxes []T
	index, size      []int
	channels, h, w   int
	nearest          bool
	outside          T
}

func (a *crops[T]) Chunk(lo, hi int) {
	size := a.size
	for u := lo; u < hi; u++ {
		box, image := a.boxes[4*u:][:4], a.data[a.index[u]*a.channels*a.h*a.w:]
		for i := range size[0] {
			y := cropAt(box[0], box[2], i, size[0], a.h)
			for j := range size[1] {
				x := cropAt(box[1], box[3], j, size[1], a.w)
				cropPoint(a.out[u*a.channels*size[0]*size[1]+i*size[1]+j:], size[0]*size[1], image, a.channels, a.h, a.w, y, x, a.nearest, a.outside)
			}
		}
	}
}

// cropAt returns where element i of n between from and to is along a dimension of that many elements.
func cropAt[T floating](from, to T, i, n, size int) T {
	if n == 1 {
		return 0.5 * (from + to) * T(size-1)
	}
	return from*T(size-1) + T(i)*((to-from)*T(size-1)/T(n-1))
}

// cropPoint writes what the channels of an image have at y and x, step elements apart.
func cropPoint[T floating](dst []T, step int, image []T, channels, h, w int, y, x T, nearest bool, outside T) {
	in := y >= 0 && y <= T(h-1) && x >= 0 && x <= T(w-1)
	top, left := math.Floor(float64(y)), math.Floor(float64(x))
	if nearest {
		top, left = math.Round(float64(y)), math.Round(float64(x))
	}
	for k := range channels {
		if !in {
			dst[k*step] = outside
			continue
		}
		plane := image[k*h*w:][:h*w]
		i, j := int(top), int(left)
		if nearest {
			dst[k*step] = plane[i*w+j]
			continue
		}
		below, right := min(i+1, h-1), min(j+1, w-1)
		fy, fx := y-T(top), x-T(left)
		upper := plane[i*w+j] + (plane[i*w+right]-plane[i*w+j])*fx
		lower := plane[below*w+j] + (plane[below*w+right]-plane[below*w+j])*fx
		dst[k*step] = upper + (lower-upper)*fy
	}
}
