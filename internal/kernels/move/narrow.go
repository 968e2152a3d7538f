package move

import "encoding/binary"

// Matrices of bytes and of pairs of bytes, by blocks that fill words of 64 bits.

// Transpose8 is Transpose for bytes. rows and cols must be at least 8; dst and src must not overlap.
func Transpose8(dst, src []byte, rows, cols, ds, ss int) {
	for j := 0; j < cols; j += 8 {
		j = min(j, cols-8)
		for i := 0; i < rows; i += 8 {
			i = min(i, rows-8)
			turn8(dst[i*ds+j:], src[j*ss+i:], ds, ss)
		}
	}
}

// Transpose16 is Transpose for pairs of bytes, which rows, cols, ds and ss count. rows and cols must be
// at least 4; dst and src must not overlap.
func Transpose16(dst, src []byte, rows, cols, ds, ss int) {
	for j := 0; j < cols; j += 4 {
		j = min(j, cols-4)
		for i := 0; i < rows; i += 4 {
			i = min(i, rows-4)
			turn16(dst[2*(i*ds+j):], src[2*(j*ss+i):], 2*ds, 2*ss)
		}
	}
}

// turn8 transposes a block of 8x8 bytes.
func turn8(dst, src []byte, ds, ss int) {
	load := func(i int) uint64 { return binary.LittleEndian.Uint64(src[i*ss:]) }
	a, b, c, d, e, f, g, h := load(0), load(1), load(2), load(3), load(4), load(5), load(6), load(7)
	a, e = swap32(a, e)
	b, f = swap32(b, f)
	c, g = swap32(c, g)
	d, h = swap32(d, h)
	a, c = swap16(a, c)
	b, d = swap16(b, d)
	e, g = swap16(e, g)
	f, h = swap16(f, h)
	a, b = swap8(a, b)
	c, d = swap8(c, d)
	e, f = swap8(e, f)
	g, h = swap8(g, h)
	store := func(i int, v uint64) { binary.LittleEndian.PutUint64(dst[i*ds:], v) }
	store(0, a)
	store(1, b)
	store(2, c)
	store(3, d)
	store(4, e)
	store(5, f)
	store(6, g)
	store(7, h)
}

// turn16 transposes a block of 4x4 pairs of bytes; ds and ss are in bytes.
func turn16(dst, src []byte, ds, ss int) {
	load := func(i int) uint64 { return binary.LittleEndian.Uint64(src[i*ss:]) }
	a, b, c, d := load(0), load(1), load(2), load(3)
	a, c = swap32(a, c)
	b, d = swap32(b, d)
	a, b = swap16(a, b)
	c, d = swap16(c, d)
	store := func(i int, v uint64) { binary.LittleEndian.PutUint64(dst[i*ds:], v) }
	store(0, a)
	store(1, b)
	store(2, c)
	store(3, d)
}

// swap32, swap16 and swap8 exchange the upper lanes of a with the lower lanes of b, in each two lanes
// of so many bits.

func swap32(a, b uint64) (uint64, uint64) {
	return a&0x00000000ffffffff | b<<32, a>>32 | b&0xffffffff00000000
}

func swap16(a, b uint64) (uint64, uint64) {
	t := (a>>16 ^ b) & 0x0000ffff0000ffff
	return a ^ t<<16, b ^ t
}

func swap8(a, b uint64) (uint64, uint64) {
	t := (a>>8 ^ b) & 0x00ff00ff00ff00ff
	return a ^ t<<8, b ^ t
}
