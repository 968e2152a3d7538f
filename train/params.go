package train

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Parameters returns the initializers of m's graph that training may change, in
// the graph's order: those of a floating-point type, without what only looks like a
// parameter: statistics of BatchNormalization, single numbers (unless a bias,
// slope or scale of one element), masks that hold infinities, and constants of
// operators that compute with sizes and bounds.
func Parameters(m *onnx.Model) []*onnx.Value {
	var out []*onnx.Value
	for _, v := range m.Graph.Consts {
		if v.Const == nil || !isFloat(v.Const.DType()) || !readAsParameter(v) || isMask(v.Const) {
			continue
		}
		out = append(out, v)
	}
	return out
}

// settings are the inputs, by operator, that set an operator up rather than
// being computed with.
var settings = map[string][]int{
	"BatchNormalization": {3, 4}, "Dropout": {1}, "Resize": {1, 2}, "Upsample": {1}, "Clip": {1, 2}, "Pad": {2}, "Range": {0, 1, 2},
	"OneHot": {2}, "QuantizeLinear": {1, 2}, "DequantizeLinear": {1, 2}, "QLinearConv": {1, 4, 6}, "QLinearMatMul": {1, 4, 6}, "NonMaxSuppression": {3, 4},
	"Attention": {3}, "RotaryEmbedding": {1, 2, 3}, "GroupQueryAttention": {7, 8}, "STFT": {2}, "MatMulNBits": {2, 3}, "GatherBlockQuantized": {2},
	"SoftmaxCrossEntropyLoss": {2}, "NegativeLogLikelihoodLoss": {2}, "CastLike": {1}, "Less": {0, 1}, "LessOrEqual": {0, 1}, "Greater": {0, 1}, "GreaterOrEqual": {0, 1}, "Equal": {0, 1}, "Shape": {0}, "Size": {0},
}

// readAsParameter reports whether some node computes with v's elements.
func readAsParameter(v *onnx.Value) bool {
	single := v.Const.Len() == 1
	for _, n := range v.Users() {
		for i, x := range n.In {
			if x != v || slices.Contains(settings[n.Op], i) {
				continue
			}
			if !single || v.Const.Rank() > 0 && singleParameter(n, i) {
				return true
			}
		}
	}
	return false
}

// blockScales returns the scales and zero points of weights in blocks (MatMulNBits) that patterns name
// which name no parameter. They are part of how weights are written, so nothing trains them unasked.
func blockScales(m *onnx.Model, patterns []string) []*onnx.Value {
	plain := Parameters(m)
	var left []string
	for _, p := range patterns {
		if named := matcher([]string{p}); !slices.ContainsFunc(plain, func(v *onnx.Value) bool { return named(v.Name) }) {
			left = append(left, p)
		}
	}
	named := matcher(left)
	var out []*onnx.Value
	for _, v := range m.Graph.Consts {
		if v.Const == nil || !isFloat(v.Const.DType()) || !named(v.Name) || slices.Contains(plain, v) {
			continue
		}
		if slices.ContainsFunc(v.Users(), func(n *onnx.Node) bool {
			return n.Op == "MatMulNBits" && (slices.Index(n.In, v) == 2 || slices.Index(n.In, v) == 3)
		}) {
			out = append(out, v)
		}
	}
	return out
}

// singleParameter reports whether input i of n is a weight, bias, slope or scale
// even if it has one element.
func singleParameter(n *onnx.Node, i int) bool {
	switch n.Op {
	case "Gemm", "Conv", "ConvTranspose", "MatMul", "PRelu", "LSTM", "GRU", "RNN", "BatchNormalization", "LayerNormalization", "InstanceNormalization",
		"GroupNormalization", "RMSNormalization":
		return i > 0
	case "Add": // the bias of a product
		if len(n.In) != 2 {
			return false
		}
		other := n.In[1-i]
		return other != nil && other.From != nil && other.From.Op == "MatMul"
	}
	return false
}

// isMask reports whether t holds what is added to scores to hide them.
func isMask(t *tensor.Tensor) bool {
	switch t.DType() {
	case tensor.Float32:
		for _, v := range tensor.Data[float32](t) {
			if v < -1e30 || math.IsInf(float64(v), 0) {
				return true
			}
		}
	case tensor.Float64:
		for _, v := range tensor.Data[float64](t) {
			if v < -1e30 || math.IsInf(v, 0) {
				return true
			}
		}
	}
	return false
}

// matcher returns what reports whether a name matches one of the patterns, in
// which * stands for any characters and ? for one.
func matcher(patterns []string) func(name string) bool {
	if len(patterns) == 0 {
		return func(string) bool { return false }
	}
	alternatives := make([]string, len(patterns))
	for i, p := range patterns {
		alternatives[i] = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p))
	}
	return regexp.MustCompile("^(?:" + strings.Join(alternatives, "|") + ")$").MatchString
}
