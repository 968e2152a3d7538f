// Command qconv writes internal/kernels/qconv/qconv_amd64.s. It is run by go
// generate in that folder.
package main

import "github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"

func main() {
	a := asm.New("!noasm")
	vnni(a)
	avx2(a)
	for _, op := range []string{"VPMAXUB", "VPMAXSB"} {
		maximum(a, "avx2Max"+op[5:6], op, false)
		maximum(a, "avx512Max"+op[5:6], op, true)
	}
	a.Write("qconv_amd64.s")
}

// args loads what both routines take.
func args(a *asm.File) {
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ groups+8(FP), BX")
	a.P("MOVQ ptrs+16(FP), R8")
	a.P("MOVQ w+24(FP), R9")
	a.P("MOVQ y+32(FP), DI")
	a.P("MOVQ xstep+40(FP), R10")
	a.P("MOVQ ystep+48(FP), R11")
	a.P("MOVQ bias+56(FP), R12")
	a.P("MOVQ scale+64(FP), R13")
	a.P("MOVQ words+72(FP), DX")
}

// vnni sums four taps at once: the bytes of 64 channels are turned into a double
// word of four taps for each channel. Unpacking and packing take the channels
// apart in the same order.
func vnni(a *asm.File) {
	a.Func("vnniDepth", 88)
	args(a)
	a.P("MOVQ mask+80(FP), AX")
	a.P("KMOVQ AX, K1")
	for i := range 4 {
		a.P("VPBROADCASTD %d(DX), Z%d", 4*i, 28+i)
	}
	a.P("XORQ AX, AX")
	a.P("PCALIGN $32")
	a.L("position")
	for i := range 4 {
		a.P("VMOVDQU32 %d(R12), Z%d", 64*i, i)
	}
	a.P("MOVQ BX, R15")
	a.P("MOVQ R8, SI")
	a.P("MOVQ R9, R14")
	a.L("group")
	for t := range 4 {
		a.P("MOVQ %d(SI), DX", 8*t)
		a.P("VMOVDQU8.Z (DX)(AX*1), K1, Z%d", 4+t)
	}
	a.P("VPUNPCKLBW Z5, Z4, Z8")
	a.P("VPUNPCKHBW Z5, Z4, Z9")
	a.P("VPUNPCKLBW Z7, Z6, Z10")
	a.P("VPUNPCKHBW Z7, Z6, Z11")
	a.P("VPUNPCKLWD Z10, Z8, Z12")
	a.P("VPUNPCKHWD Z10, Z8, Z13")
	a.P("VPUNPCKLWD Z11, Z9, Z14")
	a.P("VPUNPCKHWD Z11, Z9, Z15")
	for i := range 4 {
		a.P("VPDPBUSD %d(R14), Z%d, Z%d", 64*i, 12+i, i)
	}
	a.P("ADDQ $32, SI")
	a.P("ADDQ $256, R14")
	a.P("DECQ R15")
	a.P("JNZ group")
	for i := range 4 {
		a.P("VCVTDQ2PS Z%d, Z%d", i, i)
		a.P("VMULPS %d(R13), Z%d, Z%d", 64*i, i, i)
		a.P("VCVTPS2DQ Z%d, Z%d", i, i)
	}
	a.P("VPACKSSDW Z1, Z0, Z0")
	a.P("VPACKSSDW Z3, Z2, Z2")
	for i := 0; i < 4; i += 2 {
		a.P("VPADDSW Z28, Z%d, Z%d", i, i)
		a.P("VPMAXSW Z29, Z%d, Z%d", i, i)
		a.P("VPMINSW Z30, Z%d, Z%d", i, i)
	}
	a.P("VPACKUSWB Z2, Z0, Z0")
	a.P("VPXORD Z31, Z0, Z0")
	a.P("VMOVDQU8 Z0, K1, (DI)")
	a.P("ADDQ R10, AX")
	a.P("ADDQ R11, DI")
	a.P("DECQ CX")
	a.P("JNZ position")
	a.P("VZEROUPPER")
	a.P("RET")
}

// avx2 sums two taps at once, as words, for 16 channels.
func avx2(a *asm.File) {
	a.Func("avx2Depth", 80)
	args(a)
	for i := range 4 {
		a.P("VPBROADCASTD %d(DX), Y%d", 4*i, 12+i)
	}
	a.P("XORQ AX, AX")
	a.P("PCALIGN $32")
	a.L("position")
	a.P("VMOVDQU (R12), Y0")
	a.P("VMOVDQU 32(R12), Y1")
	a.P("MOVQ BX, R15")
	a.P("MOVQ R8, SI")
	a.P("MOVQ R9, R14")
	a.L("group")
	for t := range 2 {
		a.P("MOVQ %d(SI), DX", 8*t)
		a.P("VMOVDQU (DX)(AX*1), X%d", 4+t)
	}
	a.P("VPUNPCKLBW X5, X4, X6")
	a.P("VPUNPCKHBW X5, X4, X7")
	for i := range 2 {
		a.P("VPMOVZXBW X%d, Y%d", 6+i, 6+i)
		a.P("VPMADDWD %d(R14), Y%d, Y%d", 32*i, 6+i, 6+i)
		a.P("VPADDD Y%d, Y%d, Y%d", 6+i, i, i)
	}
	a.P("ADDQ $16, SI")
	a.P("ADDQ $64, R14")
	a.P("DECQ R15")
	a.P("JNZ group")
	for i := range 2 {
		a.P("VCVTDQ2PS Y%d, Y%d", i, i)
		a.P("VMULPS %d(R13), Y%d, Y%d", 32*i, i, i)
		a.P("VCVTPS2DQ Y%d, Y%d", i, i)
	}
	a.P("VPACKSSDW Y1, Y0, Y0")
	a.P("VPERMQ $0xd8, Y0, Y0")
	a.P("VPADDSW Y12, Y0, Y0")
	a.P("VPMAXSW Y13, Y0, Y0")
	a.P("VPMINSW Y14, Y0, Y0")
	a.P("VEXTRACTI128 $1, Y0, X1")
	a.P("VPACKUSWB X1, X0, X0")
	a.P("VPXOR X15, X0, X0")
	a.P("VMOVDQU X0, (DI)")
	a.P("ADDQ R10, AX")
	a.P("ADDQ R11, DI")
	a.P("DECQ CX")
	a.P("JNZ position")
	a.P("VZEROUPPER")
	a.P("RET")
}

// maximum takes the largest of the taps for 32 channels, or 64 under a mask.
func maximum(a *asm.File, name, op string, masked bool) {
	size := 48
	if masked {
		size = 56
	}
	a.Func(name, size)
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ taps+8(FP), BX")
	a.P("MOVQ ptrs+16(FP), R8")
	a.P("MOVQ y+24(FP), DI")
	a.P("MOVQ xstep+32(FP), R10")
	a.P("MOVQ ystep+40(FP), R11")
	load, store, r := "VMOVDQU (DX)(AX*1), Y%d", "VMOVDQU Y0, (DI)", "Y"
	if masked {
		a.P("MOVQ mask+48(FP), AX")
		a.P("KMOVQ AX, K1")
		load, store, r = "VMOVDQU8.Z (DX)(AX*1), K1, Z%d", "VMOVDQU8 Z0, K1, (DI)", "Z"
	}
	a.P("XORQ AX, AX")
	a.P("PCALIGN $32")
	a.L("position")
	a.P("MOVQ (R8), DX")
	a.P(load, 0)
	a.P("LEAQ 8(R8), SI")
	a.P("MOVQ BX, R15")
	a.P("DECQ R15")
	a.P("JZ store")
	a.L("tap")
	a.P("MOVQ (SI), DX")
	a.P(load, 1)
	a.P("%s %s1, %s0, %s0", op, r, r, r)
	a.P("ADDQ $8, SI")
	a.P("DECQ R15")
	a.P("JNZ tap")
	a.L("store")
	a.P(store)
	a.P("ADDQ R10, AX")
	a.P("ADDQ R11, DI")
	a.P("DECQ CX")
	a.P("JNZ position")
	a.P("VZEROUPPER")
	a.P("RET")
}
