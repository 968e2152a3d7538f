package ops

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/gneiss-run/gneiss/internal/jpeg"
	"github.com/gneiss-run/gneiss/internal/tiff"
)

// maxPixels bounds the images that are decoded: a header of a few bytes must not
// ask for all memory.
const maxPixels = 1 << 28

// raster is a decoded image: rows of pixels of 1 channel (gray) or 3 (RGB).
type raster struct {
	w, h, ch int
	pix      []byte
}

func newRaster(w, h, ch int) *raster {
	return &raster{w, h, ch, make([]byte, w*h*ch)}
}

// convert writes the rows from lo to hi in a pixel format to dst.
func (r *raster) convert(dst []byte, lo, hi int, format string) {
	src := r.pix[lo*r.w*r.ch : hi*r.w*r.ch]
	n := (hi - lo) * r.w
	switch {
	case format == "RGB" && r.ch == 3 || format == "Grayscale" && r.ch == 1:
		copy(dst, src)
	case format == "Grayscale":
		for i := range n {
			p := src[3*i : 3*i+3]
			dst[i] = uint8((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 1<<15) >> 16)
		}
	case r.ch == 1:
		for i, v := range src {
			dst[3*i], dst[3*i+1], dst[3*i+2] = v, v, v
		}
	default: // BGR of RGB
		for i := range n {
			dst[3*i], dst[3*i+1], dst[3*i+2] = src[3*i+2], src[3*i+1], src[3*i]
		}
	}
}

func decodeImage(b []byte) (*raster, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return decodeJPEG(b)
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return decodePNG(b)
	case bytes.HasPrefix(b, []byte("II*\x00")), bytes.HasPrefix(b, []byte("MM\x00*")):
		return decodeTIFF(b)
	case bytes.HasPrefix(b, []byte("BM")):
		return decodeBMP(b)
	case len(b) > 2 && b[0] == 'P' && (b[1] == '5' || b[1] == '6'):
		return decodePNM(b)
	}
	return nil, fmt.Errorf("%w: image format with the first bytes %x", ErrUnsupported, b[:min(len(b), 8)])
}

func decodeJPEG(b []byte) (*raster, error) {
	im, err := jpeg.Decode(b, maxPixels)
	if unsupported := jpeg.UnsupportedError(""); errors.As(err, &unsupported) {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return nil, err
	}
	return &raster{im.Width, im.Height, im.Channels, im.Pix}, nil
}

func decodeTIFF(b []byte) (*raster, error) {
	im, err := tiff.Decode(b, maxPixels)
	if unsupported := tiff.UnsupportedError(""); errors.As(err, &unsupported) {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return nil, err
	}
	return &raster{im.Width, im.Height, im.Channels, im.Pix}, nil
}

func decodePNG(b []byte) (*raster, error) {
	cfg, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if err := checkPixels(cfg.Width, cfg.Height); err != nil {
		return nil, err
	}
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	r := newRaster(cfg.Width, cfg.Height, 3)
	at := m.Bounds().Min
	for y := range r.h {
		dst := r.pix[y*r.w*3 : (y+1)*r.w*3]
		switch m := m.(type) {
		case *image.NRGBA:
			dropAlpha(dst, m.Pix[m.PixOffset(at.X, at.Y+y):])
		case *image.RGBA: // opaque in PNG
			dropAlpha(dst, m.Pix[m.PixOffset(at.X, at.Y+y):])
		default:
			for x := range r.w {
				p := color.NRGBAModel.Convert(m.At(at.X+x, at.Y+y)).(color.NRGBA)
				dst[3*x], dst[3*x+1], dst[3*x+2] = p.R, p.G, p.B
			}
		}
	}
	return r, nil
}

// dropAlpha copies pixels of 4 channels without the last one.
func dropAlpha(dst, src []byte) {
	for x := range len(dst) / 3 {
		copy(dst[3*x:3*x+3], src[4*x:])
	}
}

func checkPixels(w, h int) error {
	if w < 1 || h < 1 || w > maxPixels/h {
		return fmt.Errorf("image of %d x %d pixels, want 1 to %d in all", w, h, maxPixels)
	}
	return nil
}

// decodeBMP reads a bitmap of 24 or 32 bits a pixel, or of 8 with a palette.
func decodeBMP(b []byte) (*raster, error) {
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
	img := newRaster(w, h, 3)
	for y := range h {
		src := b[first+y*row:]
		if up {
			src = b[first+(h-1-y)*row:]
		}
		dst := img.pix[y*w*3:]
		for x := range w {
			p := src[x*bits/8:]
			if bits == 8 {
				at := palette + 4*int(p[0])
				if at+3 > first {
					return nil, fmt.Errorf("BMP with palette index %d, which is not there", p[0])
				}
				p = b[at:]
			}
			dst[3*x], dst[3*x+1], dst[3*x+2] = p[2], p[1], p[0]
		}
	}
	return img, nil
}

// decodePNM reads binary gray (P5) and color (P6) maps of 8 bits.
func decodePNM(b []byte) (*raster, error) {
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
	return &raster{w, h, ch, bytes.Clone(b[at : at+w*h*ch])}, nil
}
