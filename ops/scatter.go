package ops

// Scatter is the old name of ScatterElements, without reduction.
//
//	data: T[...], indices: int32 or int64[...], updates: T, shape of indices    output: T, shape of data
//
// Spec: https://onnx.ai/onnx/operators/onnx__Scatter.html
func init() {
	register(&Op{
		Name:     "Scatter",
		Versions: []Version{{Since: 9, In: N(3), Out: N(1), InPlace: []int{0}, Infer: inferScatterElements, Build: buildScatter}},
	})
}

func buildScatter(b *BuildContext) (Kernel, error) { return scatterElements(b, "none"), nil }
