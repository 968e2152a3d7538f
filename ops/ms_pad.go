package ops

// Pad (com.microsoft): Pad with the inputs of the standard's version 11, and wrap.
//
//	data: T[...], pads: int64[2k], constant_value: T[], optional    output: T[...]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "Pad",
		Versions: []Version{{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferPad, Build: buildPad}},
	})
}
