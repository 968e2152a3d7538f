package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

const (
	neonSig = "kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int"
	neonMR  = 6
)

func neonAll() {
	f := neon.New("qgemm")
	for nv := 2; nv <= 4; nv += 2 {
		prefix := fmt.Sprintf("dotV%dx", nv)
		for mr := 1; mr <= neonMR; mr++ {
			dotTile(f, fmt.Sprint(prefix, mr), mr, nv)
		}
		f.Table(prefix, neonMR, neonSig)
	}
	for mr := 1; mr <= neonMR; mr++ {
		wordTile(f, fmt.Sprint("neonx", mr), mr)
	}
	f.Table("neonx", neonMR, neonSig)
	neonPack(f)
	f.Write()
}

// begin points R1 to R6 to rows of A, R7 to b, R9 to c; R0 kg, R10 ldc, R11 w.
func begin(f *neon.File, name string, mr, nv int) (frame int) {
	frame = mr*nv*16 + 8
	f.Frame(name, neonSig, frame, 56)
	f.Args("R0", "kg+0", "R1", "a+8", "R12", "lda+16", "R7", "b+24", "R9", "c+32", "R10", "ldc+40", "R11", "w+48")
	for i := 1; i < mr; i++ {
		f.P("ADD R12, R%d, R%d", i, i+1)
	}
	return frame
}

// dotTile writes a tile of mr rows and nv vectors of four columns by SDOT: four
// groups of A at a time in V24 to V29, made signed, whose groups are taken one by
// one. Of 6 x 4 vectors that is 96 dot products for 22 loads.
func dotTile(f *neon.File, name string, mr, nv int) {
	frame := begin(f, name, mr, nv)
	for i := range mr * nv {
		f.Zero(i)
	}
	step := func(u int) {
		for x := range nv {
			b := 30 + x&1
			f.N("ldr q%d, [x7, #%d]", b, u*128+16*x)
			for i := range mr {
				f.N("sdot v%d.4s, v%d.16b, v%d.4b[%d]", i*nv+x, b, 24+i, u)
			}
		}
	}
	flip := func() {
		f.N("movi v30.16b, #128")
		for i := range mr {
			f.N("eor v%d.16b, v%d.16b, v30.16b", 24+i, 24+i)
		}
	}
	f.P("SUBS $4, R0")
	f.P("BLT tail")
	f.P("PCALIGN $16")
	f.L("loop")
	for i := range mr {
		f.N("ldr q%d, [x%d], #16", 24+i, 1+i)
	}
	flip()
	for u := range 4 {
		step(u)
	}
	f.P("ADD $512, R7")
	f.P("SUBS $4, R0")
	f.P("BGE loop")
	f.L("tail")
	f.P("ADDS $4, R0")
	f.P("BEQ end")
	f.L("one")
	for i := range mr {
		f.N("ldr s%d, [x%d], #4", 24+i, 1+i)
	}
	flip()
	step(0)
	f.P("ADD $128, R7")
	f.P("SUBS $1, R0")
	f.P("BNE one")
	f.L("end")
	put(f, mr, nv, frame, func(i, x int) int { return i*nv + x })
}

// wordTile writes a tile of mr rows and 8 columns for processors without dot
// products: products of 16 bits are added in pairs to sums of 32 bits, of which
// each column has two.
func wordTile(f *neon.File, name string, mr int) {
	frame := begin(f, name, mr, 2)
	for i := range mr * 4 {
		f.Zero(i)
	}
	f.N("movi v31.16b, #128")
	f.P("CBZ R0, end")
	f.L("loop")
	f.N("ldp q24, q25, [x7]")
	f.P("ADD $128, R7")
	for i := range mr {
		f.N("ld1r {v26.4s}, [x%d], #4", 1+i)
		f.N("eor v26.16b, v26.16b, v31.16b")
		for x := range 2 {
			f.N("smull v27.8h, v%d.8b, v26.8b", 24+x)
			f.N("smull2 v28.8h, v%d.16b, v26.16b", 24+x)
			f.N("sadalp v%d.4s, v27.8h", i*4+2*x)
			f.N("sadalp v%d.4s, v28.8h", i*4+2*x+1)
		}
	}
	f.P("SUBS $1, R0")
	f.P("BNE loop")
	f.L("end")
	for i := range mr * 2 {
		f.N("addp v%d.4s, v%d.4s, v%d.4s", 2*i, 2*i, 2*i+1)
	}
	put(f, mr, 2, frame, func(i, x int) int { return i*4 + x*2 })
}

// put adds the sums to c; those of fewer columns go through the stack.
func put(f *neon.File, mr, nv, frame int, acc func(i, x int) int) {
	f.P("CMP $%d, R11", 4*nv)
	f.P("BNE edge")
	for i := range mr {
		for x := 0; x < nv; x += 2 {
			f.N("ldp q30, q31, [x9, #%d]", 16*x)
			f.N("add v30.4s, v30.4s, v%d.4s", acc(i, x))
			f.N("add v31.4s, v31.4s, v%d.4s", acc(i, x+1))
			f.N("stp q30, q31, [x9, #%d]", 16*x)
		}
		f.P("ADD R10, R9")
	}
	f.P("RET")
	f.L("edge")
	f.P("MOVD $buf-%d(SP), R2", frame)
	for i := range mr {
		for x := 0; x < nv; x += 2 {
			f.N("stp q%d, q%d, [x2, #%d]", acc(i, x), acc(i, x+1), 16*(i*nv+x))
		}
	}
	f.P("MOVD $%d, R3", mr)
	f.L("row")
	f.P("MOVD R2, R4")
	f.P("MOVD R9, R5")
	f.P("MOVD R11, R6")
	f.L("each")
	f.P("MOVWU.P 4(R4), R7")
	f.P("MOVWU (R5), R8")
	f.P("ADDW R7, R8")
	f.P("MOVW.P R8, 4(R5)")
	f.P("SUBS $1, R6")
	f.P("BNE each")
	f.P("ADD $%d, R2", nv*16)
	f.P("ADD R10, R9")
	f.P("SUBS $1, R3")
	f.P("BNE row")
	f.P("RET")
}

// neonPack writes groups of four rows of 32 bytes, stride apart, in the layout of
// Right.Data, combined with flip by exclusive or, and adds the sums of the 32
// columns to sums.
func neonPack(f *neon.File) {
	f.Func("neonPack", "groups int, src unsafe.Pointer, stride int, dst, sums unsafe.Pointer, flip uint64", 48)
	f.Args("R0", "groups+0", "R1", "src+8", "R2", "stride+16", "R3", "dst+24", "R4", "sums+32", "R5", "flip+40")
	f.N("dup v31.4s, w5")
	for i := range 8 {
		f.Zero(i)
	}
	f.L("loop")
	for e := range 4 { // half h of row e is V(16+4h+e)
		f.N("ldp q%d, q%d, [x1]", 16+e, 20+e)
		f.P("ADD R2, R1")
	}
	for h := range 2 {
		v := 16 + 4*h
		for i := range 2 { // rows 0 and 1, 2 and 3; i: columns 0 to 7 of the half, 8 to 15
			f.N("zip%d v24.16b, v%d.16b, v%d.16b", 1+i, v, v+1)
			f.N("zip%d v25.16b, v%d.16b, v%d.16b", 1+i, v+2, v+3)
			f.N("zip1 v26.8h, v24.8h, v25.8h")
			f.N("zip2 v27.8h, v24.8h, v25.8h")
			for k := range 2 {
				f.N("eor v%d.16b, v%d.16b, v31.16b", 26+k, 26+k)
				f.N("saddlp v%d.8h, v%d.16b", 28+k, 26+k)
				f.N("sadalp v%d.4s, v%d.8h", 4*h+2*i+k, 28+k)
			}
			f.N("stp q26, q27, [x3], #32")
		}
	}
	f.P("SUBS $1, R0")
	f.P("BNE loop")
	for i := 0; i < 8; i += 2 {
		f.N("ldp q16, q17, [x4]")
		f.N("add v16.4s, v16.4s, v%d.4s", i)
		f.N("add v17.4s, v17.4s, v%d.4s", i+1)
		f.N("stp q16, q17, [x4], #32")
	}
	f.P("RET")
}
