package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Equal: C = A == B, element-wise with broadcasting; comparisons with NaN are false.
//
//	A, B: T[...]    C: bool[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64, bool, string.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Equal.html
func init() {
	vs := binaryVersions(1, tensor.Bool, vecTable(equalTable))
	last := &vs[len(vs)-1]
	infer := last.Infer
	last.Infer = func(c *InferContext) error {
		if err := infer(c); err != nil {
			return err
		}
		inferEqualInts(c)
		return nil
	}
	register(&Op{
		Name:        "Equal",
		Commutative: true,
		Numerics:    Exact,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: vs,
	})
}

// inferEqualInts compares sizes: 1 where they are equal, 0 where they cannot be.
func inferEqualInts(c *InferContext) {
	a, okA := c.KnownInts(0)
	b, okB := c.KnownInts(1)
	if !okA || !okB || len(a) == 0 || len(b) == 0 || len(a) != len(b) && len(a) != 1 && len(b) != 1 {
		return
	}
	out := make([]onnx.Dim, max(len(a), len(b)))
	for i := range out {
		x, y := a[min(i, len(a)-1)], b[min(i, len(b)-1)]
		switch {
		case x.Equal(y):
			out[i] = onnx.Size(1)
		case x.Known() && y.Known() && (differ(x, y) || differ(y, x)):
			out[i] = onnx.Size(0)
		}
	}
	c.SetInts(0, out)
}

// differ reports whether x > y whatever sizes the names in them stand for.
func differ(x, y onnx.Dim) bool { return x.Sub(y).Sub(onnx.Size(1)).NonNegative() }
