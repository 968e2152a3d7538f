package ops

// IntQuant (qonnx.custom_op.general): the newer name of Quant, which see.
//
// Spec: https://github.com/fastmachinelearning/qonnx/blob/main/docs/qonnx-custom-ops/intquant_op.md
func init() {
	register(&Op{Domain: qonnxDomain, Name: "IntQuant", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(4), Out: N(1), Expand: expandQuant},
	}})
}
