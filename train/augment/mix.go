package augment

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Mixup makes of two samples their weighted mean, with weights of a distribution Beta(Alpha, Alpha).
//
// Zhang et al., mixup: Beyond empirical risk minimization, 2017.
type Mixup struct {
	Alpha float64
	P     float64 // the probability that a sample is mixed. 0: 1
}

// Check implements Step.
func (t Mixup) Check(_, h, w int) (int, int, error) { return h, w, mixing("mixup", t.Alpha, t.P) }

// Mix implements Mixer.
func (t Mixup) Mix(dst, a, b *Image, r *rand.Rand) float64 {
	share := shareOf(r, t.Alpha, t.P)
	s := float32(share)
	for i, v := range a.Pix {
		dst.Pix[i] = s*v + (1-s)*b.Pix[i]
	}
	return share
}

// CutMix replaces a random rectangle of a sample by that of another one; the targets are
// mixed by the areas. The rectangle's share of the area is of a distribution Beta(Alpha, Alpha), before
// it is cut at the borders.
//
// Yun et al., CutMix: Regularization strategy to train strong classifiers, 2019.
type CutMix struct {
	Alpha float64
	P     float64 // the probability that a sample is mixed. 0: 1
}

// Check implements Step.
func (t CutMix) Check(_, h, w int) (int, int, error) { return h, w, mixing("cutmix", t.Alpha, t.P) }

// Mix implements Mixer.
func (t CutMix) Mix(dst, a, b *Image, r *rand.Rand) float64 {
	copy(dst.Pix, a.Pix)
	side := math.Sqrt(1-shareOf(r, t.Alpha, t.P)) / 2
	cy, cx := r.IntN(a.H), r.IntN(a.W)
	h, w := int(side*float64(a.H)), int(side*float64(a.W)) // to either side of the centre
	y0, y1, x0, x1 := max(cy-h, 0), min(cy+h, a.H), max(cx-w, 0), min(cx+w, a.W)
	for c := range a.C {
		for y := y0; y < y1; y++ {
			copy(dst.plane(c)[y*a.W+x0:y*a.W+x1], b.plane(c)[y*a.W+x0:])
		}
	}
	return 1 - float64((y1-y0)*(x1-x0))/float64(a.H*a.W)
}

func mixing(name string, alpha, p float64) error {
	if !(alpha >= 1e-3) || math.IsInf(alpha, 0) {
		return fmt.Errorf("%s with alpha %g, want a number of at least 0.001", name, alpha)
	}
	return probability(name, p)
}

// shareOf draws the share of a sample: 1 where it is not mixed.
func shareOf(r *rand.Rand, alpha, p float64) float64 {
	if p > 0 && r.Float64() >= p {
		return 1
	}
	x, y := logGamma(r, alpha), logGamma(r, alpha)
	return 1 / (1 + math.Exp(y-x))
}

// logGamma draws the logarithm of a number of the distribution Gamma(alpha, 1), which for a
// small alpha is too near 0 for a float64.
//
// Marsaglia and Tsang, A simple method for generating gamma variables, 2000.
func logGamma(r *rand.Rand, alpha float64) float64 {
	boost := 0.0
	if alpha < 1 {
		boost = math.Log(1-r.Float64()) / alpha
		alpha++
	}
	d := alpha - 1./3
	for {
		x := r.NormFloat64()
		v := 1 + x/math.Sqrt(9*d)
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-r.Float64()) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return boost + math.Log(d*v)
		}
	}
}
