package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.Noise: Y = numbers of the standard normal distribution. Element i follows from the
// attribute seed, the step and i alone, so a step that is done again has the same noise, at
// any number of threads. X gives type and shape only, so there is no gradient. This
// operator is private: training writes it in the place of noise that inference is without.
//
//	X: T[...]    step: int64, a scalar    Y: T, X's shape
//	attribute: seed (an int)
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RandomNormalLike.html, by the transform of Box
// and Muller, A note on the generation of random normal deviates, 1958, of the numbers of
// x.Dropout.
func noiseOp() *Op {
	return &Op{
		Domain: Private, Name: "Noise", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), Infer: inferSame, Build: buildXNoise}},
		Grad:     func(c *GradContext) []*onnx.Value { return make([]*onnx.Value, 2) },
	}
}

func buildXNoise(b *BuildContext) (Kernel, error) {
	seed := uint64(b.Int("seed", 0))
	return b.dispatch(0, reduceFloats(xNoiseKernel[float32](seed), xNoiseKernel[float64](seed)))
}

func xNoiseKernel[T float32 | float64](seed uint64) Kernel {
	return func(c *Call) error {
		step, err := c.Ints(1)
		if err != nil {
			return err
		}
		if len(step) != 1 {
			return fmt.Errorf("step has %d elements, want 1", len(step))
		}
		x := c.T(0)
		y := c.Output(0, x.DType(), x.Shape()...)
		par.Each(c.P, (x.Len()+1)/2, 1<<10, noise[T]{tensor.Data[T](y), splitMix(splitMix(seed) + uint64(step[0]))}, (*noise[T]).run)
		return nil
	}
}

type noise[T float32 | float64] struct {
	y   []T
	key uint64
}

// run does elements [2·lo, 2·hi): one random number is for two.
func (d *noise[T]) run(lo, hi int) {
	for i := lo; i < hi; i++ {
		r := splitMix(d.key + uint64(i)*0x9e3779b97f4a7c15)
		radius := math.Sqrt(-2 * math.Log((float64(uint32(r))+0.5)/(1<<32)))
		sin, cos := math.Sincos(2 * math.Pi * float64(r>>32) / (1 << 32))
		d.y[2*i] = T(radius * cos)
		if 2*i+1 < len(d.y) {
			d.y[2*i+1] = T(radius * sin)
		}
	}
}
