package ops

// FusedConv: Y = activation(Conv(X, W, B) + Z); see Conv. activation_params
// are the function's attributes in the order of its operator.
//
//	Z: T, the shape of Y; optional
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedConv
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "FusedConv",
		Numerics: Rounding,
		Versions: []Version{{Since: 1, In: Arity{2, 4}, Out: N(1), Infer: inferConv, Build: buildFusedConv}},
	})
}

func buildFusedConv(b *BuildContext) (Kernel, error) {
	p := readConv(&b.attrs)
	var err error
	if p.act, err = newActivation(b.Str("activation", ""), b.Floats("activation_params", nil)); err != nil {
		return nil, err
	}
	return buildConv(b, p)
}
