package asm

import "fmt"

// Bf16Dot adds to the lanes of float32 c the products of pairs of bfloat16 of a and b
// (VDPBF16PS, 512 bits, registers): an instruction that the assembler does not know.
func (f *File) Bf16Dot(b, a, c int) {
	high := func(r, bit int) byte { return byte(r>>bit&1) ^ 1 }
	f.bytes(fmt.Sprintf("VDPBF16PS Z%d, Z%d, Z%d", b, a, c),
		0x62, high(c, 3)<<7|high(b, 4)<<6|high(b, 3)<<5|high(c, 4)<<4|2,
		byte(^a&15)<<3|1<<2|2, 2<<5|high(a, 4)<<3, 0x52, 0xc0|byte(c&7)<<3|byte(b&7))
}
