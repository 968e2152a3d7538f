package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	require.NoError(t, Write(path, text("one")))
	require.NoError(t, os.Chmod(path, 0o600))
	no := errors.New("no")
	require.ErrorIs(t, Write(path, func(w io.Writer) error {
		require.NoError(t, text("two")(w))
		return no
	}), no)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "one", string(b))
	require.NoError(t, Write(path, text("three")))
	b, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "three", string(b))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.ErrorIs(t, Write(filepath.Join(dir, "none", "a"), text("x")), os.ErrNotExist)
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 1, "an unfinished file is left")
}
