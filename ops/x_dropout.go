package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.Dropout: Y = X where kept, times 1 / (1 - ratio), else 0. Whether element i
// is kept follows from the attribute seed, the step and i alone, so a step that
// is done again drops the same elements, at any number of threads, and the
// gradient needs no mask: it is the same operator on dY. This operator is private:
// training writes it in the place of Dropout.
//
//	X: T[...]    step: int64, a scalar    Y: T, X's shape; may share X's storage
//	attributes: ratio in [0, 1), seed (an int)
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Dropout.html, with the numbers of the
// SplitMix64 sequence, by its counter: Steele, Lea and Flood, Fast splittable
// pseudorandom number generators, 2014.
func trainDropoutOp() *Op {
	return &Op{
		Domain: Private, Name: "Dropout", Numerics: Exact,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildXDropout}},
		Grad: func(c *GradContext) []*onnx.Value {
			as := onnx.NewAttrs("ratio", c.Attr.Float("ratio", 0), "seed", c.Attr.Int("seed", 0))
			return []*onnx.Value{c.Ops(Private, "Dropout", as, 1, c.DOut[0], c.X(1))[0]}
		},
	}
}

func buildXDropout(b *BuildContext) (Kernel, error) {
	ratio, seed := b.Float("ratio", 0), uint64(b.Int("seed", 0))
	if !(ratio >= 0 && ratio < 1) {
		return nil, fmt.Errorf("ratio is %g, want a number in [0, 1)", ratio)
	}
	f32 := xDropoutKernel[float32](ratio, seed)
	return b.dispatch(0, reduceFloats(f32, xDropoutKernel[float64](ratio, seed)))
}

func xDropoutKernel[T float32 | float64](ratio float32, seed uint64) Kernel {
	scale, limit := T(1/(1-float64(ratio))), uint32(math.Ldexp(float64(ratio), 32))
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
		d := dropper[T]{tensor.Data[T](y), tensor.Data[T](x), splitMix(splitMix(seed) + uint64(step[0])), scale, limit}
		par.Each(c.P, (x.Len()+1)/2, 1<<13, d, (*dropper[T]).run)
		return nil
	}
}

type dropper[T float32 | float64] struct {
	y, x  []T
	key   uint64
	scale T
	limit uint32
}

// run does elements [2·lo, 2·hi): one random number is for two.
func (d *dropper[T]) run(lo, hi int) {
	for i := 2 * lo; i < min(2*hi, len(d.x)); i += 2 {
		r := splitMix(d.key + uint64(i/2)*0x9e3779b97f4a7c15)
		d.one(i, uint32(r))
		if i+1 < len(d.x) {
			d.one(i+1, uint32(r>>32))
		}
	}
}

func (d *dropper[T]) one(i int, r uint32) {
	if r < d.limit {
		d.y[i] = 0
	} else {
		d.y[i] = d.x[i] * d.scale
	}
}

// splitMix is the output function of SplitMix64.
func splitMix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
