package ops

import "github.com/gneiss-run/gneiss/onnx"

// FusedConv: Y = activation(Conv(X, W, B) + Z); see Conv. activation_params
// are the function's attributes in the order of its operator.
//
//	Z: T, the shape of Y; optional
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedConv
func init() {
	register(&Op{
		Domain:   "com.microsoft",
		Name:     "FusedConv",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{{Since: 1, In: Arity{2, 4}, Out: N(1), Infer: inferConv, Build: buildFusedConv, Expand: expandFusedConv}},
	})
}

func buildFusedConv(b *BuildContext) (Kernel, error) {
	p := readConv(&b.attrs)
	var err error
	if p.act, err = newActivation(b.Str("activation", ""), b.Floats("activation_params", nil)); err != nil {
		return nil, err
	}
	return buildConv(b, p)
}

// expandFusedConv: Conv, plus Z, then the activation.
func expandFusedConv(c *ExpandContext) ([]*onnx.Value, error) {
	act, err := newActivation(c.attrs.Str("activation", ""), c.attrs.Floats("activation_params", nil))
	if err != nil {
		return nil, err
	}
	y := c.Op("Conv", c.node.Attrs.Without("activation").Without("activation_params"), c.value(0), c.value(1), c.value(2))
	if c.Has(3) {
		y = c.Op("Add", nil, y, c.value(3))
	}
	return []*onnx.Value{act.expand(c.Builder, y)}, nil
}
