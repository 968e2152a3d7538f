package ops

import (
	"sync"

	"github.com/gneiss-run/gneiss/onnx"
)

// RegisterTraining adds to the standard operators what only training needs: their
// gradients, and the private operators that gradients and training steps are built
// of. Package train does so when a program starts, before Standard is called for
// the first time; the linker leaves all of it out of a program that only runs
// models, so nothing else may refer to the tables below. Further calls do nothing.
func RegisterTraining() { trainingOnce.Do(registerTraining) }

var trainingOnce sync.Once

func registerTraining() {
	if standardBuilt.Load() {
		panic("ops: RegisterTraining after Standard")
	}
	byName := make(map[string]*Op, len(pending))
	for _, o := range pending {
		byName[opKey(o.Domain, o.Name)] = o
	}
	for _, g := range &gradients {
		byName[opKey(g.domain, g.name)].Grad = g.grad
	}
	for _, o := range &trainingOps {
		pending = append(pending, o())
	}
}

// trainingOps make the operators of training, each in its file.
var trainingOps = [...]func() *Op{
	activationGradOp,
	adamStepOp,
	attentionGradOp,
	averagePoolGradOp,
	batchNormalizationGradOp,
	clipGradOp,
	convInputGradOp,
	convWeightGradOp,
	crossEntropyGradOp,
	cumProdGradOp,
	trainDropoutOp,
	gruGradOp,
	gruTrainOp,
	gatherGradOp,
	gatherNDGradOp,
	gridSampleGradOp,
	lstmGradOp,
	lstmTrainOp,
	layerNormalizationGradOp,
	maxPoolGradOp,
	noiseOp,
	padGradOp,
	quantizeLinearGradOp,
	rnnGradOp,
	resizeGradOp,
	sgdStepOp,
	sliceGradOp,
	sumToOp,
}

// gradients holds Op.Grad of the operators of inference, each in its operator's file.
var gradients = [...]struct {
	domain, name string
	grad         func(*GradContext) []*onnx.Value
}{
	{"", "Abs", gradAbs},
	{"", "Acos", gradAcos},
	{"", "Acosh", gradAcosh},
	{"", "Add", gradAdd},
	{"", "Asin", gradAsin},
	{"", "Asinh", gradAsinh},
	{"", "Atan", gradAtan},
	{"", "Atanh", gradAtanh},
	{"", "Attention", gradAttention},
	{"", "AveragePool", gradAveragePool},
	{"", "BatchNormalization", gradBatchNormalization},
	{"", "Cast", gradCast},
	{"", "CastLike", gradCastLike},
	{"", "Ceil", gradNone},
	{"", "Celu", gradCelu},
	{"", "CenterCropPad", gradCenterCropPad},
	{"", "Clip", gradClip},
	{"", "Compress", gradCompress},
	{"", "Concat", gradConcat},
	{"", "Conv", gradConvOp},
	{"", "ConvTranspose", gradConvTranspose},
	{"", "Cos", gradCos},
	{"", "Cosh", gradCosh},
	{"", "CumProd", gradCumProd},
	{"", "CumSum", gradCumSum},
	{"", "DepthToSpace", gradDepthToSpace},
	{"", "DequantizeLinear", gradDequantizeLinear},
	{"", "Div", gradDiv},
	{"", "Dropout", gradDropout},
	{"", "Einsum", gradEinsum},
	{"", "Elu", gradElu},
	{"", "Erf", gradErf},
	{"", "Exp", gradExp},
	{"", "Expand", gradExpand},
	{"", "Flatten", gradFlatten},
	{"", "Floor", gradNone},
	{"", "GRU", gradGRU},
	{"", "Gather", gradGather},
	{"", "GatherElements", gradGatherElements},
	{"", "GatherND", gradGatherND},
	{"", "Gelu", gradGelu},
	{"", "Gemm", gradGemm},
	{"", "GlobalAveragePool", gradGlobalAveragePool},
	{"", "GlobalLpPool", gradGlobalLpPool},
	{"", "GlobalMaxPool", gradGlobalMaxPool},
	{"", "GridSample", gradGridSample},
	{"", "GroupNormalization", gradGroupNormalization},
	{"", "HardSigmoid", gradHardSigmoid},
	{"", "HardSwish", gradHardSwish},
	{"", "Hardmax", gradNone},
	{"", "Identity", gradIdentity},
	{"", "InstanceNormalization", gradInstanceNormalization},
	{"", "LRN", gradLRN},
	{"", "LSTM", gradLSTM},
	{"", "LayerNormalization", gradLayerNormalization},
	{"", "LeakyRelu", gradLeakyRelu},
	{"", "Log", gradLog},
	{"", "LogSoftmax", gradLogSoftmax},
	{"", "LpNormalization", gradLpNormalization},
	{"", "LpPool", gradLpPool},
	{"", "MatMul", gradMatMul},
	{"", "Max", gradExtreme},
	{"", "MaxPool", gradMaxPool},
	{"", "Mean", gradMean},
	{"", "MeanVarianceNormalization", gradMeanVarianceNormalization},
	{"", "Min", gradExtreme},
	{"", "Mish", gradMish},
	{"", "Mod", gradMod},
	{"", "Mul", gradMul},
	{"", "Neg", gradNeg},
	{"", "NegativeLogLikelihoodLoss", gradNegativeLogLikelihoodLoss},
	{"", "OneHot", gradOneHot},
	{"", "PRelu", gradPRelu},
	{"", "Pad", gradPad},
	{"", "Pow", gradPow},
	{"", "QuantizeLinear", gradQuantizeLinear},
	{"", "RMSNormalization", gradRMSNormalization},
	{"", "RNN", gradRNN},
	{"", "Range", gradNone},
	{"", "Reciprocal", gradReciprocal},
	{"", "ReduceL1", gradReduceL1},
	{"", "ReduceL2", gradReduceL2},
	{"", "ReduceLogSum", gradReduceLogSum},
	{"", "ReduceLogSumExp", gradReduceLogSumExp},
	{"", "ReduceMax", gradReduceMax},
	{"", "ReduceMean", gradReduceMean},
	{"", "ReduceMin", gradReduceMax},
	{"", "ReduceProd", gradReduceProd},
	{"", "ReduceSum", gradReduceSum},
	{"", "ReduceSumSquare", gradReduceSumSquare},
	{"", "Relu", gradRelu},
	{"", "Reshape", gradReshape},
	{"", "Resize", gradResize},
	{"", "ReverseSequence", gradReverseSequence},
	{"", "RotaryEmbedding", gradRotaryEmbedding},
	{"", "Round", gradNone},
	{"", "ScatterElements", gradScatterElements},
	{"", "ScatterND", gradScatterND},
	{"", "Selu", gradSelu},
	{"", "Shrink", gradShrink},
	{"", "Sigmoid", gradSigmoid},
	{"", "Sign", gradNone},
	{"", "SimplifiedLayerNormalization", gradRMSNormalization},
	{"", "Sin", gradSin},
	{"", "Sinh", gradSinh},
	{"", "Slice", gradSlice},
	{"", "Softmax", gradSoftmax},
	{"", "SoftmaxCrossEntropyLoss", gradSoftmaxCrossEntropyLoss},
	{"", "Softplus", gradSoftplus},
	{"", "Softsign", gradSoftsign},
	{"", "SpaceToDepth", gradSpaceToDepth},
	{"", "Split", gradSplit},
	{"", "Sqrt", gradSqrt},
	{"", "Squeeze", gradSqueeze},
	{"", "Sub", gradSub},
	{"", "Sum", gradSum},
	{"", "Swish", gradSwish},
	{"", "Tan", gradTan},
	{"", "Tanh", gradTanh},
	{"", "ThresholdedRelu", gradThresholdedRelu},
	{"", "Tile", gradTile},
	{"", "TopK", gradTopK},
	{"", "Transpose", gradTranspose},
	{"", "Trilu", gradTrilu},
	{"", "Unsqueeze", gradUnsqueeze},
	{"", "Where", gradWhere},
	{"com.microsoft", "BiasGelu", gradMSBiasGelu},
	{"com.microsoft", "DequantizeLinear", gradDequantizeLinear},
	{"com.microsoft", "FastGelu", gradMSFastGelu},
	{"com.microsoft", "GatherND", gradGatherND},
	{"com.microsoft", "Gelu", gradMSGelu},
	{"com.microsoft", "Pad", gradPad},
	{"com.microsoft", "QuantizeLinear", gradQuantizeLinear},
	{"com.microsoft", "QuickGelu", gradMSQuickGelu},
	{"com.microsoft", "SkipLayerNormalization", gradMSSkipLayerNormalization},
	{"com.microsoft", "SkipSimplifiedLayerNormalization", gradMSSkipSimplifiedLayerNormalization},
	{"com.microsoft", "Trilu", gradTrilu},
}
