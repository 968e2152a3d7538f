package main

import "github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"

// pack writes groups of four rows of 32 bytes as double words of four rows, with
// flipped bits, and adds their signed sums to 32 double words.
func pack(a *asm.File) {
	a.Func("avx2Pack", 48)
	a.P("MOVQ groups+0(FP), CX")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ stride+16(FP), AX")
	a.P("MOVQ dst+24(FP), DI")
	a.P("MOVQ sums+32(FP), DX")
	a.P("MOVQ flip+40(FP), BX")
	a.P("VMOVQ BX, X8")
	a.P("VPBROADCASTD X8, Y8")
	a.P("VPCMPEQW Y9, Y9, Y9")
	a.P("VPABSB Y9, Y10")     // bytes of 1
	a.P("VPSRLW $15, Y9, Y9") // words of 1
	a.P("LEAQ (AX)(AX*2), BX")
	for i := range 4 {
		a.P("VMOVDQU %d(DX), Y%d", 32*i, 12+i)
	}
	a.P("PCALIGN $32")
	a.L("loop")
	for i, at := range []string{"(SI)", "(SI)(AX*1)", "(SI)(AX*2)", "(SI)(BX*1)"} {
		a.P("VMOVDQU %s, Y%d", at, i)
	}
	a.P("VPUNPCKLBW Y1, Y0, Y4")
	a.P("VPUNPCKHBW Y1, Y0, Y5")
	a.P("VPUNPCKLBW Y3, Y2, Y6")
	a.P("VPUNPCKHBW Y3, Y2, Y7")
	a.P("VPUNPCKLWD Y6, Y4, Y0") // columns 0 to 3 and 16 to 19
	a.P("VPUNPCKHWD Y6, Y4, Y1") // 4 to 7 and 20 to 23
	a.P("VPUNPCKLWD Y7, Y5, Y2")
	a.P("VPUNPCKHWD Y7, Y5, Y3")
	a.P("VPERM2I128 $0x20, Y1, Y0, Y4")
	a.P("VPERM2I128 $0x20, Y3, Y2, Y5")
	a.P("VPERM2I128 $0x31, Y1, Y0, Y6")
	a.P("VPERM2I128 $0x31, Y3, Y2, Y7")
	for i := range 4 {
		a.P("VPXOR Y8, Y%d, Y%d", 4+i, 4+i)
		a.P("VMOVDQU Y%d, %d(DI)", 4+i, 32*i)
		a.P("VPMADDUBSW Y%d, Y10, Y%d", 4+i, 4+i)
		a.P("VPMADDWD Y9, Y%d, Y%d", 4+i, 4+i)
		a.P("VPADDD Y%d, Y%d, Y%d", 4+i, 12+i, 12+i)
	}
	a.P("LEAQ (SI)(AX*4), SI")
	a.P("ADDQ $128, DI")
	a.P("DECQ CX")
	a.P("JNZ loop")
	for i := range 4 {
		a.P("VMOVDQU Y%d, %d(DX)", 12+i, 32*i)
	}
	a.P("VZEROUPPER")
	a.P("RET")
}

// rowSums adds up the bytes of rows, of segments of full times 32 bytes and, unless mask is nil, a
// rest: mask has first which double words of it are read, then which bytes count.
func rowSums(a *asm.File) {
	a.Func("avx2RowSums", 64)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ rows+16(FP), R8")
	a.P("MOVQ stride+24(FP), R9")
	a.P("MOVQ segments+32(FP), R10")
	a.P("MOVQ step+40(FP), R11")
	a.P("MOVQ full+48(FP), R12")
	a.P("MOVQ mask+56(FP), R13")
	a.P("VPXOR Y15, Y15, Y15")
	a.P("TESTQ R13, R13")
	a.P("JZ row")
	a.P("VMOVDQU (R13), Y14")
	a.P("VMOVDQU 32(R13), Y13")
	a.P("PCALIGN $32")
	a.L("row")
	a.P("VPXOR Y0, Y0, Y0")
	a.P("MOVQ SI, BX")
	a.P("MOVQ R10, CX")
	a.L("segment")
	a.P("MOVQ BX, DX")
	a.P("MOVQ R12, AX")
	a.P("TESTQ AX, AX")
	a.P("JZ rest")
	a.L("whole")
	a.P("VPSADBW (DX), Y15, Y1")
	a.P("VPADDQ Y1, Y0, Y0")
	a.P("ADDQ $32, DX")
	a.P("DECQ AX")
	a.P("JNZ whole")
	a.L("rest")
	a.P("TESTQ R13, R13")
	a.P("JZ next")
	a.P("VPMASKMOVD (DX), Y14, Y1")
	a.P("VPAND Y13, Y1, Y1")
	a.P("VPSADBW Y1, Y15, Y1")
	a.P("VPADDQ Y1, Y0, Y0")
	a.L("next")
	a.P("ADDQ R11, BX")
	a.P("DECQ CX")
	a.P("JNZ segment")
	a.P("VEXTRACTI128 $1, Y0, X1")
	a.P("VPADDQ X1, X0, X0")
	a.P("VPSHUFD $0xee, X0, X1")
	a.P("VPADDQ X1, X0, X0")
	a.P("VMOVD X0, (DI)")
	a.P("ADDQ $4, DI")
	a.P("ADDQ R9, SI")
	a.P("DECQ R8")
	a.P("JNZ row")
	a.P("VZEROUPPER")
	a.P("RET")
}
