package ops

import "github.com/gneiss-run/gneiss/onnx"

// TransposeMatMul (com.microsoft): the older name of FusedMatMul, without transBatchA and transBatchB.
//
//	A, B, Y: as in MatMul; T: float16, bfloat16, float32, float64
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.TransposeMatMul
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "TransposeMatMul",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1),
			Infer:  func(c *InferContext) error { return inferMat(c, readTransposeMatMul(&c.attrs)) },
			Build:  func(b *BuildContext) (Kernel, error) { return buildMat(b, readTransposeMatMul(&b.attrs)) },
			Expand: func(c *ExpandContext) ([]*onnx.Value, error) { return expandMat(c, readTransposeMatMul(&c.attrs)) },
		}},
	})
}

func readTransposeMatMul(a *attrs) matParams {
	return matParams{transA: a.Bool("transA", false), transB: a.Bool("transB", false), alpha: a.Float("alpha", 1)}
}
