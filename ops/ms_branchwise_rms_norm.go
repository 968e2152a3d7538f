package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// BranchwiseRMSNorm (com.microsoft): Y = X / sqrt(mean(X²) + epsilon) · scale, the mean over each branch's h elements.
//
//	X, Y: T[…, c, h], or T[…, c*h] with num_branches = c    scale (optional): M[c*h], [c, h] or [h]
//
// Computed in float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.BranchwiseRMSNorm
func init() {
	register(&Op{Domain: "com.microsoft", Name: "BranchwiseRMSNorm", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{1, 2}, Out: N(1), Expand: expandBranchwiseRMSNorm},
	}})
}

func expandBranchwiseRMSNorm(c *ExpandContext) ([]*onnx.Value, error) {
	x := c.branches(0)
	y := c.rms(x)
	if c.Has(1) {
		rows := c.Op("Concat", onnx.NewAttrs("axis", 0), c.Builder.Ints(-1), c.Op("Shape", onnx.NewAttrs("start", -1), x))
		y = c.Op("Mul", nil, y, c.Op("Reshape", nil, c.asFloat32(c.value(1)), rows))
	}
	return []*onnx.Value{c.backFrom32(c.Op("Reshape", nil, y, c.Op("Shape", nil, c.value(0))), c.In(0))}, nil
}

// rms returns x, float32, by the root of the mean of its squares along the last dimension and attribute epsilon.
func (c *ExpandContext) rms(x *onnx.Value) *onnx.Value {
	mean := c.at("ReduceMean", 18, nil, 1, c.Op("Mul", nil, x, x), c.Builder.Ints(-1))[0]
	eps := c.Builder.Float(tensor.Float32, float64(c.attrs.Float("epsilon", 1e-5)))
	return c.Op("Div", nil, x, c.Op("Sqrt", nil, c.Op("Add", nil, mean, eps)))
}

// branches returns input i in float32 as […, c, h], which […, c*h] with attribute num_branches = c stands for.
func (c *ExpandContext) branches(i int) *onnx.Value {
	x := c.asFloat32(c.value(i))
	n := c.attrs.Int("num_branches", 0)
	if n == 0 {
		return x
	}
	return c.Op("Reshape", nil, x, c.Op("Concat", onnx.NewAttrs("axis", 0), c.Op("Shape", onnx.NewAttrs("end", -1), x), c.Builder.Ints(n, -1)))
}
