package ops

// MatMul: Y = A·B as NumPy's matmul: the last two dimensions are matrices, the
// others broadcast; a vector on the left is a row, on the right a column, and
// that dimension is left out of Y.
//
//	A: T[batch…, m, k]    B: T[batch…, k, n]    Y: T[batch…, m, n]
//
// T: float16, bfloat16 (both summed in float32), float32, float64, int32,
// int64, uint32, uint64 (integers wrap around).
//
// Spec: https://onnx.ai/onnx/operators/onnx__MatMul.html
func init() {
	register(&Op{
		Name:     "MatMul",
		Numerics: Rounding,
		Versions: []Version{
			// 9 added the integers, 13 bfloat16.
			{Since: 1, In: N(2), Out: N(1), Infer: inferMatMul, Build: buildMatMul},
		},
	})
}

func inferMatMul(c *InferContext) error { return inferMat(c, matParams{alpha: 1}) }

func buildMatMul(b *BuildContext) (Kernel, error) { return buildMat(b, matParams{alpha: 1}) }
