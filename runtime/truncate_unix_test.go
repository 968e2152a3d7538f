//go:build linux || darwin

package runtime_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestTruncatedWhileOpen: somebody cuts the model file short while a session
// has it mapped. A run that reads what is gone ends with an error.
func TestTruncatedWhileOpen(t *testing.T) {
	b, err := os.ReadFile("../testdata/models/rnn_textclf/model.onnx")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "model.onnx")
	for _, noMmap := range []bool{false, true} {
		require.NoError(t, os.WriteFile(file, b, 0o644))
		s, err := runtime.Open(file, runtime.Options{NoMmap: noMmap})
		require.NoError(t, err)
		in := map[string]tensor.Value{"ids": tensor.Of([]int64{9999, 5, 7000}, 1, 3)}
		_, err = s.Run(bg, in)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(file, 4096))
		_, err = s.Run(bg, in)
		if noMmap {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, tensor.ErrFault)
			require.NotContains(t, err.Error(), "\n")
		}
		require.NoError(t, s.Close())
	}
}
