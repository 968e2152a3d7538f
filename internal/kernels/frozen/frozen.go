// Package frozen lets packed weights be kept in a file. A form that can be kept has a Freeze
// method, and its package registers how to make it again from what lies in the file, as it lies there.
package frozen

import (
	"fmt"
	"math"
	"unsafe"
)

// Format is the version of what Freeze gives, over all kinds: another order of the same numbers
// needs another version, or files that are there would be taken for it.
const Format = 1

// Form is packed weights in parts: a few integers, and blocks of numbers as the machine has them.
type Form struct {
	Kind   string
	Header []int
	Blocks [][]byte
}

// Freezer is a packed form that can be kept. The blocks are its own memory. ok is false where this one
// cannot be kept.
type Freezer interface {
	Freeze() (f Form, ok bool)
}

var kinds = map[string]func(Form) (any, error){}

// Register tells how to make forms of a kind. The blocks become the form's memory and are only read.
func Register(kind string, thaw func(Form) (any, error)) {
	if kinds[kind] != nil {
		panic("frozen: two kinds are called " + kind)
	}
	kinds[kind] = thaw
}

// Thaw makes the form again.
func (f Form) Thaw() (any, error) {
	thaw := kinds[f.Kind]
	if thaw == nil {
		return nil, fmt.Errorf("frozen: kind %q is not known", f.Kind)
	}
	return thaw(f)
}

// Expect checks how many integers and blocks there are.
func (f Form) Expect(header, blocks int) error {
	if len(f.Header) != header || len(f.Blocks) != blocks {
		return fmt.Errorf("frozen: %s with %d integers and %d blocks, want %d and %d", f.Kind, len(f.Header), len(f.Blocks), header, blocks)
	}
	for _, n := range f.Header {
		if n < 0 {
			return fmt.Errorf("frozen: %s with size %d", f.Kind, n)
		}
	}
	return nil
}

// Bytes returns the memory of s.
func Bytes[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(*new(T))))
}

// Numbers returns block i as n numbers, each at an address that is a multiple of its size.
func Numbers[T any](f Form, i, n int) ([]T, error) {
	b, size := f.Blocks[i], int(unsafe.Sizeof(*new(T)))
	if n < 0 || n > len(b) || n*size != len(b) {
		return nil, fmt.Errorf("frozen: %s: block %d has %d bytes, want %d numbers of %d", f.Kind, i, len(b), n, size)
	}
	p := unsafe.SliceData(b)
	if uintptr(unsafe.Pointer(p))%uintptr(size) != 0 {
		return nil, fmt.Errorf("frozen: %s: block %d is not aligned", f.Kind, i)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(p)), n), nil
}

// Product multiplies sizes; it is an error if they are too large for any memory.
func Product(sizes ...int) (int, error) {
	n := 1
	for _, s := range sizes {
		if s < 0 || s > 0 && n > math.MaxInt/s {
			return 0, fmt.Errorf("frozen: sizes %v", sizes)
		}
		n *= s
	}
	return n, nil
}
