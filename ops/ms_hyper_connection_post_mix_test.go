package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestHyperConnectionPostMix mixes three streams of four elements in each of two rows.
func TestHyperConnectionPostMix(t *testing.T) {
	x, block, mix := wave(24, 1), wave(8, 2), wave(18, 3)
	for _, form := range [][]int{{2, 3}, {2, 3, 1}, {2, 3, 4}} {
		for _, mixed := range []bool{false, true} {
			for _, shape := range [][]int{{2, 3, 4}, {2, 12}} {
				var attrs onnx.Attrs
				if len(shape) == 2 {
					attrs = onnx.NewAttrs("num_branches", 3)
				}
				n := 6
				if form[len(form)-1] == 4 {
					n = 24
				}
				gates, want := wave(n, 4), make([]float32, 24)
				for i := range want {
					b, k, h := i/12, i/4%3, i%4
					want[i] = gates[i*n/24] * block[b*4+h]
					if !mixed {
						want[i] += x[i]
						continue
					}
					for c := range 3 {
						want[i] += mix[(b*3+c)*3+k] * x[(b*3+c)*4+h]
					}
				}
				in := Vals(F32(shape, x...), F32([]int{2, 4}, block...), F32(form, gates...))
				if mixed {
					in = append(in, F32([]int{2, 3, 3}, mix...))
				}
				got, err := expanded(t, "HyperConnectionPostMix", attrs, in, 1)
				require.NoError(t, err)
				require.Nil(t, tensor.Compare(got[0], F32(shape, want...), close5))
			}
		}
	}
}
