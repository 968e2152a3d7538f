package augment

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// HorizontalFlip mirrors left and right with probability P.
type HorizontalFlip struct{ P float64 }

// Check implements Step.
func (t HorizontalFlip) Check(_, h, w int) (int, int, error) {
	return h, w, probability("horizontal flip", t.P)
}

// Apply implements Transform.
func (t HorizontalFlip) Apply(im *Image, r *rand.Rand) error {
	if r.Float64() < t.P {
		for row := range slices.Chunk(im.Pix, im.W) {
			slices.Reverse(row)
		}
	}
	return nil
}

// VerticalFlip mirrors top and bottom with probability P.
type VerticalFlip struct{ P float64 }

// Check implements Step.
func (t VerticalFlip) Check(_, h, w int) (int, int, error) {
	return h, w, probability("vertical flip", t.P)
}

// Apply implements Transform.
func (t VerticalFlip) Apply(im *Image, r *rand.Rand) error {
	if r.Float64() < t.P {
		for c := range im.C {
			p := im.plane(c)
			for a, b := 0, im.H-1; a < b; a, b = a+1, b-1 {
				for x := range im.W {
					p[a*im.W+x], p[b*im.W+x] = p[b*im.W+x], p[a*im.W+x]
				}
			}
		}
	}
	return nil
}

// Crop puts a border of Pad pixels around the image and cuts a part of Height×Width from
// a random place.
type Crop struct {
	Pad           int
	Height, Width int // 0: as the image
	Fill          float32
}

// Check implements Step.
func (t Crop) Check(_, h, w int) (int, int, error) {
	height, width := orSize(t.Height, h), orSize(t.Width, w)
	if t.Pad < 0 || t.Pad > 1<<20 || height < 1 || width < 1 || height > h+2*t.Pad || width > w+2*t.Pad {
		return 0, 0, fmt.Errorf("crop of %d×%d with a border of %d from images of %d×%d: there is no such part", height, width, t.Pad, h, w)
	}
	return height, width, nil
}

// Apply implements Transform.
func (t Crop) Apply(im *Image, r *rand.Rand) error {
	height, width := orSize(t.Height, im.H), orSize(t.Width, im.W)
	y0, x0 := r.IntN(im.H+2*t.Pad-height+1)-t.Pad, r.IntN(im.W+2*t.Pad-width+1)-t.Pad
	out := Image{make([]float32, im.C*height*width), im.C, height, width}
	for c := range im.C {
		src, dst := im.plane(c), out.plane(c)
		for y := range height {
			for x := range width {
				v := t.Fill
				if sy, sx := y+y0, x+x0; sy >= 0 && sy < im.H && sx >= 0 && sx < im.W {
					v = src[sy*im.W+sx]
				}
				dst[y*width+x] = v
			}
		}
	}
	*im = out
	return nil
}

func orSize(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// ResizedCrop cuts a part of random area and shape, and brings it to Height×Width by bilinear
// interpolation without a low-pass filter.
//
// Szegedy et al., Going deeper with convolutions, 2014, section 6.
type ResizedCrop struct {
	Height, Width int        // 0: as the image
	Scale         [2]float64 // the part's share of the area. Zero: 0.08 to 1
	Ratio         [2]float64 // its width / height. Zero: 3/4 to 4/3
}

func (t ResizedCrop) intervals() (scale, ratio [2]float64, err error) {
	if scale, err = interval("resized crop: scale", t.Scale, [2]float64{0.08, 1}); err != nil {
		return
	}
	if scale[1] > 1 {
		return scale, ratio, fmt.Errorf("resized crop: scale is %v, want shares of the area", scale)
	}
	ratio, err = interval("resized crop: ratio", t.Ratio, [2]float64{3. / 4, 4. / 3})
	return
}

// Check implements Step.
func (t ResizedCrop) Check(_, h, w int) (int, int, error) {
	height, width := orSize(t.Height, h), orSize(t.Width, w)
	if height < 1 || width < 1 || height > 1<<16 || width > 1<<16 {
		return 0, 0, fmt.Errorf("resized crop to %d×%d", height, width)
	}
	_, _, err := t.intervals()
	return height, width, err
}

// Apply implements Transform.
func (t ResizedCrop) Apply(im *Image, r *rand.Rand) error {
	scale, ratio, err := t.intervals()
	if err != nil {
		return err
	}
	y, x, h, w := part(r, im.H, im.W, scale, ratio)
	if h == 0 { // no part of such a shape fits: the largest one about the centre
		h, w = im.H, im.W
		if q := float64(w) / float64(h); q < ratio[0] {
			h = max(1, int(math.Round(float64(w)/ratio[0])))
		} else if q > ratio[1] {
			w = max(1, int(math.Round(float64(h)*ratio[1])))
		}
		y, x = (im.H-h)/2, (im.W-w)/2
	}
	*im = resize(im, y, x, h, w, orSize(t.Height, im.H), orSize(t.Width, im.W))
	return nil
}

// part returns a random part of an image of height×width pixels; h is 0 if ten attempts did not find one.
func part(r *rand.Rand, height, width int, scale, ratio [2]float64) (y, x, h, w int) {
	for range 10 {
		area := between(r, scale[0], scale[1]) * float64(height) * float64(width)
		q := math.Exp(between(r, math.Log(ratio[0]), math.Log(ratio[1])))
		w, h = int(math.Round(math.Sqrt(area*q))), int(math.Round(math.Sqrt(area/q)))
		if w > 0 && h > 0 && w <= width && h <= height {
			return r.IntN(height - h + 1), r.IntN(width - w + 1), h, w
		}
	}
	return 0, 0, 0, 0
}

// resize returns the part of im at y, x of h×w pixels as an image of height×width.
// Pixels are squares: their centres are at halves.
func resize(im *Image, y, x, h, w, height, width int) Image {
	out := Image{make([]float32, im.C*height*width), im.C, height, width}
	along := func(i, n, m int) (lo, hi int, f float32) { // of place i of n in m pixels
		at := max((float64(i)+0.5)*float64(m)/float64(n)-0.5, 0)
		lo = min(int(at), m-1)
		return lo, min(lo+1, m-1), float32(at - float64(lo))
	}
	for i := range height {
		y0, y1, fy := along(i, height, h)
		for j := range width {
			x0, x1, fx := along(j, width, w)
			for c := range im.C {
				p := im.plane(c)
				at := func(a, b int) float32 { return p[(y+a)*im.W+x+b] }
				top := at(y0, x0)*(1-fx) + at(y0, x1)*fx
				low := at(y1, x0)*(1-fx) + at(y1, x1)*fx
				out.plane(c)[i*width+j] = top*(1-fy) + low*fy
			}
		}
	}
	return out
}

// Affine rotates, moves, scales and shears about the centre, by bilinear
// interpolation; what comes from outside of the image is Fill.
type Affine struct {
	Degrees   float64    // rotation by at most this much either way
	Translate [2]float64 // at most these shares of the width and height, either way
	Scale     [2]float64 // factors. Zero: 1
	Shear     float64    // degrees along x, either way, at most
	Fill      float32
}

// Check implements Step.
func (t Affine) Check(_, h, w int) (int, int, error) {
	_, err := interval("affine: scale", t.Scale, [2]float64{1, 1})
	if !(t.Degrees >= 0 && t.Degrees <= 360) || !(t.Shear >= 0 && t.Shear < 90) {
		err = fmt.Errorf("affine: rotation by %g and shear by %g degrees, want at most 360, and less than 90", t.Degrees, t.Shear)
	}
	for _, v := range t.Translate {
		if !(v >= 0 && v <= 1) {
			err = fmt.Errorf("affine: translation by %v, want shares of the size", t.Translate)
		}
	}
	return h, w, err
}

// Apply implements Transform.
func (t Affine) Apply(im *Image, r *rand.Rand) error {
	scale, err := interval("affine: scale", t.Scale, [2]float64{1, 1})
	if err != nil {
		return err
	}
	angle := between(r, -t.Degrees, t.Degrees)
	dx := math.Round(between(r, -t.Translate[0], t.Translate[0]) * float64(im.W))
	dy := math.Round(between(r, -t.Translate[1], t.Translate[1]) * float64(im.H))
	s, shear := between(r, scale[0], scale[1]), between(r, -t.Shear, t.Shear)
	warp(im, angle, dx, dy, s, shear, t.Fill)
	return nil
}

// warp moves every pixel of im to where rotation (clockwise, degrees), translation, scale and shear
// have it.
func warp(im *Image, angle, dx, dy, scale, shear float64, fill float32) {
	a, b := angle*math.Pi/180, shear*math.Pi/180
	// The matrix is rotation·shear·scale; its inverse takes places of the result to places of im.
	sin, cos, tan := math.Sin(a), math.Cos(a), math.Tan(b)
	m := [4]float64{cos, -cos*tan - sin, sin, cos - sin*tan}
	det := (m[0]*m[3] - m[1]*m[2]) * scale
	inv := [4]float64{m[3] / det, -m[1] / det, -m[2] / det, m[0] / det}
	out := make([]float32, len(im.Pix))
	cx, cy := float64(im.W-1)/2, float64(im.H-1)/2
	for y := range im.H {
		for x := range im.W {
			u, v := float64(x)-cx-dx, float64(y)-cy-dy
			sx, sy := inv[0]*u+inv[1]*v+cx, inv[2]*u+inv[3]*v+cy
			x0, y0 := math.Floor(sx), math.Floor(sy)
			fx, fy := float32(sx-x0), float32(sy-y0)
			for c := range im.C {
				p := im.plane(c)
				at := func(y, x float64) float32 {
					if !(x >= 0 && x < float64(im.W) && y >= 0 && y < float64(im.H)) {
						return fill
					}
					return p[int(y)*im.W+int(x)]
				}
				top := at(y0, x0)*(1-fx) + at(y0, x0+1)*fx
				low := at(y0+1, x0)*(1-fx) + at(y0+1, x0+1)*fx
				out[(c*im.H+y)*im.W+x] = top*(1-fy) + low*fy
			}
		}
	}
	im.Pix = out
}

// Erasing fills a random rectangle with probability P.
//
// Zhong et al., Random erasing data augmentation, 2017.
type Erasing struct {
	P     float64
	Scale [2]float64 // its share of the area. Zero: 0.02 to 0.33
	Ratio [2]float64 // its width / height. Zero: 0.3 to 3.3
	Fill  float32
	Noise bool // normally distributed numbers instead of Fill
}

func (t Erasing) intervals() (scale, ratio [2]float64, err error) {
	if scale, err = interval("erasing: scale", t.Scale, [2]float64{0.02, 0.33}); err == nil {
		ratio, err = interval("erasing: ratio", t.Ratio, [2]float64{0.3, 3.3})
	}
	return
}

// Check implements Step.
func (t Erasing) Check(_, h, w int) (int, int, error) {
	if _, _, err := t.intervals(); err != nil {
		return h, w, err
	}
	return h, w, probability("erasing", t.P)
}

// Apply implements Transform.
func (t Erasing) Apply(im *Image, r *rand.Rand) error {
	if r.Float64() >= t.P {
		return nil
	}
	scale, ratio, err := t.intervals()
	if err != nil {
		return err
	}
	y, x, h, w := part(r, im.H, im.W, scale, ratio)
	for c := range im.C {
		for i := y; i < y+h; i++ {
			row := im.plane(c)[i*im.W:][x : x+w]
			for j := range row {
				if row[j] = t.Fill; t.Noise {
					row[j] = float32(r.NormFloat64())
				}
			}
		}
	}
	return nil
}
