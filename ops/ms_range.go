package ops

// Range (com.microsoft): Range of the standard with 1 as the default of delta.
//
//	start, limit, delta (optional): T[]    output: T[n]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "Range",
		Versions: []Version{{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferRange, Build: buildRange}},
	})
}
