// Package atomicfile writes files that are there whole, or as they were.
package atomicfile

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
)

// Pattern is what os.CreateTemp and filepath.Glob name the unfinished file at path by,
// beside it.
func Pattern(path string) string { return "." + filepath.Base(path) + ".*" }

// Write replaces the file at path by what write writes, or leaves it alone. The
// new file is on the disk when it takes its name; it keeps the permissions of the old
// one, and has 0644 where there was none.
func Write(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), Pattern(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // of no interest beside err
			_ = os.Remove(f.Name())
		}
	}()
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	b := bufio.NewWriterSize(f, 1<<16)
	if err = write(b); err != nil {
		return err
	}
	if err = b.Flush(); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
