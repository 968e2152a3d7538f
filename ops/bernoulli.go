package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// Bernoulli: output = 1 with the probability that input gives, else 0.
//
//	input: T1[...], in [0, 1]    output: T2[...], the same shape
//
// With the attribute seed each call gives the same numbers. T1: float16,
// bfloat16, float32, float64. T2, the attribute dtype or else T1: bool, all
// integers of 8 bits and more, and the types of T1.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Bernoulli.html
func init() {
	register(&Op{
		Name:     "Bernoulli",
		Numerics: Random,
		Versions: []Version{
			// 22 only adds bfloat16.
			{Since: 15, In: N(1), Out: N(1), Infer: inferLike, Build: buildBernoulli},
		},
	})
}

func buildBernoulli(b *BuildContext) (Kernel, error) {
	d, source := b.DType("dtype", tensor.Undefined), b.source()
	return func(c *Call) error {
		x := c.T(0)
		if x == nil {
			return fmt.Errorf("input is absent")
		}
		if !x.DType().IsFloat() {
			return unsupportedType(0, x.DType())
		}
		p := Scratch[float64](c, x.Len())
		loadFloats(p, x, 0)
		to, r := d, source(c)
		if to == tensor.Undefined {
			to = x.DType()
		}
		var y *tensor.Tensor
		if to == tensor.Bool {
			y = c.Output(0, to, x.Shape()...)
		} else {
			y = c.Lend(tensor.Bool, x.Shape())
		}
		hit := tensor.Data[bool](y)
		for i, v := range p {
			if !(v >= 0 && v <= 1) {
				return fmt.Errorf("input is %g at element %d, want a probability in [0, 1]", v, i)
			}
			hit[i] = r.Float64() < v
		}
		if to == tensor.Bool {
			return nil
		}
		return convertTensor(c, c.Output(0, to, x.Shape()...), y, castRules{saturate: true})
	}, nil
}
