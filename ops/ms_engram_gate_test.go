package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestEngramGate(t *testing.T) {
	const b, l, c, h, eps = 2, 3, 2, 4, 0.1
	key, query, value := wave(b*l*c*h, 1), wave(b*l*c*h, 2), wave(b*l*h, 3)
	scales := [3][]float32{wave(c*h, 4), wave(c*h, 5), wave(c*h, 6)}
	norm := func(x, scale []float32) []float32 {
		y := naiveRMS(x, h, eps)
		for i := range y {
			y[i] *= scale[i%(c*h)]
		}
		return y
	}
	k, q := norm(key, scales[0]), norm(query, scales[1])
	y := make([]float32, len(key))
	for row := range b * l * c {
		dot := 0.0
		for i := range h {
			dot += float64(k[row*h+i]) * float64(q[row*h+i])
		}
		dot /= math.Sqrt(h)
		gate := sigm(math.Copysign(math.Sqrt(math.Max(math.Abs(dot), 1e-6)), dot))
		for i := range h {
			y[row*h+i] = float32(gate) * value[row/c*h+i]
		}
	}
	shape := []int{b, l, c, h}
	in := Vals(F32(shape, key...), F32(shape, query...), F32([]int{b, l, h}, value...))
	for _, s := range scales {
		in = append(in, F32([]int{c, h}, s...))
	}
	got, err := expanded(t, "EngramGate", onnx.NewAttrs("epsilon", float32(eps)), in, 2)
	require.NoError(t, err)
	require.Nil(t, tensor.Compare(got[0], F32(shape, y...), close5))
	require.Nil(t, tensor.Compare(got[1], F32(shape, norm(y, scales[2])...), close5))
	_, err = expanded(t, "EngramGate", nil, in[:5], 2)
	require.ErrorContains(t, err, "conv_norm_scale is absent")
}
