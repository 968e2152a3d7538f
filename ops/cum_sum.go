package ops

import "github.com/gneiss-run/gneiss/onnx"

// CumSum: y[k] = sum of x[0] … x[k] along axis; with exclusive, without x[k];
// with reverse, from the other end. Floats accumulate in float64.
//
//	x: T[...], axis: int32 or int64[]    y: T, same shape
//
// T is float16, bfloat16, float32, float64, int32, int64, uint32 or uint64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__CumSum.html
func init() {
	register(&Op{
		Name:     "CumSum",
		Numerics: Rounding,
		Versions: []Version{{Since: 11, In: N(2), Out: N(1), Infer: inferFirst, Build: buildCumSum}},
	})
}

func buildCumSum(b *BuildContext) (Kernel, error) {
	return cumulativeSums(b)
}

// gradCumSum: the sum from the other end.
func gradCumSum(c *GradContext) []*onnx.Value {
	reverse := 1 - c.Attr.Int("reverse", 0)
	as := onnx.NewAttrs("exclusive", c.Attr.Int("exclusive", 0), "reverse", reverse)
	return []*onnx.Value{c.Op("CumSum", as, c.DOut[0], c.X(1))}
}
