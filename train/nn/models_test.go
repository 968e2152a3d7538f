package nn

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Ids behind a text change nothing, and count where nothing says that they are padding.
func TestTextRNNPadded(t *testing.T) {
	for _, kind := range []string{"RNN", "GRU", "LSTM"} {
		for _, padded := range []bool{true, false} {
			m, err := Build(3, []Input{{"x", tensor.Int64, []onnx.Dim{onnx.Name("batch"), onnx.Name("time")}}}, func(s *Scope, x []*onnx.Value) []Output {
				return []Output{{"y", s.Apply("net", TextRNN{Kind: kind, Vocab: 10, Embedding: 4, Hidden: 6, Classes: 3, Bidirectional: true, Pad: 2, Padded: padded}, x[0])}}
			})
			require.NoError(t, err)
			file, err := onnx.Encode(m)
			require.NoError(t, err)
			s, err := runtime.OpenBytes(file, runtime.Options{})
			require.NoError(t, err)
			run := func(shape []int, ids ...int64) []float32 {
				out, err := s.Run(context.Background(), map[string]tensor.Value{"x": tensor.Of(ids, shape...)})
				require.NoError(t, err)
				return tensor.Data[float32](out["y"].(*tensor.Tensor))
			}
			short := run([]int{1, 3}, 5, 1, 7)
			long := run([]int{3, 6}, 5, 1, 7, 2, 2, 2 /**/, 1, 2, 2, 2, 2, 2 /**/, 2, 2, 2, 2, 2, 2)
			one := run([]int{1, 1}, 1)
			if padded {
				require.InDeltaSlice(t, short, long[:3], 1e-6, kind)
				require.InDeltaSlice(t, one, long[3:6], 1e-6, kind)
			} else {
				require.NotEqual(t, short, long[:3], kind)
			}
			require.NoError(t, s.Close())
		}
	}
}
