package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TreeEnsembleRegressor: each target is the sum, average, minimum or maximum of
// the weights of the leaves that a row reaches, plus base_values, after
// post_transform (of which a single target knows PROBIT only).
//
//	X: float32, float64, int64 or int32 [n, f]    Y: float32 [n, n_targets]
//
// Sums are in float32, and for a float64 X in float64. Where the standard is
// silent, the results are those of ONNX Runtime.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "TreeEnsembleRegressor", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferTreeEnsembleRegressor, Build: func(b *BuildContext) (Kernel, error) {
				return buildTreeEnsembleRegressor(b, false)
			}},
			// 3 adds the attributes that are tensors; 5 deprecates the operator.
			{Since: 3, In: N(1), Out: N(1), Infer: inferTreeEnsembleRegressor, Build: func(b *BuildContext) (Kernel, error) {
				return buildTreeEnsembleRegressor(b, true)
			}},
		},
	})
}

func inferTreeEnsembleRegressor(c *InferContext) error {
	n, err := treeBatch(c.In(0))
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(tensor.Float32, n, onnx.Size(c.Int("n_targets", 1)))
	return nil
}

func buildTreeEnsembleRegressor(b *BuildContext, tensors bool) (Kernel, error) {
	e, err := parseTrees(&b.attrs, "target", b.Int("n_targets", 1), tensors)
	if err != nil {
		return nil, err
	}
	e.how = map[string]int{"SUM": treeSum, "AVERAGE": treeAverage, "MIN": treeMin, "MAX": treeMax}[b.OneOf("aggregate_function", "SUM", "AVERAGE", "MIN", "MAX")]
	e.compile()
	base, err := floatsOrTensor(&b.attrs, "base_values", tensors)
	if err != nil {
		return nil, err
	}
	if len(base) != 0 && len(base) != e.targets {
		return nil, fmt.Errorf("base_values has %d elements, want %d", len(base), e.targets)
	}
	post := parsePost(&b.attrs)
	return func(c *Call) error {
		x, err := e.input(c)
		if err != nil {
			return err
		}
		z := tensor.Data[float32](c.Output(0, tensor.Float32, x.n, e.targets))
		return e.regress(c, x, c.T(0).DType() == tensor.Float64, base, post, z)
	}, nil
}
