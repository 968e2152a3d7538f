package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// checkOutput reports that no file can be written at path, which flag names,
// before the work that the file is the result of.
func checkOutput(flag, path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		what := "it is not a regular file"
		if info.IsDir() {
			what = "it is a folder, want a file in it"
		}
		return fmt.Errorf("%s %s: %s", flag, path, what)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".gneiss.*") // as files are written before they take their name
	if err == nil {
		err = f.Close()
		if rerr := os.Remove(f.Name()); err == nil {
			err = rerr
		}
	}
	var at *os.PathError
	if errors.As(err, &at) {
		return fmt.Errorf("%s %s: folder %s: %w", flag, path, dir, at.Err)
	}
	return err
}
