package ops

// Unique (com.microsoft): the distinct elements of a vector in order of
// appearance, which of them each element is, and how often each appears.
//
//	x: T[m]    y: T[n], idx: int64[m], counts: int64[n]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "Unique",
		Versions: []Version{{Since: 1, In: N(1), Out: N(3), Infer: inferUniqueMS, Build: buildUniqueMS}},
	})
}
