package ops

import (
	"encoding/binary"
	"unsafe"
)

// copyRows copies rows of n bytes, which are dr and sr bytes apart. For short ones
// calls of copy take longer than moving: they go by their first and last bytes, which may overlap.
func copyRows(dst, src []byte, rows, n, dr, sr int) {
	if rows == 0 || n == 0 {
		return
	}
	e := binary.NativeEndian // a load or store where the processor may be off the boundaries of words
	switch {
	case n > 32 || n == 1:
		for i := range rows {
			copy(dst[i*dr:][:n], src[i*sr:][:n])
		}
	case n >= 16:
		for i := range rows {
			to, from := dst[i*dr:][:n], src[i*sr:][:n]
			a, b, c, d := e.Uint64(from), e.Uint64(from[8:]), e.Uint64(from[n-16:]), e.Uint64(from[n-8:])
			e.PutUint64(to, a)
			e.PutUint64(to[8:], b)
			e.PutUint64(to[n-16:], c)
			e.PutUint64(to[n-8:], d)
		}
	case n >= 8:
		for i := range rows {
			to, from := dst[i*dr:][:n], src[i*sr:][:n]
			a, b := e.Uint64(from), e.Uint64(from[n-8:])
			e.PutUint64(to, a)
			e.PutUint64(to[n-8:], b)
		}
	case n >= 4:
		for i := range rows {
			to, from := dst[i*dr:][:n], src[i*sr:][:n]
			a, b := e.Uint32(from), e.Uint32(from[n-4:])
			e.PutUint32(to, a)
			e.PutUint32(to[n-4:], b)
		}
	default:
		for i := range rows {
			to, from := dst[i*dr:][:n], src[i*sr:][:n]
			a, b := e.Uint16(from), from[n-1]
			e.PutUint16(to, a)
			to[n-1] = b
		}
	}
}

// bytesFrom returns the n bytes at p from the given one on.
func bytesFrom(p unsafe.Pointer, n, from int) []byte { return unsafe.Slice((*byte)(p), n)[from:] }
