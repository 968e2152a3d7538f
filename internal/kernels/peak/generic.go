package peak

import "unsafe"

// The generic loops work on one element at a time, as Go's compiler does.
var generic = &table{name: "generic", float: floatGeneric, bytes: bytesGeneric, read: readGeneric,
	floatOps: chains, bytesOps: chains, block: 64}

func floatGeneric(n int, xp, yp, out unsafe.Pointer) {
	x, y := *(*float32)(xp), *(*float32)(yp)
	var s [chains]float32
	for range n {
		s[0] += x * y
		s[1] += x * y
		s[2] += x * y
		s[3] += x * y
		s[4] += x * y
		s[5] += x * y
		s[6] += x * y
		s[7] += x * y
		s[8] += x * y
		s[9] += x * y
		s[10] += x * y
		s[11] += x * y
	}
	*(*float32)(out) = total(s[:])
}

func bytesGeneric(n int, xp, yp, out unsafe.Pointer) {
	x, y := int32(*(*uint8)(xp)), int32(*(*int8)(yp))
	var s [chains]int32
	for range n {
		s[0] += x * y
		s[1] += x * y
		s[2] += x * y
		s[3] += x * y
		s[4] += x * y
		s[5] += x * y
		s[6] += x * y
		s[7] += x * y
		s[8] += x * y
		s[9] += x * y
		s[10] += x * y
		s[11] += x * y
	}
	*(*int32)(out) = total(s[:])
}

func total[T float32 | int32](s []T) (t T) {
	for _, v := range s {
		t += v
	}
	return t
}

func readGeneric(n int, src, out unsafe.Pointer) {
	var a, b, c, d uint64
	for _, p := range unsafe.Slice((*[8]uint64)(src), n) {
		a += p[0] + p[4]
		b += p[1] + p[5]
		c += p[2] + p[6]
		d += p[3] + p[7]
	}
	*(*uint64)(out) = a + b + c + d
}
