package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestQAttention(t *testing.T) {
	const b, l, n, h, d = 1, 3, 5, 2, 2
	x, w, bias := make([]uint8, b*l*n), make([]int8, n*3*h*d), wave(3*h*d, 1)
	xf, wf := make([]float32, len(x)), make([]float32, len(w))
	for i := range x {
		x[i] = uint8(i * 17)
		xf[i] = (float32(x[i]) - 100) * 0.02
	}
	for i := range w {
		w[i] = int8(i * 29)
		wf[i] = (float32(w[i]) - 3) * 0.01
	}
	part := func(from int) []float32 {
		return swapHeads(projected(xf, wf, bias, n, from*h*d, h*d), b, l, h, d)
	}
	a := naiveAttention{b: b, hq: h, hk: h, lq: l, lk: l, d: d, dv: d, q: part(0), k: part(1), v: part(2), scale: 1 / math.Sqrt(d)}
	y, _ := a.run()
	got, err := expanded(t, "QAttention", onnx.NewAttrs("num_heads", h), Vals(Of([]int{b, l, n}, x...), Of([]int{n, 3 * h * d}, w...), F32([]int{len(bias)}, bias...),
		F32([]int{}, 0.02), F32([]int{}, 0.01), nil, Of([]int{}, uint8(100)), Of([]int{}, int8(3))), 1)
	require.NoError(t, err)
	require.Nil(t, tensor.Compare(got[0], F32([]int{b, l, h * d}, swapHeads(y, b, h, l, d)...), close5))
}
