package data

import (
	"image"
	"image/draw"
)

// orient returns img, whose rows and columns lie as Exif's orientation o says, upright: the transpositions of
// PIL.ImageOps.exif_transpose.
func orient(img image.Image, o int) image.Image {
	if o < 2 || o > 8 {
		return img
	}
	size := img.Bounds()
	w, h := size.Dx(), size.Dy()
	if gray, ok := img.(*image.Gray); ok && gray.Stride == w && size.Min == (image.Point{}) {
		pix, w, h := transposed(gray.Pix, w, h, 1, o)
		return &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, h)}
	}
	plain, ok := img.(*image.RGBA)
	if !ok || plain.Stride != 4*w || size.Min != (image.Point{}) {
		plain = image.NewRGBA(image.Rect(0, 0, w, h)) // of a JPEG file: without transparency
		draw.Draw(plain, plain.Rect, img, size.Min, draw.Src)
	}
	pix, w, h := transposed(plain.Pix, w, h, 4, o)
	return &image.RGBA{Pix: pix, Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}
}

// transposed returns the pixels of w columns and h rows in the order that orientation o (2 to 8) asks for, with their columns and rows.
func transposed(pix []byte, w, h, size, o int) ([]byte, int, int) {
	out := make([]byte, len(pix))
	outW, outH := w, h
	if o >= 5 {
		outW, outH = h, w
	}
	for y := range outH {
		for x := range outW {
			c, r := x, y // in pix
			if o >= 5 {
				c, r = y, x
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				c = w - 1 - c
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				r = h - 1 - r
			}
			copy(out[(y*outW+x)*size:][:size], pix[(r*w+c)*size:])
		}
	}
	return out, outW, outH
}
