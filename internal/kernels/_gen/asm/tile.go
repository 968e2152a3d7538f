package asm

import "fmt"

// The assembler knows no instruction for tiles (AMX), so they are bytes.

var numbers = map[string]byte{"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SI": 6, "DI": 7, "R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}

func (f *File) bytes(comment string, b ...byte) {
	s := ""
	for i, v := range b {
		if i > 0 {
			s += "; "
		}
		s += fmt.Sprintf("BYTE $0x%02x", v)
	}
	f.P("%s // %s", s, comment)
}

// memory is disp(base)(index*1) with a displacement of four bytes, for tile t.
func memory(pp byte, t int, disp int32, base, index string) []byte {
	b, i := numbers[base], numbers[index]
	return []byte{0xc4, 0xe2 &^ (i >> 3 << 6) &^ (b >> 3 << 5), 0x78 | pp, 0x4b, 0x84 | byte(t)<<3, i&7<<3 | b&7,
		byte(disp), byte(disp >> 8), byte(disp >> 16), byte(disp >> 24)}
}

// TileLoad loads tile t, whose rows begin at disp(base) and are index bytes apart.
func (f *File) TileLoad(disp int32, base, index string, t int) {
	f.bytes(fmt.Sprintf("TILELOADD %d(%s)(%s*1), TMM%d", disp, base, index, t), memory(3, t, disp, base, index)...)
}

// TileStore stores tile t.
func (f *File) TileStore(t int, disp int32, base, index string) {
	f.bytes(fmt.Sprintf("TILESTORED TMM%d, %d(%s)(%s*1)", t, disp, base, index), memory(2, t, disp, base, index)...)
}

// TileDot adds to tile c the products of groups of four bytes, those of a unsigned
// and those of b signed (TDPBUSD).
func (f *File) TileDot(b, a, c int) {
	f.bytes(fmt.Sprintf("TDPBUSD TMM%d, TMM%d, TMM%d", b, a, c), 0xc4, 0xe2, ^byte(b)&15<<3|1, 0x5e, 0xc0|byte(c)<<3|byte(a))
}

// TileDotBF16 is TileDot for pairs of bfloat16, which it adds to floats (TDPBF16PS).
func (f *File) TileDotBF16(b, a, c int) {
	f.bytes(fmt.Sprintf("TDPBF16PS TMM%d, TMM%d, TMM%d", b, a, c), 0xc4, 0xe2, ^byte(b)&15<<3|2, 0x5c, 0xc0|byte(c)<<3|byte(a))
}

// TileConfig loads the sizes of the tiles from what base points to, and clears them.
func (f *File) TileConfig(base string) {
	b := numbers[base]
	f.bytes(fmt.Sprintf("LDTILECFG (%s)", base), 0xc4, 0xe2&^(b>>3<<5), 0x78, 0x49, b&7)
}

// TileRelease ends the use of tiles.
func (f *File) TileRelease() { f.bytes("TILERELEASE", 0xc4, 0xe2, 0x78, 0x49, 0xc0) }
