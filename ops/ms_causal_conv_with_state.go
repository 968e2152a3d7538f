package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// CausalConvWithState (com.microsoft): as ai.onnx's, which see.
//
// More than one spatial dimension, dilation, states of several positions
// (state_window) and activations with the channels last are not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.CausalConvWithState
func init() {
	register(&Op{Domain: "com.microsoft", Name: "CausalConvWithState", Numerics: Rounding, Flush: true, Versions: []Version{
		{Since: 1, In: Arity{2, 4}, Out: Arity{2, 3}, Infer: inferMSCausalConv, Build: buildMSCausalConv},
	}})
}

func inferMSCausalConv(c *InferContext) error {
	if err := inferCausalConv(c); err != nil {
		return err
	}
	if len(c.Out) > 2 {
		c.Out[2] = onnx.UnrankedType(c.In(0).DType)
	}
	return nil
}

func buildMSCausalConv(b *BuildContext) (Kernel, error) {
	for name, plain := range map[string]int{"ndim": 1, "dilation": 1, "state_window": 0, "channels_last": 0, "state_channels_last": -1,
		"state_length": 0, "input_channels": 0, "input_channel_offset": 0, "state_update_capacity": 0} {
		if v := b.Int(name, plain); v != plain {
			return nil, fmt.Errorf("%w: attribute %q is %d", ErrUnsupported, name, v)
		}
	}
	if b.Wants(2) {
		return nil, fmt.Errorf("%w: output state_update", ErrUnsupported)
	}
	return buildCausalConv(b)
}
