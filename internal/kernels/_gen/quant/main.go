// Command quant writes quant_amd64.s, quant_arm64.s and stubs_arm64.go of
// internal/kernels/quant. It is run by go generate in that folder. Every routine
// takes a multiple of 32 elements.
package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

func main() {
	a := asm.New("!noasm")
	quantize(a)
	dequantize(a, "avx2dequantU8", "VPMOVZXBD")
	dequantize(a, "avx2dequantS8", "VPMOVSXBD")
	requantize(a)
	requantizeEach(a)
	bounds(a)
	converted(a, "floats", "VCVTDQ2PS")
	converted(a, "integers", "VCVTTPS2DQ")
	scaled(a)
	sum(a)
	lookup(a)
	lookupVBMI(a)
	for _, w := range []string{"avx2", "avx512"} {
		for _, signed := range []bool{false, true} {
			binary(a, w, signed, false)
			binary(a, w, signed, true)
		}
	}
	a.Raw("\nDATA ·order<>+0(SB)/8, $0x0000000400000000\nDATA ·order<>+8(SB)/8, $0x0000000500000001\n" +
		"DATA ·order<>+16(SB)/8, $0x0000000600000002\nDATA ·order<>+24(SB)/8, $0x0000000700000003\nGLOBL ·order<>(SB), RODATA|NOPTR, $32\n")
	a.Raw("\n")
	for d := range 16 {
		a.Raw(fmt.Sprintf("DATA ·order16<>+%d(SB)/4, $%d\n", 4*d, d%4*4+d/4))
	}
	a.Raw("GLOBL ·order16<>(SB), RODATA|NOPTR, $64\n")
	neonAll()
	a.Write("quant_amd64.s")
}

// loop writes the loop over 32 elements at a time; CX counts.
func loop(a *asm.File, body func()) {
	a.P("SHRQ $5, CX")
	a.P("JZ end")
	a.P("PCALIGN $32")
	a.L("loop")
	body()
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.L("end")
}

// bytes turns Y0 to Y3 into 32 bytes at DI: rounds and takes the low bytes of
// what comes of adding Y11. Y12 has 255 in each lane and Y13 the order.
func bytes(a *asm.File) {
	for i := range 4 {
		// The first operand is taken unless the second compares better: NaN
		// becomes the lower bound.
		a.P("VMAXPS Y9, Y%d, Y%d", i, i)
		a.P("VMINPS Y10, Y%d, Y%d", i, i)
		a.P("VCVTPS2DQ Y%d, Y%d", i, i)
		a.P("VPADDD Y11, Y%d, Y%d", i, i)
		a.P("VPAND Y12, Y%d, Y%d", i, i)
	}
	a.P("VPACKUSDW Y1, Y0, Y0")
	a.P("VPACKUSDW Y3, Y2, Y2")
	a.P("VPACKUSWB Y2, Y0, Y0")
	a.P("VPERMD Y0, Y13, Y0")
	a.P("VMOVDQU Y0, (DI)")
	a.P("ADDQ $32, DI")
}

// bytesArgs loads what bytes needs.
func bytesArgs(a *asm.File) {
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("VBROADCASTSS scale+24(FP), Y8")
	a.P("VBROADCASTSS lo+28(FP), Y9")
	a.P("VBROADCASTSS hi+32(FP), Y10")
	a.P("MOVL zero+36(FP), AX")
	a.P("VMOVQ AX, X11")
	a.P("VPBROADCASTD X11, Y11")
	a.P("VPCMPEQD Y12, Y12, Y12")
	a.P("VPSRLD $24, Y12, Y12")
	a.P("VMOVDQU ·order<>(SB), Y13")
}

func quantize(a *asm.File) {
	a.Func("avx2quantize", 40)
	bytesArgs(a)
	loop(a, func() {
		for i := range 4 {
			a.P("VMOVUPS %d(SI), Y%d", i*32, i)
			a.P("VDIVPS Y8, Y%d, Y%d", i, i)
		}
		a.P("ADDQ $128, SI")
		bytes(a)
	})
	a.P("VZEROUPPER")
	a.P("RET")
}

func requantize(a *asm.File) {
	a.Func("avx2requantize", 40)
	bytesArgs(a)
	loop(a, func() {
		for i := range 4 {
			a.P("VCVTDQ2PS %d(SI), Y%d", i*32, i)
			a.P("VMULPS Y8, Y%d, Y%d", i, i)
		}
		a.P("ADDQ $128, SI")
		bytes(a)
	})
	a.P("VZEROUPPER")
	a.P("RET")
}

// requantizeEach is requantize with a scale for each element; Y8 is free.
func requantizeEach(a *asm.File) {
	a.Func("avx2requantizeEach", 44)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("MOVQ scale+24(FP), DX")
	a.P("VBROADCASTSS lo+32(FP), Y9")
	a.P("VBROADCASTSS hi+36(FP), Y10")
	a.P("MOVL zero+40(FP), AX")
	a.P("VMOVQ AX, X11")
	a.P("VPBROADCASTD X11, Y11")
	a.P("VPCMPEQD Y12, Y12, Y12")
	a.P("VPSRLD $24, Y12, Y12")
	a.P("VMOVDQU ·order<>(SB), Y13")
	loop(a, func() {
		for i := range 4 {
			a.P("VCVTDQ2PS %d(SI), Y%d", i*32, i)
			a.P("VMULPS %d(DX), Y%d, Y%d", i*32, i, i)
		}
		a.P("ADDQ $128, SI")
		a.P("ADDQ $128, DX")
		bytes(a)
	})
	a.P("VZEROUPPER")
	a.P("RET")
}

// scaled writes dst = x·scale + shift.
func scaled(a *asm.File) {
	a.Func("avx2scaled", 40)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("MOVQ scale+24(FP), DX")
	a.P("MOVQ shift+32(FP), BX")
	loop(a, func() {
		for i := range 4 {
			a.P("VCVTDQ2PS %d(SI), Y%d", i*32, i)
			a.P("VMULPS %d(DX), Y%d, Y%d", i*32, i, i)
			a.P("VADDPS %d(BX), Y%d, Y%d", i*32, i, i)
			a.P("VMOVUPS Y%d, %d(DI)", i, i*32)
		}
		for _, r := range []string{"SI", "DI", "DX", "BX"} {
			a.P("ADDQ $128, %s", r)
		}
	})
	a.P("VZEROUPPER")
	a.P("RET")
}

func dequantize(a *asm.File, name, widen string) {
	a.Func(name, 32)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("VBROADCASTSS scale+24(FP), Y8")
	a.P("MOVL zero+28(FP), AX")
	a.P("VMOVQ AX, X11")
	a.P("VPBROADCASTD X11, Y11")
	loop(a, func() {
		for i := range 4 {
			a.P("%s %d(SI), Y%d", widen, i*8, i)
			a.P("VPSUBD Y11, Y%d, Y%d", i, i)
			a.P("VCVTDQ2PS Y%d, Y%d", i, i)
			a.P("VMULPS Y8, Y%d, Y%d", i, i)
			a.P("VMOVUPS Y%d, %d(DI)", i, i*32)
		}
		a.P("ADDQ $32, SI")
		a.P("ADDQ $128, DI")
	})
	a.P("VZEROUPPER")
	a.P("RET")
}

func bounds(a *asm.File) {
	a.Func("avx2bounds", 24)
	a.P("MOVQ x+0(FP), SI")
	a.P("MOVQ n+8(FP), CX")
	for i := range 8 {
		a.P("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	loop(a, func() {
		for i := range 4 {
			a.P("VMOVUPS %d(SI), Y8", i*32)
			a.P("VMINPS Y%d, Y8, Y%d", i, i)
			a.P("VMAXPS Y%d, Y8, Y%d", 4+i, 4+i)
		}
		a.P("ADDQ $128, SI")
	})
	for r, op := range []string{"VMINPS", "VMAXPS"} {
		for _, s := range []int{2, 1} {
			for i := range s {
				a.P("%s Y%d, Y%d, Y%d", op, 4*r+i+s, 4*r+i, 4*r+i)
			}
		}
		a.P("VEXTRACTF128 $1, Y%d, X8", 4*r)
		a.P("%s X8, X%d, X%d", op, 4*r, 4*r)
		a.P("VPERMILPS $0x4e, X%d, X8", 4*r)
		a.P("%s X8, X%d, X%d", op, 4*r, 4*r)
		a.P("VPERMILPS $0xb1, X%d, X8", 4*r)
		a.P("%s X8, X%d, X%d", op, 4*r, 4*r)
	}
	a.P("VMOVSS X0, lo+16(FP)")
	a.P("VMOVSS X4, hi+20(FP)")
	a.P("VZEROUPPER")
	a.P("RET")
}

// converted goes between float32 and int32.
func converted(a *asm.File, name, op string) {
	a.Func("avx2"+name, 24)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	loop(a, func() {
		for i := range 4 {
			a.P("%s %d(SI), Y%d", op, i*32, i)
			a.P("VMOVUPS Y%d, %d(DI)", i, i*32)
		}
		a.P("ADDQ $128, SI")
		a.P("ADDQ $128, DI")
	})
	a.P("VZEROUPPER")
	a.P("RET")
}

// sum adds 32 bytes at a time to double words.
func sum(a *asm.File) {
	a.Func("avx2sum", 24)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	loop(a, func() {
		for i := range 4 {
			a.P("VPMOVZXBD %d(SI), Y%d", i*8, i)
			a.P("VPADDD %d(DI), Y%d, Y%d", i*32, i, i)
			a.P("VMOVDQU Y%d, %d(DI)", i, i*32)
		}
		a.P("ADDQ $32, SI")
		a.P("ADDQ $128, DI")
	})
	a.P("VZEROUPPER")
	a.P("RET")
}

// binary computes bytes of two operands, 4 vectors at a time: for sums
// a·fa + (b·fb + c), for products (a - za)·(b - zb)·fa + c, rounded. Arguments for
// what is not used are ignored.
func binary(a *asm.File, level string, signed, product bool) {
	r, size, step := "Y", 8, "$5"
	if level == "avx512" {
		r, size, step = "Z", 16, "$6"
	}
	widen, pack, name := "VPMOVZXBD", "VPACKUSWB", level+"sumU8"
	if product {
		name = level + "productU8"
	}
	if signed {
		widen, pack, name = "VPMOVSXBD", "VPACKSSWB", name[:len(name)-2]+"S8"
	}
	a.Func(name, 60)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ a+8(FP), SI")
	a.P("MOVQ b+16(FP), DX")
	a.P("MOVQ n+24(FP), CX")
	a.P("VBROADCASTSS fa+32(FP), %s8", r)
	a.P("VBROADCASTSS fb+36(FP), %s9", r)
	a.P("VBROADCASTSS c+40(FP), %s10", r)
	// Double words of za and zb, words of the others.
	for i, v := range []string{"lo+52", "hi+56", "za+44", "zb+48"} {
		a.P("MOVL %s(FP), AX", v)
		a.P("VMOVQ AX, X%d", 12+i)
		a.P("VPBROADCAST%s X%d, %s%d", []string{"W", "D"}[i/2], 12+i, r, 12+i)
	}
	if r == "Z" {
		a.P("VMOVDQU32 ·order16<>(SB), Z7")
	} else {
		a.P("VMOVDQU ·order<>(SB), Y7")
	}
	a.P("SHRQ %s, CX", step)
	a.P("JZ end")
	a.P("PCALIGN $32")
	a.L("loop")
	for i := range 4 {
		a.P("%s %d(SI), %s%d", widen, i*size, r, i)
		a.P("%s %d(DX), %s4", widen, i*size, r)
		if product {
			a.P("VPSUBD %s14, %s%d, %s%d", r, r, i, r, i)
			a.P("VPSUBD %s15, %s4, %s4", r, r, r)
		}
		a.P("VCVTDQ2PS %s%d, %s%d", r, i, r, i)
		a.P("VCVTDQ2PS %s4, %s4", r, r)
		if product {
			a.P("VMULPS %s4, %s%d, %s%d", r, r, i, r, i)
			a.P("VMULPS %s8, %s%d, %s%d", r, r, i, r, i)
			a.P("VADDPS %s10, %s%d, %s%d", r, r, i, r, i)
		} else {
			a.P("VFMADD213PS %s10, %s9, %s4", r, r, r)
			a.P("VFMADD213PS %s4, %s8, %s%d", r, r, r, i)
		}
		a.P("VCVTPS2DQ %s%d, %s%d", r, i, r, i)
	}
	a.P("VPACKSSDW %s1, %s0, %s0", r, r, r)
	a.P("VPACKSSDW %s3, %s2, %s2", r, r, r)
	for _, i := range []int{0, 2} {
		a.P("VPMAXSW %s12, %s%d, %s%d", r, r, i, r, i)
		a.P("VPMINSW %s13, %s%d, %s%d", r, r, i, r, i)
	}
	a.P("%s %s2, %s0, %s0", pack, r, r, r)
	a.P("VPERMD %s0, %s7, %s0", r, r, r)
	if r == "Z" {
		a.P("VMOVDQU32 Z0, (DI)")
	} else {
		a.P("VMOVDQU Y0, (DI)")
	}
	for _, p := range []string{"SI", "DX", "DI"} {
		a.P("ADDQ $%d, %s", 4*size, p)
	}
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.L("end")
	a.P("VZEROUPPER")
	a.P("RET")
}

// lookup finds 32 bytes of a table of 256 at a time: each part of 16 entries
// gives those with its upper half, and zeros.
func lookup(a *asm.File) {
	a.Func("avx2lookup", 32)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("MOVQ table+24(FP), DX")
	a.P("MOVL $0x70707070, AX")
	a.P("VMOVQ AX, X8")
	a.P("VPBROADCASTD X8, Y8")
	a.P("MOVL $0x10101010, AX")
	a.P("VMOVQ AX, X9")
	a.P("VPBROADCASTD X9, Y9")
	loop(a, func() {
		a.P("VMOVDQU (SI), Y0")
		a.P("VPXOR Y1, Y1, Y1")
		for h := range 16 {
			// An index below 16 stays below 128, another one does not.
			a.P("VPADDUSB Y8, Y0, Y2")
			a.P("VBROADCASTI128 %d(DX), Y3", 16*h)
			a.P("VPSHUFB Y2, Y3, Y3")
			a.P("VPOR Y3, Y1, Y1")
			a.P("VPSUBB Y9, Y0, Y0")
		}
		a.P("VMOVDQU Y1, (DI)")
		a.P("ADDQ $32, SI")
		a.P("ADDQ $32, DI")
	})
	a.P("VZEROUPPER")
	a.P("RET")
}

// lookupVBMI is lookup for 32 bytes in a register for 64: the last may be half.
func lookupVBMI(a *asm.File) {
	a.Func("vbmilookup", 32)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("MOVQ table+24(FP), DX")
	for i := range 4 {
		a.P("VMOVDQU64 %d(DX), Z%d", 64*i, 16+i)
	}
	a.P("MOVQ $-1, AX")
	a.P("KMOVQ AX, K2")
	a.P("PCALIGN $32")
	a.L("loop")
	a.P("CMPQ CX, $64")
	a.P("JGE full")
	a.P("TESTQ CX, CX")
	a.P("JZ end")
	a.P("BZHIQ CX, AX, AX")
	a.P("KMOVQ AX, K2")
	a.P("MOVQ $64, CX")
	a.L("full")
	a.P("VMOVDQU8.Z (SI), K2, Z0")
	a.P("VMOVDQA64 Z0, Z1")
	a.P("VPMOVB2M Z0, K1")
	a.P("VPERMI2B Z17, Z16, Z0")
	a.P("VPERMI2B Z19, Z18, Z1")
	a.P("VMOVDQU8 Z1, K1, Z0")
	a.P("VMOVDQU8 Z0, K2, (DI)")
	a.P("ADDQ $64, SI")
	a.P("ADDQ $64, DI")
	a.P("SUBQ $64, CX")
	a.P("JMP loop")
	a.L("end")
	a.P("VZEROUPPER")
	a.P("RET")
}
