package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
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
		{Since: 1, In: N(2), Out: N(1), Infer: inferCDist, Build: buildCDist, Expand: expandCDist},
	}})
}

func inferCDist(c *InferContext) error {
	a, b := c.In(0), c.In(1)
	dims := make([]onnx.Dim, 2)
	for i, t := range []onnx.Type{a, b} {
		if t.Ranked && len(t.Dims) != 2 {
			return fmt.Errorf("input %d has %d dimensions, want 2", i, len(t.Dims))
		}
		if t.Ranked {
			dims[i] = t.Dims[0]
		}
	}
	c.Out[0] = onnx.TensorType(a.DType, dims...)
	return nil
}

func buildCDist(b *BuildContext) (Kernel, error) {
	metric := b.Str("metric", "sqeuclidean")
	if metric != "euclidean" && metric != "sqeuclidean" {
		return nil, fmt.Errorf("attribute \"metric\" is %q, want \"euclidean\" or \"sqeuclidean\"", metric)
	}
	root := metric == "euclidean"
	return b.dispatch(0, byType{tensor.Float32: cdistKernel[float32](root), tensor.Float64: cdistKernel[float64](root)})
}

func cdistKernel[T floating](root bool) Kernel {
	return func(c *Call) error {
		at, bt := c.T(0), c.T(1)
		if at.Rank() != 2 || bt == nil || bt.Rank() != 2 || at.Dim(1) != bt.Dim(1) || at.DType() != bt.DType() {
			return fmt.Errorf("A is %v, B is %v: want rows of the same type and length", at, bt)
		}
		m, n, k := at.Dim(0), bt.Dim(0), at.Dim(1)
		x, y := tensor.Data[T](at), tensor.Data[T](bt)
		out := tensor.Data[T](c.Output(0, at.DType(), m, n))
		c.P.For(m, par.Grain(m, float64(n)*float64(k+2)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				row := x[i*k:][:k]
				for j := range n {
					d := squaredDistance(row, y[j*k:][:k])
					if root {
						d = T(math.Sqrt(float64(d)))
					}
					out[i*n+j] = d
				}
			}
		})
		return nil
	}
}

// squaredDistance sums in four accumulators, which the processor can add at once.
func squaredDistance[T floating](x, y []T) T {
	var s [4]T
	for len(x) >= 4 && len(y) >= 4 {
		a, b, c, d := x[0]-y[0], x[1]-y[1], x[2]-y[2], x[3]-y[3]
		s[0], s[1], s[2], s[3] = s[0]+a*a, s[1]+b*b, s[2]+c*c, s[3]+d*d
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		d := v - y[i]
		s[0] += d * d
	}
	return s[0] + s[1] + (s[2] + s[3])
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
