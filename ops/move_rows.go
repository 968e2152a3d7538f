package ops

import "unsafe"

// copyRows copies rows of n bytes, which are dr and sr bytes apart. For short ones
// calls of copy take longer than moving: they go by their first and last bytes, which may overlap.
func copyRows(dst, src []byte, rows, n, dr, sr int) {
	if rows == 0 || n == 0 {
		return
	}
	d, s := unsafe.Pointer(&dst[:(rows-1)*dr+n][0]), unsafe.Pointer(&src[:(rows-1)*sr+n][0])
	switch {
	case n > 64 || n == 1:
		for i := range rows {
			copy(dst[i*dr:][:n], src[i*sr:][:n])
		}
	case n >= 32:
		for i := range rows {
			to, from := unsafe.Add(d, i*dr), unsafe.Add(s, i*sr)
			a, b := *(*[4]uint64)(from), *(*[4]uint64)(unsafe.Add(from, n-32))
			*(*[4]uint64)(to), *(*[4]uint64)(unsafe.Add(to, n-32)) = a, b
		}
	case n >= 16:
		for i := range rows {
			to, from := unsafe.Add(d, i*dr), unsafe.Add(s, i*sr)
			a, b := *(*[2]uint64)(from), *(*[2]uint64)(unsafe.Add(from, n-16))
			*(*[2]uint64)(to), *(*[2]uint64)(unsafe.Add(to, n-16)) = a, b
		}
	case n >= 8:
		for i := range rows {
			to, from := unsafe.Add(d, i*dr), unsafe.Add(s, i*sr)
			a, b := *(*uint64)(from), *(*uint64)(unsafe.Add(from, n-8))
			*(*uint64)(to), *(*uint64)(unsafe.Add(to, n-8)) = a, b
		}
	case n >= 4:
		for i := range rows {
			to, from := unsafe.Add(d, i*dr), unsafe.Add(s, i*sr)
			a, b := *(*uint32)(from), *(*uint32)(unsafe.Add(from, n-4))
			*(*uint32)(to), *(*uint32)(unsafe.Add(to, n-4)) = a, b
		}
	default:
		for i := range rows {
			to, from := unsafe.Add(d, i*dr), unsafe.Add(s, i*sr)
			a, b := *(*uint16)(from), *(*uint8)(unsafe.Add(from, n-1))
			*(*uint16)(to), *(*uint8)(unsafe.Add(to, n-1)) = a, b
		}
	}
}

// bytesFrom returns the n bytes at p from the given one on.
func bytesFrom(p unsafe.Pointer, n, from int) []byte { return unsafe.Slice((*byte)(p), n)[from:] }
