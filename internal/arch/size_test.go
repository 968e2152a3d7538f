package arch

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxBinary is the size in bytes that a program that runs models may have.
const maxBinary = 14_850_000

// TestBinarySize: a program that embeds the library stays small, and has nothing
// that only training needs.
func TestBinarySize(t *testing.T) {
	build := func(flags string) string {
		t.Helper()
		bin := filepath.Join(t.TempDir(), "embed")
		cmd := exec.Command("go", "build", "-ldflags="+flags, "-o", bin, "./testdata/embed")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return bin
	}
	info, err := os.Stat(build("-s -w"))
	require.NoError(t, err)
	if info.Size() > maxBinary {
		t.Errorf("a program that runs models has %d bytes, at most %d", info.Size(), maxBinary)
	}
	f, err := elf.Open(build("-w"))
	require.NoError(t, err)
	defer f.Close()
	syms, err := f.Symbols()
	require.NoError(t, err)
	var ops int
	for _, s := range syms {
		if name, ok := strings.CutPrefix(s.Name, module+"/ops."); ok {
			ops++
			if strings.HasPrefix(name, "grad") {
				t.Errorf("a program that runs models has %s", s.Name)
			}
		}
	}
	require.Positive(t, ops, "symbols of ops")
}
