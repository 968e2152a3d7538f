package gemm

import "unsafe"

// tileGo is Tile in Go: 2x4 elements of C at a time, which the compiler keeps
// in registers.
func tileGo[T Number](rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	size := int(unsafe.Sizeof(*new(T)))
	for i := 0; i < rows; i += 2 {
		a0 := unsafe.Add(a, i*lda*size)
		a1 := a0 // of an odd number of rows the last is computed twice
		if i+1 < rows {
			a1 = unsafe.Add(a0, lda*size)
		}
		for j := 0; j < w; j += 4 {
			c00, c01, c02, c03, c10, c11, c12, c13 := micro[T](kc, a0, a1, unsafe.Add(b, j*size), ldb*size)
			store(unsafe.Add(c, (i*ldc+j)*size), min(4, w-j), acc, [4]T{c00, c01, c02, c03})
			if i+1 < rows {
				store(unsafe.Add(c, ((i+1)*ldc+j)*size), min(4, w-j), acc, [4]T{c10, c11, c12, c13})
			}
		}
	}
}

// micro returns two rows times four columns. ldb is in bytes.
func micro[T Number](kc int, a0, a1, b unsafe.Pointer, ldb int) (c00, c01, c02, c03, c10, c11, c12, c13 T) {
	size := int(unsafe.Sizeof(*new(T)))
	// Offsets, not moving pointers: none may point past the end of its object.
	for ao, bo := 0, 0; ao < kc*size; ao, bo = ao+size, bo+ldb {
		x, y := *(*T)(unsafe.Add(a0, ao)), *(*T)(unsafe.Add(a1, ao))
		r := (*[4]T)(unsafe.Add(b, bo))
		b0, b1 := r[0], r[1]
		c00 += x * b0
		c10 += y * b0
		c01 += x * b1
		c11 += y * b1
		b2, b3 := r[2], r[3]
		c02 += x * b2
		c12 += y * b2
		c03 += x * b3
		c13 += y * b3
	}
	return
}

func store[T Number](c unsafe.Pointer, w int, acc bool, v [4]T) {
	d := unsafe.Slice((*T)(c), w)
	if acc {
		for i := range d {
			d[i] += v[i]
		}
		return
	}
	copy(d, v[:])
}

func dotGo[T Number](n int, x, y unsafe.Pointer) T {
	a, b := unsafe.Slice((*T)(x), n), unsafe.Slice((*T)(y), n)
	var s0, s1, s2, s3 T
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i := range a {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}
