// Package shared finds the data for tests that is not part of the repository.
package shared

import (
	"os"
	"path/filepath"
	"testing"
)

// File returns the path of a file or folder in the folder of shared data:
// $GNEISS_SHARED, or "shared" beside the repository. Without it the test is
// skipped, and fails where CI is set.
func File(t testing.TB, elem ...string) string {
	t.Helper()
	dir := os.Getenv("GNEISS_SHARED")
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared")
	}
	p := filepath.Join(append([]string{dir}, elem...)...)
	Need(t, p)
	return p
}

// Models returns the folder of generated models: $GNEISS_MODELS. Without it
// the test is skipped, and fails where CI is set.
func Models(t testing.TB) string {
	t.Helper()
	p := os.Getenv("GNEISS_MODELS")
	if p == "" {
		p = "(GNEISS_MODELS is not set)"
	}
	Need(t, p)
	return p
}

// ModelsNamed returns the files of those of the named models that were made.
// If none was, the test is skipped, and fails where CI is set.
func ModelsNamed(t testing.TB, names ...string) map[string]string {
	t.Helper()
	dir := Models(t)
	made := map[string]string{}
	for _, name := range names {
		p := filepath.Join(dir, name, "model.onnx")
		if _, err := os.Stat(p); err == nil {
			made[name] = p
		}
	}
	if len(made) == 0 {
		Need(t, filepath.Join(dir, names[0], "model.onnx"))
	}
	return made
}

// Need skips the test if p does not exist, and fails it where CI is set.
func Need(t testing.TB, p string) {
	t.Helper()
	if _, err := os.Stat(p); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("shared data is missing: %v", err)
		}
		t.Skipf("shared data is missing: %v", err)
	}
}

// root returns the root of the repository: the folder with go.mod.
func root(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}
