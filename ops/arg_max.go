package ops

// ArgMax: reduced = index of the largest element along axis: the first of equal
// ones, or the last with select_last_index.
//
//	data: T[..., n, ...]    reduced: int64[..., 1, ...], or without that dimension
//
// T is any real type. Spec: https://onnx.ai/onnx/operators/onnx__ArgMax.html
func init() {
	register(&Op{
		Name: "ArgMax",
		// 11 allowed a negative axis, 12 added select_last_index.
		Versions: []Version{{Since: 1, In: N(1), Out: N(1), Infer: inferArg, Build: buildArgMax}},
	})
}

func buildArgMax(b *BuildContext) (Kernel, error) { return buildArg(b, true) }
