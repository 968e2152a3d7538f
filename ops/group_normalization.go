package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// GroupNormalization: Y = scale * (X - mean) / sqrt(var + epsilon) + bias, the
// statistics per instance and group of channels, made in float64.
//
//	X: T[n, c, ...]    scale, bias: T[c] (before 21: T[num_groups])    Y: T[n, c, ...]; may share X's storage
//
// num_groups must divide c. stash_type asks for less precision than is used.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GroupNormalization.html (18, 21)
func init() {
	register(&Op{Name: "GroupNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 18, In: N(3), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildGroupNormalization(true)},
		{Since: 21, In: N(3), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildGroupNormalization(false)},
	}})
}

func gradGroupNormalization(c *GradContext) []*onnx.Value {
	return gradGroupNorm(true)(c)
}

func buildGroupNormalization(perGroup bool) func(*BuildContext) (Kernel, error) {
	return func(b *BuildContext) (Kernel, error) {
		if !perGroup {
			stashType(&b.attrs)
		}
		groups, eps := b.Int("num_groups", 0), float64(b.Float("epsilon", 1e-5))
		if groups < 1 {
			return nil, fmt.Errorf("attribute \"num_groups\" is %d, want 1 or more", groups)
		}
		return b.realKernels(0, groupNormKernel[float32](groups, eps, perGroup), groupNormKernel[float64](groups, eps, perGroup))
	}
}

// groupNormKernel computes X, scale, bias to Y. Without groups each channel is
// one; perGroup says that scale and bias have one value per group.
func groupNormKernel[T floating](groups int, eps float64, perGroup bool) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		n, ch, d, err := channelShape(xt.Shape())
		if err != nil {
			return err
		}
		g := groups
		if g == 0 {
			g = ch
		}
		if g > 0 && ch%g != 0 {
			return fmt.Errorf("X has shape %v: %d channels are not a multiple of num_groups %d", xt.Shape(), ch, g)
		}
		params := ch
		if perGroup {
			params = g
		}
		scale, err := vectorParam[T](c, 1, "scale", params)
		if err != nil {
			return err
		}
		bias, err := vectorParam[T](c, 2, "bias", params)
		if err != nil {
			return err
		}
		if perGroup {
			s, b := Scratch[T](c, ch), Scratch[T](c, ch)
			for i := range s {
				s[i], b[i] = scale[i/(ch/g)], bias[i/(ch/g)]
			}
			scale, bias = s, b
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
		groupNorm(c.P, y, x, n, ch, d, g, eps, scale, bias)
		done()
		return nil
	}
}
