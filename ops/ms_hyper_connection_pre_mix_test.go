package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestHyperConnectionPreMix reduces three streams of four elements in each of two rows.
func TestHyperConnectionPreMix(t *testing.T) {
	x := wave(24, 1)
	for _, form := range [][]int{{2, 3}, {2, 3, 1}, {2, 3, 4}, {2, 12}} {
		shape, attrs := []int{2, 3, 4}, onnx.NewAttrs("reduction_scale", float32(0.25))
		if len(form) == 2 {
			shape, attrs = []int{2, 12}, attrs.Set("num_branches", 3)
		}
		n := 6
		if form[len(form)-1] >= 4 {
			n = 24
		}
		gates, want := wave(n, 2), make([]float32, 8)
		for i, v := range x {
			want[i/12*4+i%4] += 0.25 * v * gates[i*n/24]
		}
		got, err := expanded(t, "HyperConnectionPreMix", attrs, Vals(F32(shape, x...), F32(form, gates...)), 1)
		require.NoError(t, err)
		require.Nil(t, tensor.Compare(got[0], F32([]int{2, 4}, want...), close5))
	}
}
