package main

import (
	"image"
	"image/color"
	"math"
)

// The numbers of ImageNet's evaluation: the shorter side becomes 256 pixels,
// of which the middle 224 are used.
const (
	resizeTo = 256
	cropTo   = 224
)

// prepare writes img to dst as float32[3,height,width]: resized so that the
// shorter side is 256/224 of the crop, cut in the middle, scaled to 0…1,
// mean subtracted, divided by std. Only pixels that the crop needs are read.
func prepare(dst []float32, img image.Image, height, width int, mean, std [3]float32) {
	b := img.Bounds()
	rw, rh := resized(b.Dx(), b.Dy(), width, height)
	xs := filter(b.Dx(), rw, middle(rw, width), width)
	ys := filter(b.Dy(), rh, middle(rh, height), height)
	x0, x1 := span(xs)
	y0, y1 := span(ys)
	rows := make([]float32, (y1-y0)*width*3) // resized along x only
	line := make([]float32, (x1-x0)*3)
	for y := y0; y < y1; y++ {
		readLine(line, img, b.Min.X+x0, b.Min.Y+y)
		out := rows[(y-y0)*width*3:]
		for x, t := range xs {
			var c [3]float32
			for i, w := range t.weights {
				p := line[(t.first-x0+i)*3:]
				c[0] += w * p[0]
				c[1] += w * p[1]
				c[2] += w * p[2]
			}
			copy(out[x*3:], c[:])
		}
	}
	for y, t := range ys {
		for x := range width {
			var c [3]float32
			for i, w := range t.weights {
				p := rows[((t.first-y0+i)*width+x)*3:]
				c[0] += w * p[0]
				c[1] += w * p[1]
				c[2] += w * p[2]
			}
			for k := range c {
				dst[(k*height+y)*width+x] = (c[k]/255 - mean[k]) / std[k]
			}
		}
	}
}

// resized returns the size that an image of w by h gets before a crop of cw by
// ch is cut out: the ratio of its sides is kept, and no side is below 256/224
// of the crop's.
func resized(w, h, cw, ch int) (int, int) {
	cw, ch = scaled(cw, resizeTo, cropTo), scaled(ch, resizeTo, cropTo)
	if int64(cw)*int64(h) >= int64(ch)*int64(w) { // the width is what is short
		return cw, max(ch, scaled(h, cw, w))
	}
	return max(cw, scaled(w, ch, h)), ch
}

// scaled returns n*a/b, rounded down.
func scaled(n, a, b int) int { return int(int64(n) * int64(a) / int64(b)) }

// middle returns where the middle m of n pixels begin.
func middle(n, m int) int { return int(math.RoundToEven(float64(n-m) / 2)) }

// taps says how one output pixel is made: from len(weights) pixels, the first
// of which is first.
type taps struct {
	first   int
	weights []float32
}

// filter returns the taps of output pixels at, …, at+count-1 when n pixels are
// resized to size: linear interpolation where the image grows; where it shrinks
// the triangle is as wide as it takes to use every pixel, so that fine patterns
// do not turn into coarse ones.
func filter(n, size, at, count int) []taps {
	scale := float64(n) / float64(size)
	reach := max(scale, 1)
	out := make([]taps, count)
	for i := range out {
		center := (float64(at+i) + 0.5) * scale
		lo := min(max(0, int(center-reach+0.5)), n-1)
		hi := max(min(n, int(center+reach+0.5)), lo+1)
		ws := make([]float32, hi-lo)
		sum := 0.0
		for j := range ws {
			w := max(0, 1-math.Abs((float64(lo+j)-center+0.5)/reach))
			ws[j] = float32(w)
			sum += w
		}
		for j := range ws {
			ws[j] = float32(float64(ws[j]) / sum)
		}
		for ws[len(ws)-1] == 0 {
			ws = ws[:len(ws)-1]
		}
		out[i] = taps{lo, ws}
	}
	return out
}

// span returns the range of pixels that ts read.
func span(ts []taps) (lo, hi int) {
	last := ts[len(ts)-1]
	return ts[0].first, last.first + len(last.weights)
}

// readLine writes red, green and blue, 0 to 255, of the pixels from (x, y) to
// the right to dst. Alpha is dropped.
func readLine(dst []float32, img image.Image, x, y int) {
	n := len(dst) / 3
	set := func(i int, r, g, b uint8) {
		dst[i*3], dst[i*3+1], dst[i*3+2] = float32(r), float32(g), float32(b)
	}
	switch m := img.(type) {
	case *image.YCbCr:
		for i := range n {
			c := m.YCbCrAt(x+i, y)
			r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
			set(i, r, g, b)
		}
	case *image.Gray:
		p := m.Pix[m.PixOffset(x, y):]
		for i := range n {
			set(i, p[i], p[i], p[i])
		}
	case *image.NRGBA:
		p := m.Pix[m.PixOffset(x, y):]
		for i := range n {
			set(i, p[i*4], p[i*4+1], p[i*4+2])
		}
	case *image.RGBA: // opaque PNG
		p := m.Pix[m.PixOffset(x, y):]
		for i := range n {
			c := color.NRGBA{p[i*4], p[i*4+1], p[i*4+2], 255}
			if a := p[i*4+3]; a != 255 {
				c = color.NRGBAModel.Convert(color.RGBA{c.R, c.G, c.B, a}).(color.NRGBA)
			}
			set(i, c.R, c.G, c.B)
		}
	default:
		for i := range n {
			c := color.NRGBAModel.Convert(img.At(x+i, y)).(color.NRGBA)
			set(i, c.R, c.G, c.B)
		}
	}
}
