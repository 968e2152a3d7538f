// Package leak runs a package's tests and fails when a goroutine is left.
package leak

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/gneiss-run/gneiss/internal/par"
)

// Main is for TestMain: it runs the tests, ends the workers of the pool, and
// exits with failure if any other goroutine is left.
func Main(m *testing.M) {
	code := m.Run()
	par.Stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
