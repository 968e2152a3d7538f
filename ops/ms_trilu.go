package ops

// Trilu (com.microsoft): Trilu as the standard has it since opset 14, which
// exporters wrote before.
//
//	X: T[..., n, m], k: int64[], optional    Y: T[..., n, m]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "Trilu",
		Versions: []Version{{Since: 1, In: Arity{1, 2}, Out: N(1), Infer: inferTrilu, Build: buildTrilu}},
	})
}
