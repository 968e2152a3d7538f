package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// codes512 leaves the eight k of 16 columns at DI one after the other, as floats
// in a register that use is told; k counts from 0. DI moves on. Z24 is the table
// of the numbers 0 to 15. Codes of 8 bits, and their zero points, are less by
// 128, so that sums stay small; Z26 is 128 in each byte.
func codes512(a *asm.File, bits int, use func(k, reg int)) {
	if bits == 4 {
		a.P("VMOVDQU32 (DI), Z16")
		a.P("PREFETCHT0 2048(DI)")
		for s, k := range order {
			from := 16
			if s > 0 {
				a.P("VPSRLD $%d, Z16, Z%d", 4*s, 17+s&1)
				from = 17 + s&1
			}
			a.P("VPERMPS Z24, Z%d, Z%d", from, 20+s&3) // by the low 4 bits of each lane
			use(k, 20+s&3)
		}
		a.P("ADDQ $64, DI")
		return
	}
	for h := range 2 {
		a.P("VPXORD %d(DI), Z26, Z16", 64*h)
		a.P("PREFETCHT0 %d(DI)", 2048+64*h)
		for s := range 4 {
			from, r := 16, 20+s
			if s < 3 {
				a.P("VPSLLD $%d, Z16, Z%d", 24-8*s, r)
				from = r
			}
			a.P("VPSRAD $24, Z%d, Z%d", from, r)
			a.P("VCVTDQ2PS Z%d, Z%d", r, r)
			use(4*h+s, r)
		}
	}
	a.P("ADDQ $128, DI")
}

// codes2 is codes512 for the eight columns at DI+R15. Y13 masks a code of 4
// bits, Y7 is 128 in each byte.
func codes2(a *asm.File, bits int, use func(k, reg int)) {
	per := 32 / bits
	for h := range 8 / per {
		if bits == 4 {
			a.P("VMOVDQU %d(DI)(R15*1), Y8", 64*h)
		} else {
			a.P("VPXOR %d(DI)(R15*1), Y7, Y8", 64*h)
		}
		for s := range per {
			r, k := 9+s&1, 4*h+s
			switch {
			case bits == 4 && s == 0:
				a.P("VPAND Y13, Y8, Y%d", r)
			case bits == 4:
				a.P("VPSRLD $%d, Y8, Y%d", 4*s, r)
				if s < per-1 {
					a.P("VPAND Y13, Y%d, Y%d", r, r)
				}
			case s < 3:
				a.P("VPSLLD $%d, Y8, Y%d", 24-8*s, r)
				a.P("VPSRAD $24, Y%d, Y%d", r, r)
			default:
				a.P("VPSRAD $24, Y8, Y%d", r)
			}
			if bits == 4 {
				k = order[s]
			}
			a.P("VCVTDQ2PS Y%d, Y%d", r, r)
			use(k, r)
		}
	}
	a.P("ADDQ $%d, DI", 64*8/per)
}

// constants512 loads the registers that codes512 reads.
func constants512(a *asm.File, bits int) {
	if bits == 4 {
		a.P("VMOVUPS ·numbers(SB), Z24")
		return
	}
	a.P("MOVL $0x80808080, BX")
	a.P("VPBROADCASTD BX, Z26")
	a.P("VPSRLD $24, Z26, Z27") // 128
	a.P("VCVTDQ2PS Z27, Z28")
}

func constants2(a *asm.File, bits int) {
	if bits == 4 {
		a.P("MOVL $15, BX")
		a.P("VMOVQ BX, X13")
		a.P("VPBROADCASTD X13, Y13")
		return
	}
	a.P("MOVL $0x80808080, BX")
	a.P("VMOVQ BX, X7")
	a.P("VPBROADCASTD X7, Y7")
	a.P("VPSRLD $24, Y7, Y14") // 128
	a.P("VCVTDQ2PS Y14, Y15")
}

// zeros512 loads the zero points of a block to a register.
func zeros512(a *asm.File, bits int, zeros kind, to int) {
	switch zeros {
	case each:
		a.P("VPMOVZXBD (R14), Z%d", to)
		if bits == 8 {
			a.P("VPSUBD Z27, Z%d, Z%d", to, to)
		}
		a.P("VCVTDQ2PS Z%d, Z%d", to, to)
		a.P("ADDQ $16, R14")
	case real:
		a.P("VMOVUPS (R14), Z%d", to)
		if bits == 8 {
			a.P("VSUBPS Z28, Z%d, Z%d", to, to)
		}
		a.P("ADDQ $64, R14")
	}
}

// zeros2 does for eight columns at R15 bytes of 64.
func zeros2(a *asm.File, bits int, zeros kind, to int) {
	switch zeros {
	case each:
		a.P("MOVQ R15, BX")
		a.P("SHRQ $2, BX")
		a.P("VPMOVZXBD (R14)(BX*1), Y%d", to)
		if bits == 8 {
			a.P("VPSUBD Y14, Y%d, Y%d", to, to)
		}
		a.P("VCVTDQ2PS Y%d, Y%d", to, to)
		a.P("ADDQ $16, R14")
	case real:
		a.P("VMOVUPS (R14)(R15*1), Y%d", to)
		if bits == 8 {
			a.P("VSUBPS Y15, Y%d, Y%d", to, to)
		}
		a.P("ADDQ $64, R14")
	}
}

func rowArgs(a *asm.File) {
	a.P("MOVQ blocks+0(FP), CX")
	a.P("MOVQ x+16(FP), SI")
	a.P("MOVQ sums+24(FP), R13")
	a.P("MOVQ b+32(FP), DI")
	a.P("MOVQ zeros+40(FP), R14")
	a.P("MOVQ bscales+48(FP), DX")
}

// row512: y of 16 columns is the product of a row x with a panel. sums has for
// each block what its sum begins with (zero points all the same), or the sum of
// x.
func row512(a *asm.File, bits int, zeros kind) {
	name := fmt.Sprintf("row512x%d%s", bits, zeros)
	stub(name, rowSig)
	a.Func(name, 64)
	rowArgs(a)
	constants512(a, bits)
	a.P("VPXORD Z0, Z0, Z0")
	a.L("block")
	for i := range 4 {
		a.P("VPXORD Z%d, Z%d, Z%d", 1+i, 1+i, 1+i)
	}
	if zeros == same {
		a.P("VBROADCASTSS (R13), Z1")
	}
	a.P("MOVQ groups+8(FP), BX")
	a.P("PCALIGN $32")
	a.L("loop")
	codes512(a, bits, func(k, reg int) {
		a.P("VFMADD231PS.BCST %d(SI), Z%d, Z%d", 4*k, reg, 1+k&3)
	})
	a.P("ADDQ $32, SI")
	a.P("SUBQ $2, BX")
	a.P("JG loop")
	a.P("VADDPS Z2, Z1, Z1")
	a.P("VADDPS Z4, Z3, Z3")
	a.P("VADDPS Z3, Z1, Z1")
	if zeros != same {
		zeros512(a, bits, zeros, 5)
		a.P("VFNMADD231PS.BCST (R13), Z5, Z1")
	}
	a.P("VFMADD231PS (DX), Z1, Z0")
	a.P("ADDQ $64, DX")
	a.P("ADDQ $4, R13")
	a.P("DECQ CX")
	a.P("JNZ block")
	a.P("MOVQ y+56(FP), DX")
	a.P("VMOVUPS Z0, (DX)")
	a.P("VZEROUPPER")
	a.P("RET")
}

func row2(a *asm.File, bits int, zeros kind) {
	name := fmt.Sprintf("row2x%d%s", bits, zeros)
	stub(name, rowSig)
	a.Func(name, 64)
	a.P("MOVQ $0, R15")
	a.L("half")
	rowArgs(a)
	constants2(a, bits)
	a.P("VXORPS Y0, Y0, Y0")
	a.L("block")
	for i := range 4 {
		a.P("VXORPS Y%d, Y%d, Y%d", 1+i, 1+i, 1+i)
	}
	if zeros == same {
		a.P("VBROADCASTSS (R13), Y1")
	}
	a.P("MOVQ groups+8(FP), R8")
	a.P("PCALIGN $32")
	a.L("loop")
	codes2(a, bits, func(k, reg int) {
		a.P("VBROADCASTSS %d(SI), Y%d", 4*k, 11+k&1)
		a.P("VFMADD231PS Y%d, Y%d, Y%d", 11+k&1, reg, 1+k&3)
	})
	a.P("ADDQ $32, SI")
	a.P("SUBQ $2, R8")
	a.P("JG loop")
	a.P("VADDPS Y2, Y1, Y1")
	a.P("VADDPS Y4, Y3, Y3")
	a.P("VADDPS Y3, Y1, Y1")
	if zeros != same {
		zeros2(a, bits, zeros, 5)
		a.P("VBROADCASTSS (R13), Y6")
		a.P("VFNMADD231PS Y6, Y5, Y1")
	}
	a.P("VFMADD231PS (DX)(R15*1), Y1, Y0")
	a.P("ADDQ $64, DX")
	a.P("ADDQ $4, R13")
	a.P("DECQ CX")
	a.P("JNZ block")
	a.P("MOVQ y+56(FP), DX")
	a.P("VMOVUPS Y0, (DX)(R15*1)")
	a.P("ADDQ $32, R15")
	a.P("CMPQ R15, $64")
	a.P("JLT half")
	a.P("VZEROUPPER")
	a.P("RET")
}

func expandArgs(a *asm.File) {
	a.P("MOVQ blocks+0(FP), CX")
	a.P("MOVQ b+16(FP), DI")
	a.P("MOVQ zeros+24(FP), R14")
	a.P("MOVQ bscales+32(FP), DX")
	a.P("MOVQ dst+48(FP), SI")
}

// expand512 writes blocks of 16 columns as floats, (code - zero)·scale, 128 bytes
// from one k to the next.
func expand512(a *asm.File, bits int, zeros kind) {
	name := fmt.Sprintf("expand512x%d%s", bits, zeros)
	stub(name, expandSig)
	a.Func(name, 56)
	expandArgs(a)
	constants512(a, bits)
	if zeros == same {
		a.P("VBROADCASTSS zero+40(FP), Z1")
	}
	a.L("block")
	zeros512(a, bits, zeros, 1)
	a.P("VMOVUPS (DX), Z0")
	a.P("ADDQ $64, DX")
	a.P("MOVQ groups+8(FP), BX")
	a.L("loop")
	codes512(a, bits, func(k, reg int) {
		a.P("VSUBPS Z1, Z%d, Z%d", reg, reg)
		a.P("VMULPS Z0, Z%d, Z%d", reg, reg)
		a.P("VMOVUPS Z%d, %d(SI)", reg, 128*k)
	})
	a.P("ADDQ $1024, SI")
	a.P("SUBQ $2, BX")
	a.P("JG loop")
	a.P("DECQ CX")
	a.P("JNZ block")
	a.P("VZEROUPPER")
	a.P("RET")
}

func expand2(a *asm.File, bits int, zeros kind) {
	name := fmt.Sprintf("expand2x%d%s", bits, zeros)
	stub(name, expandSig)
	a.Func(name, 56)
	a.P("MOVQ $0, R15")
	a.L("half")
	expandArgs(a)
	constants2(a, bits)
	if zeros == same {
		a.P("VBROADCASTSS zero+40(FP), Y1")
	}
	a.L("block")
	zeros2(a, bits, zeros, 1)
	a.P("VMOVUPS (DX)(R15*1), Y0")
	a.P("ADDQ $64, DX")
	a.P("MOVQ groups+8(FP), R8")
	a.L("loop")
	codes2(a, bits, func(k, reg int) {
		a.P("VSUBPS Y1, Y%d, Y%d", reg, reg)
		a.P("VMULPS Y0, Y%d, Y%d", reg, reg)
		a.P("VMOVUPS Y%d, %d(SI)(R15*1)", reg, 128*k)
	})
	a.P("ADDQ $1024, SI")
	a.P("SUBQ $2, R8")
	a.P("JG loop")
	a.P("DECQ CX")
	a.P("JNZ block")
	a.P("ADDQ $32, R15")
	a.P("CMPQ R15, $64")
	a.P("JLT half")
	a.P("VZEROUPPER")
	a.P("RET")
}

// quantize512 turns blocks of x into bytes: see quantizeGo. SI x, DI dst, R8
// scales, R9 sums, R10 lds, DX bytes of a block of x.
func quantize512(a *asm.File) {
	stub("quantize512", quantSig)
	a.Func("quantize512", 56)
	quantArgs(a)
	a.P("VPBROADCASTD ·absolute(SB), Z5")
	a.L("block")
	a.P("VPXORD Z0, Z0, Z0")
	a.P("XORQ BX, BX")
	a.L("max")
	a.P("VPANDD (SI)(BX*1), Z5, Z1")
	a.P("VPMAXUD Z1, Z0, Z0") // as integers, which order NaN last
	a.P("ADDQ $64, BX")
	a.P("CMPQ BX, DX")
	a.P("JLT max")
	a.P("VEXTRACTI64X4 $1, Z0, Y1")
	a.P("VPMAXUD Y1, Y0, Y0")
	scaleOf(a)
	a.P("VBROADCASTSS X2, Z2")
	a.P("VPXORD Z4, Z4, Z4")
	a.P("XORQ BX, BX")
	a.L("round")
	a.P("VMULPS (SI)(BX*1), Z2, Z1")
	a.P("VCVTPS2DQ Z1, Z1")
	a.P("VPADDD Z1, Z4, Z4")
	a.P("VPMOVDB Z1, X1")
	a.P("VMOVDQU X1, (DI)")
	a.P("ADDQ $16, DI")
	a.P("ADDQ $64, BX")
	a.P("CMPQ BX, DX")
	a.P("JLT round")
	a.P("VEXTRACTI64X4 $1, Z4, Y1")
	a.P("VPADDD Y1, Y4, Y4")
	quantEnd(a)
}

// quantize2 is quantize512.
func quantize2(a *asm.File) {
	stub("quantize2", quantSig)
	a.Func("quantize2", 56)
	quantArgs(a)
	a.P("VPBROADCASTD ·absolute(SB), Y5")
	a.L("block")
	a.P("VPXOR Y0, Y0, Y0")
	a.P("XORQ BX, BX")
	a.L("max")
	a.P("VPAND (SI)(BX*1), Y5, Y1")
	a.P("VPMAXUD Y1, Y0, Y0")
	a.P("ADDQ $32, BX")
	a.P("CMPQ BX, DX")
	a.P("JLT max")
	scaleOf(a)
	a.P("VBROADCASTSS X2, Y2")
	a.P("VPXOR Y4, Y4, Y4")
	a.P("XORQ BX, BX")
	a.L("round")
	a.P("VMULPS (SI)(BX*1), Y2, Y1")
	a.P("VCVTPS2DQ Y1, Y1")
	a.P("VPADDD Y1, Y4, Y4")
	a.P("VEXTRACTI128 $1, Y1, X3")
	a.P("VPACKSSDW X3, X1, X1")
	a.P("VPACKSSWB X1, X1, X1")
	a.P("VMOVQ X1, (DI)")
	a.P("ADDQ $8, DI")
	a.P("ADDQ $32, BX")
	a.P("CMPQ BX, DX")
	a.P("JLT round")
	quantEnd(a)
}

func quantArgs(a *asm.File) {
	a.P("MOVQ blocks+0(FP), CX")
	a.P("MOVQ block+8(FP), DX")
	a.P("MOVQ x+16(FP), SI")
	a.P("MOVQ dst+24(FP), DI")
	a.P("MOVQ scales+32(FP), R8")
	a.P("MOVQ sums+40(FP), R9")
	a.P("MOVQ lds+48(FP), R10")
	a.P("SHLQ $2, DX")
	a.P("VMOVSS ·most(SB), X6")
}

// scaleOf stores max/127 of Y0 and leaves 127/max, or 0, in X2.
func scaleOf(a *asm.File) {
	a.P("VEXTRACTI128 $1, Y0, X1")
	a.P("VPMAXUD X1, X0, X0")
	a.P("VPSHUFD $0x4e, X0, X1")
	a.P("VPMAXUD X1, X0, X0")
	a.P("VPSHUFD $0xb1, X0, X1")
	a.P("VPMAXUD X1, X0, X0")
	a.P("VDIVSS X6, X0, X1")
	a.P("VMOVSS X1, (R8)")
	a.P("VDIVSS X0, X6, X2")
	a.P("VXORPS X3, X3, X3")
	a.P("VCMPSS $4, X3, X0, X3") // not equal
	a.P("VANDPS X3, X2, X2")
}

// quantEnd stores the sum of Y4 and goes on with the next block.
func quantEnd(a *asm.File) {
	a.P("VEXTRACTI128 $1, Y4, X1")
	a.P("VPADDD X1, X4, X4")
	a.P("VPSHUFD $0x4e, X4, X1")
	a.P("VPADDD X1, X4, X4")
	a.P("VPSHUFD $0xb1, X4, X1")
	a.P("VPADDD X1, X4, X4")
	a.P("VMOVD X4, (R9)")
	a.P("ADDQ R10, R8")
	a.P("ADDQ R10, R9")
	a.P("ADDQ DX, SI")
	a.P("DECQ CX")
	a.P("JNZ block")
	a.P("VZEROUPPER")
	a.P("RET")
}
