package ops

// SimplifiedLayerNormalization: Y = X / sqrt(mean(X²) + epsilon) * scale, the
// mean over the dimensions from axis on. ONNX Runtime writes it in the default
// domain where RMSNormalization is not yet there; ONNX's table has it not.
//
//	X: T[d0...]    scale: V, broadcast to X    Y: V[d0...]
//	inv_std_var (optional): type stash_type, X's shape with the normalized dimensions as 1
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{Name: "SimplifiedLayerNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(2), Out: Arity{1, 2}, InPlace: []int{0}, Infer: inferSimplifiedLayerNorm, Build: buildSimplifiedLayerNorm},
	}})
}

func inferSimplifiedLayerNorm(c *InferContext) error {
	if err := inferLayerNorm(c, c.Int("axis", -1), stashType(&c.attrs), 1); err != nil {
		return err
	}
	c.Out[0].DType = c.In(1).DType
	return nil
}

func buildSimplifiedLayerNorm(b *BuildContext) (Kernel, error) {
	axis, stash := b.Int("axis", -1), stashType(&b.attrs)
	r := rowNorm{eps: float64(b.Float("epsilon", 1e-5))}
	return b.realKernels(0, layerNormKernel[float32](r, axis, stash, 1, -1, 1), layerNormKernel[float64](r, axis, stash, 1, -1, 1))
}
