package ops

// NhwcMaxPool (com.microsoft) is MaxPool without Indices on a tensor of bytes
// with the channels last and one to three spatial dimensions.
//
//	X: u8 or i8 [n, d…, c]    Y: the same type [n, o…, c]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.NhwcMaxPool
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "NhwcMaxPool",
		Versions: []Version{{Since: 1, In: N(1), Out: N(1), Infer: inferLastPool, Build: buildLastMaxPool}},
	})
}
