package ops

// GatherND (com.microsoft): GatherND of the standard without batch_dims.
//
//	data: T[d…], indices: int32 or int64[i…, k]    output: T[i…, d[k:]…]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "GatherND",
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), Infer: inferGatherND, Build: buildGatherND}},
	})
}
