//go:build linux || darwin

package tensor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file that is cut short while it is mapped gives an error, not the end of the process.
func TestGuardTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weights")
	require.NoError(t, os.WriteFile(path, make([]byte, 4*os.Getpagesize()), 0o600))
	m, err := MapFile(path)
	require.NoError(t, err)
	defer m.Close()
	require.NoError(t, os.Truncate(path, 0))
	sum := 0
	err = Guard(func() error {
		for _, b := range m.Bytes() {
			sum += int(b)
		}
		return nil
	})
	require.ErrorIs(t, err, ErrFault)
	require.Zero(t, sum)
}
