package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ImageDecoder: the pixels of an encoded image, with channels in the order that
// pixel_format says.
//
//	encoded_stream: uint8 [bytes]    image: uint8 [height, width, 3], or 1 channel for Grayscale
//
// JPEG, PNG, TIFF with 8 bits a sample, BMP without compression and binary PNM are
// decoded; JPEG 2000 and WebP are not supported. Transparency is dropped, CMYK becomes RGB, and gray
// is 0.299 R + 0.587 G + 0.114 B.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ImageDecoder.html
func init() {
	register(&Op{
		Name: "ImageDecoder", Numerics: Rounding,
		Versions: []Version{
			{Since: 20, In: N(1), Out: N(1), Infer: inferImageDecoder, Build: buildImageDecoder},
		},
	})
}

func imageChannels(format string) int {
	if format == "Grayscale" {
		return 1
	}
	return 3
}

func inferImageDecoder(c *InferContext) error {
	f := c.OneOf("pixel_format", "RGB", "BGR", "Grayscale")
	c.Out[0] = onnx.TensorType(tensor.Uint8, onnx.Dim{}, onnx.Dim{}, onnx.Size(imageChannels(f)))
	return nil
}

func buildImageDecoder(b *BuildContext) (Kernel, error) {
	format := b.OneOf("pixel_format", "RGB", "BGR", "Grayscale")
	return func(c *Call) error {
		t := c.T(0)
		if t == nil || t.DType() != tensor.Uint8 || t.Rank() != 1 {
			return fmt.Errorf("encoded_stream is %v, want uint8 of 1 dimension", c.In[0])
		}
		img, err := decodeImage(t.Bytes())
		if err != nil {
			return err
		}
		w, h, ch := img.w, img.h, imageChannels(format)
		y := c.Output(0, tensor.Uint8, h, w, ch).Bytes()
		c.P.For(h, 16, func(lo, hi int) {
			img.convert(y[lo*w*ch:hi*w*ch], lo, hi, format)
		})
		return nil
	}, nil
}
