package qgemm

import (
	"encoding/binary"
	"unsafe"
)

// tileGo is the Tile of every machine. With unsigned bytes one 64-bit
// multiplication gives two products: columns j and j+1 share an accumulator.
// The right matrix is made unsigned on the way, which adds 128 times the sum of
// A's row to each sum.
func tileGo(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int) {
	panel := unsafe.Slice((*byte)(b), kg*4*Width)
	for i := 0; i < rows; i += 2 {
		last := min(i+1, rows-1)
		r0 := unsafe.Slice((*byte)(unsafe.Add(a, i*lda)), kg*4)
		r1 := unsafe.Slice((*byte)(unsafe.Add(a, last*lda)), kg*4)
		c0 := unsafe.Slice((*int32)(unsafe.Add(c, i*ldc*4)), w)
		c1 := unsafe.Slice((*int32)(unsafe.Add(c, last*ldc*4)), w)
		s0, s1 := 128*byteSum(r0), 128*byteSum(r1)
		for j := 0; j < w; j += 2 {
			x, y := twoByTwo(r0, r1, panel[j*4:])
			c0[j] += int32(uint32(x)) - s0
			if last > i {
				c1[j] += int32(uint32(y)) - s1
			}
			if j+1 < w {
				c0[j+1] += int32(uint32(x>>32)) - s0
				if last > i {
					c1[j+1] += int32(uint32(y>>32)) - s1
				}
			}
		}
	}
}

// twoByTwo returns the sums of two rows and two columns: in the low half those
// of the first column. A half overflows beyond 66051 products; kBlock is less.
func twoByTwo(r0, r1, panel []byte) (x, y uint64) {
	const mask = 0x000000ff000000ff
	r1 = r1[:len(r0)]
	for k := 0; k+4 <= len(r0); k += 4 {
		v := binary.LittleEndian.Uint64(panel[k*Width:]) ^ 0x8080808080808080
		v0, v1, v2, v3 := v&mask, v>>8&mask, v>>16&mask, v>>24&mask
		x += uint64(r0[k])*v0 + uint64(r0[k+1])*v1 + uint64(r0[k+2])*v2 + uint64(r0[k+3])*v3
		y += uint64(r1[k])*v0 + uint64(r1[k+1])*v1 + uint64(r1[k+2])*v2 + uint64(r1[k+3])*v3
	}
	return x, y
}

// byteSum returns the sum of unsigned bytes.
func byteSum(b []byte) int32 {
	const mask = 0x00ff00ff00ff00ff
	s := int32(0)
	for len(b) >= 8 {
		// Each 16-bit lane takes two bytes from each of up to 128 words.
		n := min(len(b)&^7, 1024)
		var v uint64
		for part := b[:n]; len(part) >= 8; part = part[8:] {
			x := binary.LittleEndian.Uint64(part)
			v += x&mask + x>>8&mask
		}
		s += int32(v&0xffff) + int32(v>>16&0xffff) + int32(v>>32&0xffff) + int32(v>>48)
		b = b[n:]
	}
	for _, x := range b {
		s += int32(x)
	}
	return s
}
