package ops

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/tensor"
)

// lanes are the integers of 8 or 16 bits that a word of 64 bits holds.
type lanes struct {
	high  uint64 // the highest bit of each
	flip  uint64 // makes the order that of unsigned ones
	shift uint   // to the lowest bit
}

// lanesOf returns the lanes of d and the same value in all of them, one for each.
func lanesOf(d tensor.DType) (l lanes, each uint64) {
	l, each = lanes{high: 0x8080808080808080, shift: 7}, ones
	if d.Bits() == 16 {
		l, each = lanes{high: 0x8000800080008000, shift: 15}, 0x0001000100010001
	}
	if d.IsSigned() {
		l.flip = l.high
	}
	return l, each
}

// extremes is the kernel of Max, or of Min, of integers of 8 or 16 bits.
func extremes(d tensor.DType, largest bool) Kernel {
	l, each := lanesOf(d)
	turn := uint64(0)
	if !largest {
		turn = ^turn
	}
	size := d.Bits() / 8
	scalar := func(p unsafe.Pointer) uint64 {
		if size == 1 {
			return uint64(*(*uint8)(p)) * each
		}
		return uint64(*(*uint16)(p)) * each
	}
	with := func(dst, a, b unsafe.Pointer, n int) {
		l.withScalar(unsafe.Slice((*byte)(dst), n*size), unsafe.Slice((*byte)(a), n*size), scalar(b), turn)
	}
	return pairLoops{
		da: d, db: d, dr: d, sizeA: size, sizeB: size, sizeR: size,
		vv: func(dst, a, b unsafe.Pointer, n int) {
			l.extremes(unsafe.Slice((*byte)(dst), n*size), unsafe.Slice((*byte)(a), n*size), unsafe.Slice((*byte)(b), n*size), turn)
		},
		vs: with,
		sv: func(dst, a, b unsafe.Pointer, n int) { with(dst, b, a, n) },
	}.fold(nil)
}

// larger returns the larger lanes of x and y, with turn all ones the smaller.
func (l *lanes) larger(x, y, turn uint64) uint64 {
	u, v := x^l.flip, y^l.flip
	low := (u | l.high) - v&^l.high // the high bit stays where what is below it is not less
	more := (u&^v | ^(u^v)&low) & l.high
	mask := more | (more - more>>l.shift)
	return y ^ (x^y)&(mask^turn)
}

func (l lanes) extremes(dst, a, b []byte, turn uint64) {
	a, b = a[:len(dst)], b[:len(dst)]
	i := 0
	for ; i <= len(dst)-8; i += 8 {
		*wordAt(dst, i) = l.larger(*wordAt(a, i), *wordAt(b, i), turn)
	}
	if i < len(dst) {
		var rest, x, y [8]byte
		copy(x[:], a[i:])
		copy(y[:], b[i:])
		*wordAt(rest[:], 0) = l.larger(*wordAt(x[:], 0), *wordAt(y[:], 0), turn)
		copy(dst[i:], rest[:])
	}
}

func (l lanes) withScalar(dst, a []byte, b, turn uint64) {
	a = a[:len(dst)]
	i := 0
	for ; i <= len(dst)-8; i += 8 {
		*wordAt(dst, i) = l.larger(*wordAt(a, i), b, turn)
	}
	if i < len(dst) {
		var rest, x [8]byte
		copy(x[:], a[i:])
		*wordAt(rest[:], 0) = l.larger(*wordAt(x[:], 0), b, turn)
		copy(dst[i:], rest[:])
	}
}
