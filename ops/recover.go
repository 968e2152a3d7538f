package ops

import (
	"fmt"
	"runtime/debug"
)

// Recovered turns what a kernel panicked with into the node's error.
func Recovered(r any) error {
	if a, ok := r.(Abort); ok {
		return a.Err
	}
	return fmt.Errorf("internal error: %v\n%s", r, debug.Stack())
}
