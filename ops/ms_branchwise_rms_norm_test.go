package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// naiveRMS divides rows of h by the root of their mean square.
func naiveRMS(x []float32, h int, eps float64) []float32 {
	y := make([]float32, len(x))
	for i := range x {
		square := 0.0
		for _, v := range x[i/h*h:][:h] {
			square += float64(v) * float64(v)
		}
		y[i] = float32(float64(x[i]) / math.Sqrt(square/float64(h)+eps))
	}
	return y
}

// TestBranchwiseRMSNorm has three branches of four in each of two rows.
func TestBranchwiseRMSNorm(t *testing.T) {
	x, eps := wave(24, 1), float32(0.1)
	for _, shape := range [][]int{{2, 3, 4}, {2, 12}} {
		for _, form := range [][]int{nil, {4}, {12}, {3, 4}} {
			in, scale := Vals(F32(shape, x...)), []float32{1}
			attrs := onnx.NewAttrs("epsilon", eps)
			if len(shape) == 2 {
				attrs = attrs.Set("num_branches", 3)
			}
			if form != nil {
				scale = wave(12, 2)
				if form[0] == 4 {
					scale = scale[:4]
				}
				in = append(in, F32(form, scale...))
			}
			want := naiveRMS(x, 4, float64(eps))
			for i := range want {
				want[i] *= scale[i%len(scale)]
			}
			got, err := expanded(t, "BranchwiseRMSNorm", attrs, in, 1)
			require.NoError(t, err)
			require.Nil(t, tensor.Compare(got[0], F32(shape, want...), close5))
		}
	}
}
