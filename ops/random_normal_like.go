package ops

// RandomNormalLike: output = normally distributed numbers of the given mean and standard deviation scale.
//
//	input: T1[...]    output: T[...], the same shape
//
// With the attribute seed each call gives the same numbers. T, the attribute
// dtype or else T1: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RandomNormalLike.html
func init() {
	register(&Op{
		Name:     "RandomNormalLike",
		Numerics: Random,
		Versions: []Version{
			// 22 only adds bfloat16.
			{Since: 1, In: N(1), Out: N(1), Infer: inferLike, Build: buildRandomLike((*BuildContext).normal)},
		},
	})
}
