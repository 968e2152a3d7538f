package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// FeatureVectorizer: the inputs side by side, each cut or filled with zeros to
// its element of inputdimensions.
//
//	X: float32, float64, int64 or int32 [n, f] or [f], all of one type    Y: float32 [n, sum of inputdimensions]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_FeatureVectorizer.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "FeatureVectorizer",
		Versions: []Version{
			{Since: 1, In: Arity{1, Many}, Out: N(1), Infer: inferFeatureVectorizer, Build: buildFeatureVectorizer},
		},
	})
}

func inferFeatureVectorizer(c *InferContext) error {
	sum, known := 0, c.HasAttr("inputdimensions")
	for _, d := range c.Ints("inputdimensions", nil) {
		sum += d
	}
	n, err := mlBatch(c.In(0))
	if err != nil {
		return err
	}
	f := onnx.Dim{}
	if known {
		f = onnx.Size(sum)
	}
	c.Out[0] = onnx.TensorType(tensor.Float32, n, f)
	return nil
}

func buildFeatureVectorizer(b *BuildContext) (Kernel, error) {
	dims := b.Ints("inputdimensions", nil)
	if dims != nil && len(dims) != b.NumIn() {
		return nil, fmt.Errorf("inputdimensions has %d elements, want %d", len(dims), b.NumIn())
	}
	for _, d := range dims {
		if d < 0 {
			return nil, fmt.Errorf("inputdimensions has %d", d)
		}
	}
	return func(c *Call) error {
		n, sum := -1, 0
		width := make([]int, len(c.In))
		for i := range c.In {
			r, f, err := mlRows(c.T(i))
			if err != nil {
				return fmt.Errorf("input %d: %w", i, err)
			}
			if n >= 0 && r != n {
				return fmt.Errorf("input %d has %d rows, want %d", i, r, n)
			}
			n, width[i] = r, f
			if dims != nil {
				width[i] = dims[i]
			}
			if sum += width[i]; sum < 0 {
				return fmt.Errorf("%w: inputdimensions %v", tensor.ErrSize, dims)
			}
		}
		y := tensor.Data[float32](c.Output(0, tensor.Float32, n, sum))
		clear(y)
		at := 0
		for i := range c.In {
			x, err := mlNumbers[float32](c, c.T(i))
			if err != nil {
				return err
			}
			_, f, _ := mlRows(c.T(i))
			k := min(f, width[i])
			for r := range n {
				copy(y[r*sum+at:r*sum+at+k], x[r*f:r*f+k])
			}
			at += width[i]
		}
		return nil
	}, nil
}
