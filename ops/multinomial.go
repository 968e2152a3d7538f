package ops

import (
	"fmt"
	"math"
	"sort"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Multinomial: output = sample_size samples per row of the classes that input
// gives unnormalized log-probabilities of.
//
//	input: T1[batch_size, class_size]    output: T2[batch_size, sample_size]
//
// With the attribute seed each call gives the same samples. T1: float16,
// bfloat16, float32, float64; T2, the attribute dtype: int32, int64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Multinomial.html
func init() {
	register(&Op{
		Name:     "Multinomial",
		Numerics: Random,
		Versions: []Version{
			// 22 only adds bfloat16.
			{Since: 7, In: N(1), Out: N(1), Infer: inferMultinomial, Build: buildMultinomial},
		},
	})
}

func inferMultinomial(c *InferContext) error {
	rows := onnx.Dim{}
	if t := c.In(0); t.Ranked && len(t.Dims) == 2 {
		rows = t.Dims[0]
	}
	c.Out[0] = onnx.TensorType(c.DType("dtype", tensor.Int32), rows, onnx.Size(c.Int("sample_size", 1)))
	return nil
}

func buildMultinomial(b *BuildContext) (Kernel, error) {
	d, samples, source := b.DType("dtype", tensor.Int32), b.Int("sample_size", 1), b.source()
	if d != tensor.Int32 && d != tensor.Int64 {
		return nil, fmt.Errorf("attribute \"dtype\" is %v, want int32 or int64", d)
	}
	if samples < 1 {
		return nil, fmt.Errorf("attribute \"sample_size\" is %d, want a positive number", samples)
	}
	return func(c *Call) error {
		t := c.T(0)
		if t == nil {
			return fmt.Errorf("input is absent")
		}
		if !t.DType().IsFloat() {
			return unsupportedType(0, t.DType())
		}
		if t.Rank() != 2 || t.Dim(0) > 0 && t.Dim(1) == 0 {
			return fmt.Errorf("input has shape %v, want [batch_size, class_size]", t.Shape())
		}
		x, err := tensor.Float64s(t)
		if err != nil {
			return err
		}
		y := c.Output(0, d, t.Dim(0), samples)
		n, r := t.Dim(1), source(c)
		sums, out := Scratch[float64](c, n), Scratch[int64](c, samples)
		for i := range t.Dim(0) {
			row := x[i*n : (i+1)*n]
			top := math.Inf(-1)
			for _, v := range row {
				top = math.Max(top, v)
			}
			if math.IsNaN(top) || math.IsInf(top, 0) {
				return fmt.Errorf("row %d of input has a maximum of %g, want a finite number", i, top)
			}
			total := 0.0
			for j, v := range row {
				total += math.Exp(v - top)
				sums[j] = total
			}
			for j := range out {
				at := r.Float64() * total
				out[j] = int64(min(sort.Search(n, func(k int) bool { return sums[k] > at }), n-1))
			}
			storeInts(y, i*samples, out, castRules{})
		}
		return nil
	}, nil
}
