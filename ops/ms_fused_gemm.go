package ops

import "github.com/gneiss-run/gneiss/onnx"

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
		Flush:    true,
		Versions: []Version{{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferGemm, Build: buildFusedGemm, Expand: expandFusedGemm}},
	})
}

func buildFusedGemm(b *BuildContext) (Kernel, error) {
	p := readGemm(&b.attrs)
	var err error
	if p.act, err = fusedGemmActivation(&b.attrs); err != nil {
		return nil, err
	}
	return buildGemm(b, p)
}

func fusedGemmActivation(a *attrs) (activation, error) {
	name := a.Str("activation", "")
	var params []float32
	def := activationDefaults[name]
	for i, attr := range []string{"activation_alpha", "activation_beta"} {
		if i < len(def) {
			params = append(params, a.Float(attr, def[i]))
		}
	}
	a.Ignore("activation_alpha", "activation_beta", "activation_gamma")
	return newActivation(name, params)
}

// expandFusedGemm: Gemm, then the activation.
func expandFusedGemm(c *ExpandContext) ([]*onnx.Value, error) {
	act, err := fusedGemmActivation(&c.attrs)
	if err != nil {
		return nil, err
	}
	as := c.node.Attrs
	for _, name := range []string{"activation", "activation_alpha", "activation_beta", "activation_gamma"} {
		as = as.Without(name)
	}
	return []*onnx.Value{act.expand(c.Builder, c.Op("Gemm", as, c.node.In...))}, nil
}
