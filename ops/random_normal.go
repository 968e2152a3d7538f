package ops

// RandomNormal: output = normally distributed numbers of the given mean and standard deviation scale.
//
//	output: T[shape]
//
// With the attribute seed each call gives the same numbers. T, the attribute
// dtype: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RandomNormal.html
func init() {
	register(&Op{
		Name:     "RandomNormal",
		Numerics: Random,
		Versions: []Version{
			// 22 only adds bfloat16.
			{Since: 1, In: N(0), Out: N(1), Infer: inferRandom, Build: buildRandom((*BuildContext).normal)},
		},
	})
}
