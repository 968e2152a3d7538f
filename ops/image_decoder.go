package ops

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ImageDecoder: the pixels of an encoded image, with channels in the order that
// pixel_format says.
//
//	encoded_stream: uint8 [bytes]    image: uint8 [height, width, 3], or 1 channel for Grayscale
//
// JPEG, PNG, BMP without compression and binary PNM are decoded; JPEG 2000, TIFF
// and WebP are not supported. JPEG pixels may differ by a unit or two from those of
// other decoders, whose inverse transforms round differently. Transparency is dropped; gray is 0.299 R + 0.587 G + 0.114 B.
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
		r := img.Bounds()
		if ycc, ok := img.(*image.YCbCr); ok {
			img = fullChroma(ycc)
		}
		w, h, ch := r.Dx(), r.Dy(), imageChannels(format)
		y := c.Output(0, tensor.Uint8, h, w, ch).Bytes()
		c.P.For(h, 16, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				for j := range w {
					p := color.NRGBAModel.Convert(img.At(r.Min.X+j, r.Min.Y+i)).(color.NRGBA)
					o := y[(i*w+j)*ch:]
					switch format {
					case "RGB":
						o[0], o[1], o[2] = p.R, p.G, p.B
					case "BGR":
						o[0], o[1], o[2] = p.B, p.G, p.R
					default:
						o[0] = uint8((19595*uint32(p.R) + 38470*uint32(p.G) + 7471*uint32(p.B) + 1<<15) >> 16)
					}
				}
			}
		})
		return nil
	}, nil
}

// maxPixels bounds the images that are decoded: a header of a few bytes must not
// ask for all memory.
const maxPixels = 1 << 28

func decodeImage(b []byte) (image.Image, error) {
	var config func() (image.Config, error)
	var decode func() (image.Image, error)
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		config = func() (image.Config, error) { return jpeg.DecodeConfig(bytes.NewReader(b)) }
		decode = func() (image.Image, error) { return jpeg.Decode(bytes.NewReader(b)) }
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		config = func() (image.Config, error) { return png.DecodeConfig(bytes.NewReader(b)) }
		decode = func() (image.Image, error) { return png.Decode(bytes.NewReader(b)) }
	case bytes.HasPrefix(b, []byte("BM")):
		return decodeBMP(b)
	case len(b) > 2 && b[0] == 'P' && (b[1] == '5' || b[1] == '6'):
		return decodePNM(b)
	default:
		return nil, fmt.Errorf("%w: image format with the first bytes %x", ErrUnsupported, b[:min(len(b), 8)])
	}
	cfg, err := config()
	if err != nil {
		return nil, err
	}
	if err := checkPixels(cfg.Width, cfg.Height); err != nil {
		return nil, err
	}
	return decode()
}

func checkPixels(w, h int) error {
	if w < 1 || h < 1 || w > maxPixels/h {
		return fmt.Errorf("image of %d x %d pixels, want 1 to %d in all", w, h, maxPixels)
	}
	return nil
}

// decodeBMP reads a bitmap of 24 or 32 bits a pixel, or of 8 with a palette.
func decodeBMP(b []byte) (image.Image, error) {
	if len(b) < 54 {
		return nil, fmt.Errorf("BMP of %d bytes, want a header of 54", len(b))
	}
	le := binary.LittleEndian
	first, header := int(le.Uint32(b[10:])), int(le.Uint32(b[14:]))
	w, h := int(int32(le.Uint32(b[18:]))), int(int32(le.Uint32(b[22:])))
	bits, compression := int(le.Uint16(b[28:])), le.Uint32(b[30:])
	up := h > 0
	if !up {
		h = -h
	}
	if err := checkPixels(w, h); err != nil {
		return nil, err
	}
	if bits != 8 && bits != 24 && bits != 32 || compression != 0 && (compression != 3 || bits != 32) {
		return nil, fmt.Errorf("%w: BMP of %d bits with compression %d", ErrUnsupported, bits, compression)
	}
	row := (w*bits + 31) / 32 * 4
	palette := 14 + header
	if first > len(b) || (len(b)-first)/row < h || bits == 8 && (palette < 0 || palette > first) {
		return nil, fmt.Errorf("BMP of %d bytes, too short for %d x %d pixels", len(b), w, h)
	}
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		src := b[first+y*row:]
		if up {
			src = b[first+(h-1-y)*row:]
		}
		dst := img.Pix[y*img.Stride:]
		for x := range w {
			p := src[x*bits/8:]
			if bits == 8 {
				at := palette + 4*int(p[0])
				if at+3 > first {
					return nil, fmt.Errorf("BMP with palette index %d, which is not there", p[0])
				}
				p = b[at:]
			}
			dst[4*x], dst[4*x+1], dst[4*x+2], dst[4*x+3] = p[2], p[1], p[0], 255
		}
	}
	return img, nil
}

// decodePNM reads binary gray (P5) and color (P6) maps of 8 bits.
func decodePNM(b []byte) (image.Image, error) {
	var v [3]int
	at := 2
	for i := range v {
		for at < len(b) && (b[at] == '#' || b[at] <= ' ') {
			if b[at] == '#' {
				for at < len(b) && b[at] != '\n' {
					at++
				}
				continue
			}
			at++
		}
		for ; at < len(b) && b[at] >= '0' && b[at] <= '9' && v[i] < maxPixels; at++ {
			v[i] = v[i]*10 + int(b[at]-'0')
		}
	}
	at++ // one white space
	w, h := v[0], v[1]
	if err := checkPixels(w, h); err != nil {
		return nil, err
	}
	if v[2] != 255 {
		return nil, fmt.Errorf("%w: PNM with a maximum of %d", ErrUnsupported, v[2])
	}
	ch := 1
	if b[1] == '6' {
		ch = 3
	}
	if len(b)-at < w*h*ch {
		return nil, fmt.Errorf("PNM of %d bytes, too short for %d x %d pixels", len(b), w, h)
	}
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		p := b[at+i*ch:]
		img.Pix[4*i], img.Pix[4*i+1], img.Pix[4*i+2], img.Pix[4*i+3] = p[0], p[ch/2], p[ch-1], 255
	}
	return img, nil
}

// fullChroma returns an image whose chroma is as fine as its luma. Chroma of
// half the width, or half of both, is interpolated with weights of 3/4 and 1/4,
// as the decoders do that models were trained with.
func fullChroma(m *image.YCbCr) *image.YCbCr {
	double := m.SubsampleRatio == image.YCbCrSubsampleRatio420
	if !double && m.SubsampleRatio != image.YCbCrSubsampleRatio422 || m.Rect.Min != (image.Point{}) {
		return m
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := image.NewYCbCr(m.Rect, image.YCbCrSubsampleRatio444)
	cw, chh := (w+1)/2, h
	if double {
		chh = (h + 1) / 2
	}
	sum := make([]int, cw)
	for y := range h {
		copy(out.Y[y*out.YStride:y*out.YStride+w], m.Y[y*m.YStride:])
		near, far := y, y
		if double {
			near = y / 2
			far = min(max(near-1+y%2*2, 0), chh-1)
		}
		for k, src := range [2][]byte{m.Cb, m.Cr} {
			dst := [2][]byte{out.Cb, out.Cr}[k][y*out.CStride:]
			a, b := src[near*m.CStride:], src[far*m.CStride:]
			for x := range sum {
				sum[x] = 3*int(a[x]) + int(b[x]) // 4 times the value
			}
			for x := range w {
				c := x / 2
				o := min(max(c-1+x%2*2, 0), cw-1)
				dst[x] = byte((3*sum[c] + sum[o] + 8 - x%2) >> 4)
			}
		}
	}
	return out
}
