package ops

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/tensor"
)

// bytesAs returns the elements of t as arrays of bytes of their size, for
// operators that only move them.
func bytesAs[T [2]byte | [4]byte | [8]byte | [16]byte](t *tensor.Tensor) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.Bytes()))), t.Len())
}
