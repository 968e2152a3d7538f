package ops

// x.GRUTrain: GRU of the newest version, whose outputs 3 is what the gradient needs:
//
//	gates: float32 or float64 [rows of X, d*g*h], the results of the gates of all steps
//	(g = 3, in the order z, r, h)
//
// Rows are those of X as it lies in memory; what is behind the end of a sequence is undefined.
// This operator is private: the gradient of GRU makes the node one.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GRU.html
func gruTrainOp() *Op {
	return &Op{Domain: Private, Name: "GRUTrain", Numerics: Rounding, Flush: true,
		Versions: recurrentTrainVersions(6, func(b *BuildContext) (Kernel, error) { return buildGRUAs(b, true) })}
}
