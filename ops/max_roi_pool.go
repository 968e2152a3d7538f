package ops

import (
	"fmt"
	"math"
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

func maxRoiPool[T floating](c *Call, ph, pw int, scale float64) error {
	x, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	rois, err := reals[T](c, 1)
	if err != nil {
		return err
	}
	if !c.Has(1) || c.T(0).Rank() != 4 || c.T(1).Rank() != 2 || c.T(1).Dim(1) != 5 {
		return fmt.Errorf("X is %v and rois %v, want [n c h w] and [k 5]", c.T(0), c.T(1))
	}
	xs, k := c.T(0).Shape(), c.T(1).Dim(0)
	ch, h, w := xs[1], xs[2], xs[3]
	for i := range k {
		r := rois[5*i : 5*i+5]
		if !(r[0] >= 0 && int(r[0]) < xs[0]) {
			return fmt.Errorf("batch index %g is not in [0, %d]", float64(r[0]), xs[0]-1)
		}
		for _, v := range r[1:] {
			if !(math.Abs(float64(v)*scale) < 1<<31) {
				return fmt.Errorf("roi has coordinate %g, want less than 2^31", float64(v))
			}
		}
	}
	y, done := realsOut[T](c, 0, c.T(0).DType(), k, ch, ph, pw)
	c.P.For(k*ch, 1, func(lo, hi int) {
		for q := lo; q < hi; q++ {
			r := rois[q/ch*5 : q/ch*5+5]
			img := x[(int(r[0])*ch+q%ch)*h*w:][:h*w]
			at := func(i int) int { return int(math.Round(float64(r[i]) * scale)) }
			x1, y1 := at(1), at(2)
			bw, bh := float64(max(at(3)-x1+1, 1))/float64(pw), float64(max(at(4)-y1+1, 1))/float64(ph)
			for i := range ph {
				ya, yb := clampInt(int(math.Floor(float64(i)*bh))+y1, h), clampInt(int(math.Ceil(float64(i+1)*bh))+y1, h)
				for j := range pw {
					xa, xb := clampInt(int(math.Floor(float64(j)*bw))+x1, w), clampInt(int(math.Ceil(float64(j+1)*bw))+x1, w)
					best := T(math.Inf(-1))
					if ya >= yb || xa >= xb {
						best = 0
					}
					for u := ya; u < yb; u++ {
						for _, v := range img[u*w+xa : u*w+max(xa, xb)] {
							best = max(best, v)
						}
					}
					y[(q*ph+i)*pw+j] = best
				}
			}
		}
	})
	done()
	return c.Ctx().Err()
}

func clampInt(v, n int) int { return min(max(v, 0), n) }
