package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// MelWeightMatrix: the matrix that takes a spectrum to mel bands. Band i is a
// triangle over the bins from edge i over edge i+1, where it is 1, to edge i+2;
// the num_mel_bins + 2 edges are spaced by
// (mel(upper) - mel(lower)) / (num_mel_bins + 2) on the mel scale,
// mel(f) = 2595·log10(1 + f/700), from lower_edge_hertz on.
//
//	num_mel_bins, dft_length, sample_rate: int32 or int64 scalars
//	lower_edge_hertz, upper_edge_hertz: floating-point scalars
//	output: output_datatype (default float32)[dft_length/2 + 1, num_mel_bins]
//
// Spec: https://onnx.ai/onnx/operators/onnx__MelWeightMatrix.html (17)
func init() {
	register(&Op{Name: "MelWeightMatrix", Numerics: Rounding, Versions: []Version{
		{Since: 17, In: N(5), Out: N(1), Infer: inferMelWeightMatrix, Build: buildMelWeightMatrix},
	}})
}

func inferMelWeightMatrix(c *InferContext) error {
	bins := knownInt(c, 1).FloorDiv(onnx.Size(2)).Add(onnx.Size(1))
	c.Out[0] = onnx.TensorType(c.DType("output_datatype", tensor.Float32), bins, knownInt(c, 0))
	return nil
}

func buildMelWeightMatrix(b *BuildContext) (Kernel, error) {
	d := b.DType("output_datatype", tensor.Float32)
	if err := numericType(d); err != nil {
		return nil, err
	}
	return func(c *Call) error {
		var ints [3]int
		for i, name := range []string{"num_mel_bins", "dft_length", "sample_rate"} {
			v, ok, err := scalarInt(c, i, name)
			if err != nil {
				return err
			}
			if !ok || v < 1 {
				return fmt.Errorf("%s is %d, want 1 or more", name, v)
			}
			ints[i] = v
		}
		var mel [2]float64
		for i, name := range []string{"lower_edge_hertz", "upper_edge_hertz"} {
			v, err := reals[float64](c, 3+i)
			if err != nil {
				return err
			}
			if len(v) != 1 || !(v[0] >= 0) || math.IsInf(v[0], 1) {
				return fmt.Errorf("%s is %v, want one number, 0 or more", name, v)
			}
			mel[i] = 2595 * math.Log1p(v[0]/700) / math.Ln10
		}
		bands, length, rate := ints[0], ints[1], ints[2]
		bins := length/2 + 1
		if _, err := tensor.ByteSize(tensor.Float64, c.list(bins, bands)); err != nil {
			return err
		}
		edge := func(i int) int {
			f := 700 * math.Expm1((float64(i)*(mel[1]-mel[0])/float64(bands+2)+mel[0])/2595*math.Ln10)
			return int(math.Floor(float64(length+1) * f / float64(rate)))
		}
		out := c.Output(0, d, bins, bands)
		m := Scratch[float64](c, bins*bands)
		clear(m)
		for i := 0; i < bands; i++ {
			lo, mid, hi := edge(i), edge(i+1), edge(i+2)
			if min(lo, mid) < 0 || mid >= bins || hi > bins {
				return fmt.Errorf("band %d ends at bin %d of %d: upper_edge_hertz is too high for sample_rate", i, max(mid, hi), bins)
			}
			if mid == lo {
				m[mid*bands+i] = 1
			}
			for j := lo; j <= mid && mid > lo; j++ {
				m[j*bands+i] = float64(j-lo) / float64(mid-lo)
			}
			for j := mid; j < hi; j++ {
				m[j*bands+i] = float64(hi-j) / float64(hi-mid)
			}
		}
		storeCut(out, m)
		return nil
	}, nil
}
