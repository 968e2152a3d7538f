package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestGroupNorm(t *testing.T) {
	x, s, b := wave(48, 1), wave(4, 2), wave(4, 3)
	norm, _, _ := naiveNormRows(x, 12, 1e-5, true, nil, nil)
	y := make([]float32, 48)
	last, lastY := make([]float32, 48), make([]float32, 48)
	silu := make([]float32, 48)
	for i, v := range norm {
		n, c, d := i/24, i/6%4, i%6
		y[i] = v*s[c] + b[c]
		j := (n*6+d)*4 + c
		last[j], lastY[j] = x[i], y[i]
		silu[j] = y[i] * sigmoid(y[i])
	}
	p := func(shape []int, x []float32) []tensor.Value {
		return Vals(F32(shape, x...), F32([]int{4}, s...), F32([]int{4}, b...))
	}
	Run(t, []Case{
		{Op: "GroupNorm", Domain: "com.microsoft", In: p([]int{2, 4, 3, 2}, x), Attrs: onnx.NewAttrs("groups", 2, "channels_last", 0, "activation", 0), Want: Vals(F32([]int{2, 4, 3, 2}, y...)), Tol: close5},
		{Op: "GroupNorm", Domain: "com.microsoft", In: p([]int{2, 3, 2, 4}, last), Attrs: onnx.NewAttrs("groups", 2, "activation", 0), Want: Vals(F32([]int{2, 3, 2, 4}, lastY...)), Tol: close5},
		{Op: "GroupNorm", Domain: "com.microsoft", In: p([]int{2, 3, 2, 4}, last), Attrs: onnx.NewAttrs("groups", 2, "activation", 1), Want: Vals(F32([]int{2, 3, 2, 4}, silu...)), Tol: close5},
		{Op: "GroupNorm", Domain: "com.microsoft", In: p([]int{2, 3, 2, 4}, last), Attrs: onnx.NewAttrs("groups", 3, "activation", 1), Want: Vals(F32([]int{1}, 0)), Err: "4 channels are not a multiple of groups 3"},
	})
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
