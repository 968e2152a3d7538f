package ops

// FusedMatMul: Y = alpha·A'·B' on the last two dimensions, which transA and
// transB exchange. transBatchA and transBatchB read a stack stored as
// [m, batch…, k] as [batch…, m, k].
//
//	A, B, Y: as in MatMul; T: float16, bfloat16, float32, float64
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedMatMul
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "FusedMatMul",
		Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1),
			Infer: func(c *InferContext) error { return inferMat(c, readFusedMatMul(&c.attrs)) },
			Build: func(b *BuildContext) (Kernel, error) { return buildMat(b, readFusedMatMul(&b.attrs)) },
		}},
	})
}

func readFusedMatMul(a *attrs) matParams {
	return matParams{
		transA: a.Bool("transA", false), transB: a.Bool("transB", false),
		transBatchA: a.Bool("transBatchA", false), transBatchB: a.Bool("transBatchB", false),
		alpha: a.Float("alpha", 1),
	}
}
