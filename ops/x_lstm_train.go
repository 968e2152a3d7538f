package ops

// x.LSTMTrain: LSTM of the newest version, whose outputs 3 and 4 are what the gradient needs:
//
//	gates: float32 or float64 [rows of X, d*g*h], the results of the gates of all steps
//	cells: [d, rows of X, h], the cell states after all steps
//
// Rows are those of X as it lies in memory; what is behind the end of a sequence is undefined.
// This operator is private: the gradient of LSTM makes the node one.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LSTM.html
func lstmTrainOp() *Op {
	return &Op{Domain: Private, Name: "LSTMTrain", Numerics: Rounding, Flush: true,
		Versions: recurrentTrainVersions(8, func(b *BuildContext) (Kernel, error) { return buildLSTMAs(b, true) })}
}
