package ops

import "fmt"

// LinearAttention (com.microsoft): as ai.onnx's, which see. There may also be more
// states, hk, than heads of queries: state h is then read by query head h / (hk/hq),
// and the output has a head for each state, T[b, t, hk*dv]. Likewise key may have
// n heads, hk a multiple of n, of which state h takes head h / (hk/n).
//
// States of several tokens (state_window) are not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.LinearAttention
func init() {
	register(&Op{Domain: "com.microsoft", Name: "LinearAttention", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{3, 6}, Out: N(2), Infer: inferLinearAttention, Build: buildMSLinearAttention},
	}})
}

func buildMSLinearAttention(b *BuildContext) (Kernel, error) {
	if w := b.Int("state_window", 0); w != 0 {
		return nil, fmt.Errorf("%w: attribute \"state_window\" is %d", ErrUnsupported, w)
	}
	return buildLinearAttention(b)
}
