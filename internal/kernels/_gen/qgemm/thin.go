package main

import "github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"

// mark sets the bits of the pairs of bytes whose sum, times 255, leaves 16 bits.
func mark(a *asm.File) {
	a.Func("avx2Mark", 24)
	a.P("MOVQ marks+0(FP), DI")
	a.P("MOVQ panels+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("VPCMPEQB Y4, Y4, Y4") // bytes of 255
	a.P("VPSRLW $1, Y4, Y5")   // the greatest word
	a.P("VPSLLW $15, Y4, Y6")  // the least
	a.P("PCALIGN $32")
	a.L("loop")
	a.P("VPMADDUBSW (SI), Y4, Y0")
	a.P("VPCMPEQW Y5, Y0, Y1")
	a.P("VPCMPEQW Y6, Y0, Y0")
	a.P("VPOR Y1, Y0, Y0")
	a.P("VPMOVMSKB Y0, AX")
	a.P("MOVL AX, (DI)")
	a.P("ADDQ $32, SI")
	a.P("ADDQ $4, DI")
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.P("VZEROUPPER")
	a.P("RET")
}

// turn writes blocks of 16 bytes, at bytes behind where each of 16 rows begins, as 16
// bytes of each column.
func turn(a *asm.File) {
	a.Func("avx2Turn", 32)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ rows+8(FP), SI")
	a.P("MOVQ at+16(FP), AX")
	a.P("MOVQ blocks+24(FP), CX")
	a.P("PCALIGN $32")
	a.L("loop")
	for i := range 8 { // rows i and i+8
		a.P("MOVQ %d(SI), R8", 8*i)
		a.P("MOVQ %d(SI), R9", 8*(i+8))
		a.P("VMOVDQU (R8)(AX*1), X%d", i)
		a.P("VINSERTI128 $1, (R9)(AX*1), Y%d, Y%d", i, i)
	}
	// Registers n to n+7 become m to m+7: pairs d apart are interleaved.
	pairs := func(kind string, n, m, d int) {
		to := m
		for i := range 8 {
			if i&d != 0 {
				continue
			}
			a.P("VPUNPCKL%s Y%d, Y%d, Y%d", kind, n+i+d, n+i, to)
			a.P("VPUNPCKH%s Y%d, Y%d, Y%d", kind, n+i+d, n+i, to+1)
			to += 2
		}
	}
	pairs("BW", 0, 8, 1) // columns 0 to 7 and 8 to 15, of rows 0 and 1, 2 and 3, ...
	pairs("WD", 8, 0, 2) // columns 0 to 3 and 4 to 7 of rows 0 to 3, 8 to 11 and 12 to 15 of them, ...
	pairs("DQ", 0, 8, 4) // columns 0 and 1, 2 and 3, ...
	for i := range 8 {
		a.P("VPERMQ $0xd8, Y%d, Y%d", 8+i, 8+i)
		a.P("VMOVDQU Y%d, %d(DI)", 8+i, 32*i)
	}
	a.P("ADDQ $16, AX")
	a.P("ADDQ $256, DI")
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.P("VZEROUPPER")
	a.P("RET")
}

// fix writes for each of 32 columns 16 sums of products of a list, whose elements have
// where two columns of what turn wrote begin, and two bytes, twice.
func fix(a *asm.File) {
	a.Func("avx2Fix", 32)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ turned+8(FP), SI")
	a.P("MOVQ list+16(FP), BX")
	a.P("MOVQ counts+24(FP), DX")
	a.P("MOVQ $32, CX")
	a.L("column")
	a.P("MOVL (DX), R8")
	a.P("VPXOR Y4, Y4, Y4")
	a.P("VPXOR Y5, Y5, Y5")
	a.P("TESTL R8, R8")
	a.P("JZ store")
	a.L("loop")
	a.P("MOVL (BX), R9")
	a.P("MOVL 4(BX), R10")
	a.P("VPBROADCASTD 8(BX), X3")
	a.P("VMOVDQU (SI)(R9*1), X0")
	a.P("VMOVDQU (SI)(R10*1), X1")
	a.P("VPUNPCKLBW X1, X0, X2")
	a.P("VPUNPCKHBW X1, X0, X0")
	a.P("VPMADDUBSW X3, X2, X2")
	a.P("VPMADDUBSW X3, X0, X0")
	a.P("VPMOVSXWD X2, Y2")
	a.P("VPMOVSXWD X0, Y0")
	a.P("VPADDD Y2, Y4, Y4")
	a.P("VPADDD Y0, Y5, Y5")
	a.P("ADDQ $12, BX")
	a.P("DECL R8")
	a.P("JNZ loop")
	a.L("store")
	a.P("VMOVDQU Y4, (DI)")
	a.P("VMOVDQU Y5, 32(DI)")
	a.P("ADDQ $64, DI")
	a.P("ADDQ $4, DX")
	a.P("DECQ CX")
	a.P("JNZ column")
	a.P("VZEROUPPER")
	a.P("RET")
}

// first writes 16 rows of 32 sums: bias and, turned, what fix wrote.
func first(a *asm.File) {
	a.Func("avx2Start", 24)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ added+8(FP), SI")
	a.P("MOVQ bias+16(FP), BX")
	for block := range 4 { // of 8 columns
		a.P("VMOVDQU %d(BX), Y15", 32*block)
		for half := range 2 { // of 8 rows
			for i := range 8 { // Y0 to Y3 have columns i and i+4 of 4 rows, Y4 to Y7 those of the others
				at := (8*block+i)*64 + 32*half
				if i < 4 {
					a.P("VMOVDQU %d(SI), X%d", at, i)
					a.P("VMOVDQU %d(SI), X%d", at+16, 4+i)
				} else {
					a.P("VINSERTI128 $1, %d(SI), Y%d, Y%d", at, i-4, i-4)
					a.P("VINSERTI128 $1, %d(SI), Y%d, Y%d", at+16, i, i)
				}
			}
			for k := 0; k < 8; k += 4 {
				a.P("VPUNPCKLDQ Y%d, Y%d, Y8", k+1, k)
				a.P("VPUNPCKHDQ Y%d, Y%d, Y9", k+1, k)
				a.P("VPUNPCKLDQ Y%d, Y%d, Y10", k+3, k+2)
				a.P("VPUNPCKHDQ Y%d, Y%d, Y11", k+3, k+2)
				for r, from := range [][2]int{{8, 10}, {8, 10}, {9, 11}, {9, 11}} {
					a.P("VPUNPCK%sQDQ Y%d, Y%d, Y12", []string{"L", "H"}[r%2], from[1], from[0])
					a.P("VPADDD Y15, Y12, Y12")
					a.P("VMOVDQU Y12, %d(DI)", (8*half+k+r)*128+32*block)
				}
			}
		}
	}
	a.P("VZEROUPPER")
	a.P("RET")
}
