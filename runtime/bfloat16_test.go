package runtime_test

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// BFloat16 rounds factors where the processor multiplies bfloat16, and changes nothing elsewhere.
func TestBFloat16(t *testing.T) {
	file := filepath.Join(t.TempDir(), "packed")
	for _, level := range append(cpu.Levels(), "best") {
		t.Run(level, func(t *testing.T) {
			if level != "best" {
				restore, err := cpu.Force(level)
				require.NoError(t, err)
				defer restore()
			}
			want := packedRun(t, 1, runtime.Options{PackFile: file})
			got := packedRun(t, 1, runtime.Options{PackFile: file, BFloat16: true})
			require.Equal(t, got, packedRun(t, 1, runtime.Options{PackFile: file, BFloat16: true, Threads: 1}))
			require.Equal(t, want, packedRun(t, 1, runtime.Options{PackFile: file}))
			if !cpu.Found.AVX512BF16 || !cpu.Has(cpu.AVX512) {
				require.Equal(t, want, got)
				return
			}
			diff, size := 0.0, 0.0
			for i, v := range want {
				diff += (v - got[i]) * (v - got[i])
				size += v * v
			}
			e := math.Sqrt(diff / size)
			require.Positive(t, e)
			require.Less(t, e, 0.02)
		})
	}
}

// Weights of float16 are rounded as well where products are kept in float32.
func TestBFloat16OfHalves(t *testing.T) {
	m, g, b := model()
	weights := func(k, n int) *onnx.Value {
		w := tensor.New(tensor.Float16, k, n)
		for i, d := 0, tensor.Data[tensor.F16](w); i < len(d); i++ {
			d[i] = tensor.F16Of(float32(math.Sin(float64(i))))
		}
		return b.Const(w)
	}
	x := b.Op("Cast", onnx.NewAttrs("to", tensor.Float16), g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Sizes(5, 64)...)))
	v := b.Op("MatMul", nil, b.Op("Relu", nil, b.Op("MatMul", nil, x, weights(64, 160))), weights(160, 70))
	v = b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), v)
	require.NoError(t, b.Err())
	b.Insert(nil)
	v.Name = "y"
	g.Outputs = []*onnx.Value{v}
	run := func(o runtime.Options) []float32 {
		s, err := runtime.New(m.Clone(), o)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		x := tensor.New(tensor.Float32, 5, 64)
		for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
			d[i] = float32(i%17)/8 - 1
		}
		out, err := s.Run(bg, map[string]tensor.Value{"x": x})
		require.NoError(t, err)
		return tensor.Data[float32](out["y"].(*tensor.Tensor))
	}
	want, got := run(runtime.Options{}), run(runtime.Options{BFloat16: true})
	if !cpu.Found.AVX512BF16 || !cpu.Has(cpu.AVX512) {
		require.Equal(t, want, got)
		return
	}
	require.NotEqual(t, want, got)
	for i, v := range want {
		require.InDelta(t, v, got[i], 0.5)
	}
}
