package runtime_test

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/runtime"
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
