package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

const (
	neonSig = "kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int"
	neonMR  = 6

	dotOutSig = neonSig + ", bias, sums, zeros, scale, more unsafe.Pointer, segments, step int"
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
	for _, kind := range []string{"Bytes", "Floats", "Ints"} {
		for mr := 1; mr <= neonMR; mr++ {
			dotOut(f, kind, mr)
		}
		f.Table("dot"+kind, neonMR, dotOutSig)
	}
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
	dotLoop(f, mr, nv, "end")
	f.L("end")
	put(f, mr, nv, frame, func(i, x int) int { return i*nv + x })
}

// dotLoop goes over R0 groups, at least one, and leaves for end.
func dotLoop(f *neon.File, mr, nv int, end string) {
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
	f.P("BEQ %s", end)
	f.L("one")
	for i := range mr {
		f.N("ldr s%d, [x%d], #4", 24+i, 1+i)
	}
	flip()
	step(0)
	f.P("ADD $128, R7")
	f.P("SUBS $1, R0")
	f.P("BNE one")
}

// dotOut writes a tile of mr rows and 16 columns whose sums become bytes, floats
// or integers of 32 bits before they leave the registers. R13 counts segments of
// A, each R14 bytes behind the end of the one before, and R15 is kg.
func dotOut(f *neon.File, kind string, mr int) {
	frame := mr*64 + 8
	f.Frame(fmt.Sprint("dot", kind, mr), dotOutSig, frame, 112)
	f.Args("R15", "kg+0", "R1", "a+8", "R12", "lda+16", "R7", "b+24", "R9", "c+32", "R10", "ldc+40", "R11", "w+48", "R13", "segments+96", "R14", "step+104")
	for i := 1; i < mr; i++ {
		f.P("ADD R12, R%d, R%d", i, i+1)
	}
	for i := range 4 * mr {
		f.Zero(i)
	}
	f.L("segment")
	f.P("MOVD R15, R0")
	dotLoop(f, mr, 4, "next")
	f.L("next")
	for i := range mr {
		f.P("ADD R14, R%d", 1+i)
	}
	f.P("SUBS $1, R13")
	f.P("BNE segment")
	four := func(arg string, v int) {
		f.P("MOVD %s(FP), R0", arg)
		f.N("ldp q%d, q%d, [x0]", v, v+1)
		f.N("ldp q%d, q%d, [x0, #32]", v+2, v+3)
	}
	each := func(format string, v func(i, x int) []any) {
		for i := range mr {
			for x := range 4 {
				f.N(format, v(i, x)...)
			}
		}
	}
	with := func(from int) func(i, x int) []any {
		return func(i, x int) []any { return []any{4*i + x, 4*i + x, from + x} }
	}
	self := func(i, x int) []any { return []any{4*i + x, 4*i + x} }
	four("bias+56", 24)
	each("add v%d.4s, v%d.4s, v%d.4s", with(24))
	f.P("MOVD zeros+72(FP), R0")
	f.P("CBZ R0, alone")
	four("zeros+72", 28)
	f.P("MOVD sums+64(FP), R0")
	for i := range mr {
		f.N("ld1r {v24.4s}, [x0], #4")
		for x := range 4 {
			f.N("mls v%d.4s, v%d.4s, v24.4s", 4*i+x, 28+x)
		}
	}
	f.L("alone")
	if kind != "Ints" {
		four("scale+80", 24)
		each("scvtf v%d.4s, v%d.4s", self)
		each("fmul v%d.4s, v%d.4s, v%d.4s", with(24))
	}
	size := 4
	switch kind {
	case "Floats":
		f.P("MOVD more+88(FP), R0")
		f.P("CBZ R0, out")
		four("more+88", 28)
		each("fadd v%d.4s, v%d.4s, v%d.4s", with(28))
		f.L("out")
	case "Bytes": // of row i in V<i>
		size = 1
		each("fcvtns v%d.4s, v%d.4s", self)
		f.P("MOVD more+88(FP), R0")
		for i, off := range []int{0, 4, 8, 16} {
			f.P("ADD $%d, R0, R1", off)
			f.N("ld1r {v%d.4s}, [x1]", 28+i)
		}
		for i := range mr {
			for h := range 2 {
				v := 4*i + 2*h
				f.N("sqxtn v%d.4h, v%d.4s", 24+h, v)
				f.N("sqxtn2 v%d.8h, v%d.4s", 24+h, v+1)
				f.N("sqadd v%d.8h, v%d.8h, v28.8h", 24+h, 24+h)
				f.N("smax v%d.8h, v%d.8h, v29.8h", 24+h, 24+h)
				f.N("smin v%d.8h, v%d.8h, v30.8h", 24+h, 24+h)
			}
			f.N("sqxtun v%d.8b, v24.8h", i)
			f.N("sqxtun2 v%d.16b, v25.8h", i)
			f.N("eor v%d.16b, v%d.16b, v31.16b", i, i)
		}
	}
	f.P("CMP $16, R11")
	f.P("BNE edge")
	for i := range mr {
		if size == 1 {
			f.N("str q%d, [x9]", i)
		} else {
			f.N("stp q%d, q%d, [x9]", 4*i, 4*i+1)
			f.N("stp q%d, q%d, [x9, #32]", 4*i+2, 4*i+3)
		}
		f.P("ADD R10, R9")
	}
	f.P("RET")
	// Fewer columns: by way of the stack.
	f.L("edge")
	f.P("MOVD $buf-%d(SP), R2", frame)
	for i := range mr * size {
		f.N("str q%d, [x2, #%d]", i, 16*i)
	}
	f.P("MOVD $%d, R3", mr)
	f.L("row")
	f.P("MOVD R2, R4")
	f.P("MOVD R9, R5")
	f.P("MOVD R11, R6")
	f.L("each")
	load, store := "MOVWU.P 4(R4), R7", "MOVW.P R7, 4(R5)"
	if size == 1 {
		load, store = "MOVBU.P 1(R4), R7", "MOVB.P R7, 1(R5)"
	}
	f.P(load)
	f.P(store)
	f.P("SUBS $1, R6")
	f.P("BNE each")
	f.P("ADD $%d, R2", 16*size)
	f.P("ADD R10, R9")
	f.P("SUBS $1, R3")
	f.P("BNE row")
	f.P("RET")
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
