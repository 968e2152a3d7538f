package ops

// MatMul (x): Y = activation(alpha·A'·B' + bias + Z). A' and B' are A and B read
// as com.microsoft.FusedMatMul reads them; the activation is one that
// com.microsoft.FusedConv names, Gelu, Swish, QuickGelu, HardSwish or Mish, with
// its parameters in activation_params. permA and permB, in place of trans and
// transBatch, have an operand read as Transpose with that perm would give it.
// This operator is private: the optimizer writes it for a product and what
// surrounds it.
//
//	A: T[batch…, m, k]    B: T[batch…, k, n]    bias: T[n], optional    Z: as Y, optional    Y: T[batch…, m, n]
//
// T: float16, bfloat16 (both summed in float32), float32, float64; int32,
// int64, uint32, uint64 wrap around. A constant B of two dimensions with more than one
// column may have 16 bits where A is float32.
//
// Spec: https://onnx.ai/onnx/operators/onnx__MatMul.html and
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedMatMul
func init() {
	register(&Op{
		Domain:   "x",
		Name:     "MatMul",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{{Since: 1, In: Arity{2, 4}, Out: N(1),
			Infer: func(c *InferContext) error { return inferMat(c, readXMatMul(&c.attrs)) },
			Build: buildXMatMul,
		}},
	})
}

func readXMatMul(a *attrs) matParams {
	m := readFusedMatMul(a)
	m.permA, m.permB = a.Ints("permA", nil), a.Ints("permB", nil)
	return m
}

func buildXMatMul(b *BuildContext) (Kernel, error) {
	m := readXMatMul(&b.attrs)
	m.epilogue = true
	var err error
	if m.act, err = newActivation(b.Str("activation", ""), b.Floats("activation_params", nil)); err != nil {
		return nil, err
	}
	return buildMat(b, m)
}
