//go:build !linux

package huge

import "unsafe"

// Advise does nothing here.
func Advise(unsafe.Pointer, int) {}
