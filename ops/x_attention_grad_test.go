package ops_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// What it computes is held against finite differences with Attention itself.
func TestAttentionGradErrors(t *testing.T) {
	run := func(threads int, in ...tensor.Value) ([]tensor.Value, error) {
		g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1})
		vs := make([]*onnx.Value, len(in))
		for i, v := range in {
			if v != nil {
				vs[i] = g.AddInput(fmt.Sprint("in", i), onnx.TypeOf(v))
			}
		}
		return ops.Eval(par.P{Threads: threads}, g.NewNodeIn(ops.Private, "AttentionGrad", nil, vs, 3), in, ops.BuildEnv{})
	}
	q, k, v := waveT(1, 2, 3, 70, 8), waveT(2, 2, 3, 50, 8), waveT(3, 2, 3, 50, 5)
	one, err := run(1, q, k, v, nil, nil, nil, nil, waveT(4, 2, 3, 70, 5))
	require.NoError(t, err)
	more, err := run(3, q, k, v, nil, nil, nil, nil, waveT(4, 2, 3, 70, 5))
	require.NoError(t, err)
	for i := range one {
		require.Equal(t, tensor.Data[float32](one[i].(*tensor.Tensor)), tensor.Data[float32](more[i].(*tensor.Tensor)), "results depend on threads")
	}
	_, err = run(1, q, k, v, nil, nil, nil, nil, waveT(4, 2, 3, 70, 8))
	require.ErrorContains(t, err, "want shape [2 3 70 5]")
	_, err = run(1, q, waveT(2, 2, 3, 50, 7), v, nil, nil, nil, nil, waveT(4, 2, 3, 70, 5))
	require.ErrorContains(t, err, "they do not fit")
	_, err = run(1, q, k, v, nil, nil, nil, I64([]int{2}, 1, 51), waveT(4, 2, 3, 70, 5))
	require.ErrorContains(t, err, "want 0 to 50")
	_, err = run(1, q, k, v, nil, k, v, nil, waveT(4, 2, 3, 70, 5))
	require.ErrorContains(t, err, "past_value is given")
	_, err = run(1, q, k, v, nil, waveT(2, 2, 3, 51, 8), nil, nil, waveT(4, 2, 3, 70, 5))
	require.ErrorContains(t, err, "want at most the 50 keys")
	_, err = run(1, q, k, v, waveT(1, 70, 51), nil, nil, nil, waveT(4, 2, 3, 70, 5))
	require.ErrorContains(t, err, "attn_mask has shape [70 51]")
}

// Masked scores of keys that are not attended are -∞ whatever the inputs are.
func TestAttentionGradOfHiddenScores(t *testing.T) {
	q, k, v, dy, d := waveT(1, 1, 2, 4, 3), waveT(2, 1, 2, 6, 3), waveT(3, 1, 2, 6, 5), waveT(4, 1, 2, 4, 5), waveT(6, 1, 2, 4, 6)
	mask := waveT(5, 4, 5) // the last key is out of its reach
	tensor.Data[float32](mask)[10] = float32(math.Inf(-1))
	run := func(d *tensor.Tensor) []tensor.Value {
		in := []tensor.Value{q, k, v, mask, nil, nil, nil, dy, d}
		g := onnx.NewGraph("g", map[string]int{"": Latest, ops.Private: 1})
		vs := make([]*onnx.Value, len(in))
		for i, v := range in {
			if v != nil {
				vs[i] = g.AddInput(fmt.Sprint("in", i), onnx.TypeOf(v))
			}
		}
		as := onnx.NewAttrs("is_causal", 1, "qk_matmul_output_mode", 2)
		out, err := ops.Eval(par.P{Threads: 1}, g.NewNodeIn(ops.Private, "AttentionGrad", as, vs, 4), in, ops.BuildEnv{})
		require.NoError(t, err)
		return out
	}
	open := d.Clone()
	for i := range tensor.Data[float32](open) {
		if key, query := i%6, i/6%4; key > query || key == 5 || key == 0 && query == 2 {
			tensor.Data[float32](open)[i] = 0
		}
	}
	require.Equal(t, run(open), run(d))
	require.NotEqual(t, run(tensor.New(tensor.Float32, 1, 2, 4, 6)), run(d))
}
