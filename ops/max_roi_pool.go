package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// MaxRoiPool: each region of interest divided into pooled_shape bins; Y is the
// largest element of X in each, 0 in an empty one.
//
//	X: float [n, c, h, w]    rois: the type of X [k, 5]: batch index, x1, y1, x2, y2    Y: [k, c, pooled_shape]
//
// Spec: https://onnx.ai/onnx/operators/onnx__MaxRoiPool.html
func init() {
	register(&Op{
		Name: "MaxRoiPool",
		Versions: []Version{
			// 22 adds bfloat16.
			{Since: 1, In: N(2), Out: N(1), Infer: inferMaxRoiPool, Build: buildMaxRoiPool},
		},
	})
}

func parseMaxRoiPool(a *attrs) (h, w int, scale float64, err error) {
	s := a.Ints("pooled_shape", nil)
	if len(s) != 2 || s[0] < 1 || s[1] < 1 {
		return 0, 0, 0, fmt.Errorf("pooled_shape is %v, want 2 positive sizes", s)
	}
	return s[0], s[1], float64(a.Float("spatial_scale", 1)), nil
}

func inferMaxRoiPool(c *InferContext) error {
	h, w, _, err := parseMaxRoiPool(&c.attrs)
	if err != nil {
		return err
	}
	return inferRois(c, h, w)
}

func buildMaxRoiPool(b *BuildContext) (Kernel, error) {
	h, w, scale, err := parseMaxRoiPool(&b.attrs)
	if err != nil {
		return nil, err
	}
	return b.realKernels(0, func(c *Call) error { return maxRoiPool[float32](c, h, w, scale) },
		func(c *Call) error { return maxRoiPool[float64](c, h, w, scale) })
}

// maxRoi is the regions of one execution.
type maxRoi[T floating] struct {
	x, rois     []T
	k, ch, h, w int // regions; channels and size of X
	ph, pw      int
	scale       float64
}

// readMaxRoi checks X and rois, inputs i and i+1.
func readMaxRoi[T floating](c *Call, i, ph, pw int, scale float64) (*maxRoi[T], error) {
	x, err := reals[T](c, i)
	if err != nil {
		return nil, err
	}
	rois, err := reals[T](c, i+1)
	if err != nil {
		return nil, err
	}
	xt, rt := c.T(i), c.T(i+1)
	if xt == nil || rt == nil || xt.Rank() != 4 || rt.Rank() != 2 || rt.Dim(1) != 5 {
		return nil, fmt.Errorf("X is %v and rois %v, want [n c h w] and [k 5]", xt, rt)
	}
	m := &maxRoi[T]{x, rois, rt.Dim(0), xt.Dim(1), xt.Dim(2), xt.Dim(3), ph, pw, scale}
	for k := range m.k {
		r := rois[5*k : 5*k+5]
		if !(r[0] >= 0 && float64(r[0]) < float64(xt.Dim(0))) {
			return nil, fmt.Errorf("batch index %g is not in [0, %d]", float64(r[0]), xt.Dim(0)-1)
		}
		for _, v := range r[1:] {
			if !(math.Abs(float64(v)*scale) < 1<<31) {
				return nil, fmt.Errorf("roi has coordinate %g, want less than 2^31", float64(v))
			}
		}
	}
	return m, nil
}

// bins calls f for each bin of region k in channel i with the place of its first
// largest element in X, -1 for an empty bin.
func (m *maxRoi[T]) bins(k, i int, f func(bin, at int)) {
	r := m.rois[5*k : 5*k+5]
	base := (int(r[0])*m.ch + i) * m.h * m.w
	img := m.x[base:][:m.h*m.w]
	at := func(i int) int { return int(math.Round(float64(r[i]) * m.scale)) }
	x1, y1 := at(1), at(2)
	bw, bh := float64(max(at(3)-x1+1, 1))/float64(m.pw), float64(max(at(4)-y1+1, 1))/float64(m.ph)
	for i := range m.ph {
		ya, yb := clampInt(int(math.Floor(float64(i)*bh))+y1, m.h), clampInt(int(math.Ceil(float64(i+1)*bh))+y1, m.h)
		for j := range m.pw {
			xa, xb := clampInt(int(math.Floor(float64(j)*bw))+x1, m.w), clampInt(int(math.Ceil(float64(j+1)*bw))+x1, m.w)
			best, place := T(math.Inf(-1)), -1
			for u := ya; u < yb; u++ {
				for p := u*m.w + xa; p < u*m.w+xb; p++ {
					if v := img[p]; v > best || place < 0 || v != v && best == best {
						best, place = v, base+p
					}
				}
			}
			f(i*m.pw+j, place)
		}
	}
}

func maxRoiPool[T floating](c *Call, ph, pw int, scale float64) error {
	m, err := readMaxRoi[T](c, 0, ph, pw, scale)
	if err != nil {
		return err
	}
	y, done := realsOut[T](c, 0, c.T(0).DType(), m.k, m.ch, ph, pw)
	c.P.For(m.k*m.ch, 1, func(lo, hi int) {
		for q := lo; q < hi; q++ {
			out := y[q*ph*pw:][:ph*pw]
			m.bins(q/m.ch, q%m.ch, func(bin, at int) {
				if out[bin] = 0; at >= 0 {
					out[bin] = m.x[at]
				}
			})
		}
	})
	done()
	return c.Ctx().Err()
}

// gradMaxRoiPool: by x.MaxRoiPoolGrad. Regions are rounded to pixels, so they have no gradient.
func gradMaxRoiPool(c *GradContext) []*onnx.Value {
	return c.Ops(Private, "MaxRoiPoolGrad", slices.Clone(c.Node().Attrs), 1, c.DOut[0], c.X(0), c.X(1))
}

func clampInt(v, n int) int { return min(max(v, 0), n) }
