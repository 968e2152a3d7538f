package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// CDist (com.microsoft): the distance of each row of A from each row of B, by
// metric "euclidean" or "sqeuclidean", its square (the default).
//
//	A: T[m, k], B: T[n, k]    C: T[m, n]
//
// Differences are squared, and not squares subtracted, so equal rows have
// distance 0.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.CDist
func init() {
	register(&Op{Domain: "com.microsoft", Name: "CDist", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(2), Out: N(1), Infer: inferDistances, Build: buildCDist, Expand: expandCDist},
	}})
}

func buildCDist(b *BuildContext) (Kernel, error) {
	metric := b.Str("metric", "sqeuclidean")
	if metric != "euclidean" && metric != "sqeuclidean" {
		return nil, fmt.Errorf("attribute \"metric\" is %q, want \"euclidean\" or \"sqeuclidean\"", metric)
	}
	return distancesBetween(b, 2, metric == "euclidean")
}

// expandCDist: the sum of squares of all differences.
func expandCDist(c *ExpandContext) ([]*onnx.Value, error) {
	metric := c.OneOf("metric", "sqeuclidean", "euclidean")
	diff := c.Op("Sub", nil, c.Op("Unsqueeze", nil, c.value(0), c.Builder.Ints(1)), c.Op("Unsqueeze", nil, c.value(1), c.Builder.Ints(0)))
	y := c.Op("ReduceSumSquare", onnx.NewAttrs("keepdims", 0), diff, c.Builder.Ints(2))
	if metric == "euclidean" {
		y = c.Op("Sqrt", nil, y)
	}
	return []*onnx.Value{y}, nil
}
