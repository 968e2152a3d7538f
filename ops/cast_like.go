package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// CastLike: output = input, converted to the element type of target_type.
//
//	input: T1[...]    target_type: T2[...]    output: T2[...], input's shape
//
// The rules and the attributes saturate and round_mode are those of Cast.
//
// T1, T2: every type but complex64 and complex128.
//
// Spec: https://onnx.ai/onnx/operators/onnx__CastLike.html
func init() {
	register(&Op{
		Name: "CastLike",
		Versions: []Version{
			// 19 brought saturate, 24 round_mode; others only widen the types.
			{Since: 15, In: N(2), Out: N(1), Infer: inferCastLike, Build: buildCastLike},
		},
	})
}

func gradCastLike(c *GradContext) []*onnx.Value { // straight through, as Cast
	return []*onnx.Value{c.Op("CastLike", nil, c.DOut[0], c.X(0))}
}

func inferCastLike(c *InferContext) error { return inferCastTo(c, c.In(1).DType) }

func buildCastLike(b *BuildContext) (Kernel, error) {
	rules := castAttrs(b)
	to := b.In(1).DType
	return func(c *Call) error {
		x, like := c.T(0), c.T(1)
		to := to
		if like != nil {
			to = like.DType()
		}
		if x == nil || to == tensor.Undefined {
			return fmt.Errorf("an input is absent")
		}
		return castOut(c, x, to, rules)
	}, nil
}
