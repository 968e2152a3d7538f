package ops

import (
	"fmt"
	"runtime/debug"

	"github.com/gneiss-run/gneiss/tensor"
)

// Recovered turns what a kernel panicked with into the node's error.
func Recovered(r any) error {
	if a, ok := r.(Abort); ok {
		return a.Err
	}
	if f, ok := r.(interface {
		error
		Addr() uintptr
	}); ok { // of a mapped file
		return fmt.Errorf("%w (%v)", tensor.ErrFault, f)
	}
	return fmt.Errorf("internal error: %v\n%s", r, debug.Stack())
}
