package ops

import "github.com/gneiss-run/gneiss/onnx"

// CumProd: y[k] = product of x[0] … x[k] along axis; with exclusive, without x[k];
// with reverse, from the other end. Floats accumulate in float64.
//
//	x: T[...], axis: int32 or int64[]    y: T, same shape
//
// T is float16, bfloat16, float32, float64, int32, int64, uint32 or uint64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__CumProd.html
func init() {
	register(&Op{
		Name:     "CumProd",
		Numerics: Rounding,
		Versions: []Version{{Since: 26, In: N(2), Out: N(1), Infer: inferFirst, Build: buildCumProd}},
	})
}

func gradCumProd(c *GradContext) []*onnx.Value {
	as := onnx.NewAttrs("exclusive", c.Attr.Int("exclusive", 0), "reverse", c.Attr.Int("reverse", 0))
	return []*onnx.Value{c.Ops(Private, "CumProdGrad", as, 1, c.DOut[0], c.X(0), c.X(1))[0]}
}

func buildCumProd(b *BuildContext) (Kernel, error) {
	return cumulativeProducts(b)
}
