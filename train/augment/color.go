package augment

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// unit checks that what a step of colours gets is in [0, 1], but for roundings.
func unit(im *Image) error {
	for i, v := range im.Pix {
		if !(v >= -1e-3 && v <= 1+1e-3) {
			return fmt.Errorf("channel %d has the value %g: steps that change colours want values in [0, 1]; scale the data, and normalise behind them", i/(im.H*im.W), v)
		}
	}
	return nil
}

// ColorJitter changes brightness, contrast, saturation and hue, in random order. Factors
// of the first three are uniform in [1-v, 1+v], at least 0, and the hue turns by a
// share of the circle uniform in [-Hue, Hue]. Values are in [0, 1]. Images of
// one channel have no saturation and hue; others have three, red, green and blue.
type ColorJitter struct {
	Brightness, Contrast, Saturation float64
	Hue                              float64 // at most 0.5
}

// Check implements Step.
func (t ColorJitter) Check(c, h, w int) (int, int, error) {
	for _, v := range []float64{t.Brightness, t.Contrast, t.Saturation, t.Hue} {
		if !(v >= 0) || math.IsInf(v, 0) {
			return h, w, fmt.Errorf("colour jitter by %g, want numbers of at least 0", v)
		}
	}
	if t.Hue > 0.5 {
		return h, w, fmt.Errorf("colour jitter: hue is %g, want at most 0.5", t.Hue)
	}
	if c != 3 && (c != 1 || t.Saturation > 0 || t.Hue > 0) {
		return h, w, fmt.Errorf("colour jitter of images with %d channels, want 3, or 1 without saturation and hue", c)
	}
	return h, w, nil
}

// Apply implements Transform.
func (t ColorJitter) Apply(im *Image, r *rand.Rand) error {
	if err := unit(im); err != nil {
		return err
	}
	factor := func(v float64) float32 { return float32(between(r, max(1-v, 0), 1+v)) }
	for _, k := range r.Perm(4) {
		switch {
		case k == 0 && t.Brightness > 0:
			brightness(im, factor(t.Brightness))
		case k == 1 && t.Contrast > 0:
			contrast(im, factor(t.Contrast))
		case k == 2 && t.Saturation > 0:
			saturation(im, factor(t.Saturation))
		case k == 3 && t.Hue > 0:
			hue(im, float32(between(r, -t.Hue, t.Hue)))
		}
	}
	return nil
}

func clamp(v float32) float32 { return min(max(v, 0), 1) }

func brightness(im *Image, f float32) {
	for i, v := range im.Pix {
		im.Pix[i] = clamp(v * f)
	}
}

// luma is the brightness of pixel i, of ITU-R BT.601's weights.
func luma(im *Image, i int) float32 {
	if im.C == 1 {
		return im.Pix[i]
	}
	n := im.H * im.W
	return 0.2989*im.Pix[i] + 0.587*im.Pix[n+i] + 0.114*im.Pix[2*n+i]
}

// contrast moves values away from the mean brightness, or towards it.
func contrast(im *Image, f float32) {
	sum := 0.0
	for i := range im.H * im.W {
		sum += float64(luma(im, i))
	}
	mean := float32(sum / float64(im.H*im.W))
	for i, v := range im.Pix {
		im.Pix[i] = clamp(f*v + (1-f)*mean)
	}
}

// saturation moves colours away from grey, or towards it.
func saturation(im *Image, f float32) {
	n := im.H * im.W
	for i := range n {
		g := luma(im, i)
		for c := range im.C {
			im.Pix[c*n+i] = clamp(f*im.Pix[c*n+i] + (1-f)*g)
		}
	}
}

// hue turns hues by a share of the circle. Smith, Color gamut transform pairs, 1978.
func hue(im *Image, turn float32) {
	n := im.H * im.W
	for i := range n {
		r, g, b := im.Pix[i], im.Pix[n+i], im.Pix[2*n+i]
		top, low := max(r, g, b), min(r, g, b)
		if top == low || top <= 0 {
			continue
		}
		d := top - low
		var h float32 // in sixths of the circle
		switch top {
		case r:
			h = (g - b) / d
		case g:
			h = 2 + (b-r)/d
		default:
			h = 4 + (r-g)/d
		}
		at := float64(h/6 + turn)
		at = (at - math.Floor(at)) * 6
		for c, k := range []float64{5, 3, 1} {
			m := math.Mod(k+at, 6)
			im.Pix[c*n+i] = clamp(top - d*float32(max(0, min(m, 4-m, 1))))
		}
	}
}

// Grayscale gives all three channels the brightness with probability P.
type Grayscale struct{ P float64 }

// Check implements Step.
func (t Grayscale) Check(c, h, w int) (int, int, error) {
	if c != 3 {
		return h, w, fmt.Errorf("grayscale of images with %d channels, want 3", c)
	}
	return h, w, probability("grayscale", t.P)
}

// Apply implements Transform.
func (t Grayscale) Apply(im *Image, r *rand.Rand) error {
	if r.Float64() < t.P {
		n := im.H * im.W
		for i := range n {
			g := luma(im, i)
			im.Pix[i], im.Pix[n+i], im.Pix[2*n+i] = g, g, g
		}
	}
	return nil
}

// Noise adds normally distributed numbers of standard deviation Std.
type Noise struct{ Std float64 }

// Check implements Step.
func (t Noise) Check(_, h, w int) (int, int, error) {
	if !(t.Std >= 0) || math.IsInf(t.Std, 0) {
		return h, w, fmt.Errorf("noise of standard deviation %g, want at least 0", t.Std)
	}
	return h, w, nil
}

// Apply implements Transform.
func (t Noise) Apply(im *Image, r *rand.Rand) error {
	for i := range im.Pix {
		im.Pix[i] += float32(t.Std * r.NormFloat64())
	}
	return nil
}

// Normalize subtracts Mean and divides by Std, one number for all channels or one for
// each. It is not random: validation, and whoever uses the model, have to do the same.
type Normalize struct{ Mean, Std []float64 }

// Check implements Step.
func (t Normalize) Check(c, h, w int) (int, int, error) {
	for _, v := range [][]float64{t.Mean, t.Std} {
		if len(v) != 1 && len(v) != c {
			return h, w, fmt.Errorf("normalize by %d means and %d standard deviations, want 1 or %d of each", len(t.Mean), len(t.Std), c)
		}
	}
	for i, s := range t.Std {
		if !(s > 0) || math.IsInf(s, 0) {
			return h, w, fmt.Errorf("normalize: standard deviation %d is %g, want a number above 0", i+1, s)
		}
	}
	return h, w, nil
}

// Apply implements Transform.
func (t Normalize) Apply(im *Image, _ *rand.Rand) error {
	of := func(v []float64, c int) float32 { return float32(v[min(c, len(v)-1)]) }
	for c := range im.C {
		mean, std := of(t.Mean, c), of(t.Std, c)
		for i, v := range im.plane(c) {
			im.plane(c)[i] = (v - mean) / std
		}
	}
	return nil
}
