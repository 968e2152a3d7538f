package ops

// FusedGemm: Y = activation(alpha·A'·B' + beta·C); see Gemm.
//
// The function's parameters are activation_alpha and activation_beta in the
// order of the operator of that name; activation_gamma belongs to none of them.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedGemm
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "FusedGemm",
		Numerics: Rounding,
		Versions: []Version{{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferGemm, Build: buildFusedGemm}},
	})
}

func buildFusedGemm(b *BuildContext) (Kernel, error) {
	p := readGemm(&b.attrs)
	name := b.Str("activation", "")
	var params []float32
	def := activationDefaults[name]
	for i, attr := range []string{"activation_alpha", "activation_beta"} {
		if i < len(def) {
			params = append(params, b.Float(attr, def[i]))
		}
	}
	b.Ignore("activation_alpha", "activation_beta", "activation_gamma")
	var err error
	if p.act, err = newActivation(name, params); err != nil {
		return nil, err
	}
	return buildGemm(b, p)
}
