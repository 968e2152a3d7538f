package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ArrayFeatureExtractor: the elements of X's last axis at the indices Y. A
// vector X counts as [1, n].
//
//	X: float32, float64, int64, int32 or string [.., n]    Y: int64 [k] or [1, k]    Z: the type of X [.., k]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_ArrayFeatureExtractor.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "ArrayFeatureExtractor",
		Versions: []Version{
			{Since: 1, In: N(2), Out: N(1), Infer: inferArrayFeatureExtractor, Build: buildArrayFeatureExtractor},
		},
	})
}

func inferArrayFeatureExtractor(c *InferContext) error {
	x, y := c.In(0), c.In(1)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked || !y.Ranked {
		return nil
	}
	if len(x.Dims) == 0 {
		return fmt.Errorf("X is %v, want at least 1 dimension", x)
	}
	dims := slices.Clone(x.Dims)
	if len(dims) == 1 {
		dims = []onnx.Dim{onnx.Size(1), dims[0]}
	}
	k := onnx.Size(1)
	for _, d := range y.Dims {
		k = k.Mul(d)
	}
	dims[len(dims)-1] = k
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildArrayFeatureExtractor(b *BuildContext) (Kernel, error) {
	return b.dispatch(0, byType{
		tensor.Float32: extract[float32], tensor.Float64: extract[float64], tensor.Int64: extract[int64],
		tensor.Int32: extract[int32], tensor.String: extract[string],
	})
}

func extract[T tensor.Element](c *Call) error {
	x := c.T(0)
	if x.Rank() == 0 {
		return fmt.Errorf("X is %v, want at least 1 dimension", x)
	}
	idx, err := c.Ints(1)
	if err != nil {
		return err
	}
	n := x.Dim(-1)
	for _, i := range idx {
		if i < 0 || i >= n {
			return fmt.Errorf("index %d is not in [0, %d]", i, n-1)
		}
	}
	shape := c.list(x.Shape()...)
	if len(shape) == 1 {
		shape = c.list(1, shape[0])
	}
	k := len(idx)
	shape[len(shape)-1] = k
	z, src := tensor.Data[T](c.Output(0, x.DType(), shape...)), tensor.Data[T](x)
	for r := 0; r*k < len(z); r++ {
		for j, i := range idx {
			z[r*k+j] = src[r*n+i]
		}
	}
	return nil
}
