package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

const (
	dotMR  = 4 // rows of a tile of dot products
	wordMR = 2 // and of one of products of 16 bits
)

func neonAll() {
	f := neon.New("nbits")
	for _, bits := range []int{4, 8} {
		for _, k := range []kind{same, each} {
			for _, dot := range []bool{true, false} {
				prefix, mr := fmt.Sprintf("tileDot%d%sx", bits, k), dotMR
				if !dot {
					prefix, mr = fmt.Sprintf("tileNEON%d%sx", bits, k), wordMR
				}
				for i := 1; i <= mr; i++ {
					neonTile(f, fmt.Sprint(prefix, i), i, bits, k, dot)
				}
				f.Table(prefix, mr, tileSig)
			}
		}
		for _, k := range []kind{same, each, real} {
			neonRow(f, bits, k)
			neonExpand(f, bits, k)
		}
	}
	neonQuantize(f)
	f.Write()
}

// neonTile writes a tile of mr rows and 16 columns, of codes of 8 bits less 128.
// The sums over blocks are in y. R0 blocks left, R1 to R4 rows of A, R5 groups
// left, R6 sums and R7 scales of A, R8 lds, R9 b, R10 zeros, R11 scales of b, R12
// y, R13 ldy.
func neonTile(f *neon.File, name string, mr, bits int, zeros kind, dot bool) {
	f.Func(name, tileSig, 96)
	f.Args("R0", "blocks+0", "R1", "a+16", "R5", "lda+24", "R6", "sums+32", "R7", "scales+40", "R8", "lds+48", "R9", "b+56", "R10", "zeros+64", "R11", "bscales+72",
		"R12", "y+80", "R13", "ldy+88")
	for i := 1; i < mr; i++ {
		f.P("ADD R5, R%d, R%d", i, i+1)
	}
	row := func() { // R14 is a row of y
		f.P("MOVD R12, R14")
	}
	row()
	f.Zero(0)
	for range mr {
		for x := range 4 {
			f.N("str q0, [x14, #%d]", 16*x)
		}
		f.P("ADD R13, R14")
	}
	f.N("movi v28.16b, #%d", []int{0x0f, 0x80}[bits/8])
	f.L("block")
	sums := func(i, x int) int { return i*4 + x }
	if !dot {
		sums = func(i, x int) int { return i*8 + 2*x }
	}
	for i := range sums(mr, 0) {
		f.Zero(i)
	}
	f.P("MOVD groups+8(FP), R5")
	f.P("PCALIGN $16")
	f.L("loop")
	if dot {
		dotStep(f, mr, bits, sums)
		f.P("SUBS $4, R5")
	} else {
		wordStep(f, mr, bits, sums)
		f.P("SUBS $2, R5")
	}
	f.P("BGT loop")
	// Scales V20 to V23, zero points V24 to V27.
	f.N("ldp q20, q21, [x11], #32")
	f.N("ldp q22, q23, [x11], #32")
	if zeros == each {
		f.N("ldr q27, [x10], #16")
		if bits == 8 {
			f.N("eor v27.16b, v27.16b, v28.16b")
		}
		f.N("sshll v25.8h, v27.8b, #0")
		f.N("sshll2 v27.8h, v27.16b, #0")
		for i := 25; i < 28; i += 2 {
			f.N("sshll v%d.4s, v%d.4h, #0", i-1, i)
			f.N("sshll2 v%d.4s, v%d.8h, #0", i, i)
		}
	}
	row()
	for i := range mr {
		f.P("ADD $%d, R6, R15", 4*i)
		f.N("ld1r {v16.4s}, [x15]")
		f.P("ADD $%d, R7, R15", 4*i)
		f.N("ld1r {v17.4s}, [x15]")
		for x := range 4 {
			v := sums(i, x)
			if !dot {
				f.N("addp v%d.4s, v%d.4s, v%d.4s", v, v, v+1)
			}
			if zeros == each {
				f.N("mls v%d.4s, v%d.4s, v16.4s", v, 24+x)
			} else {
				f.N("add v%d.4s, v%d.4s, v16.4s", v, v)
			}
			f.N("scvtf v%d.4s, v%d.4s", v, v)
			f.N("fmul v18.4s, v17.4s, v%d.4s", 20+x)
			f.N("ldr q19, [x14, #%d]", 16*x)
			f.N("fmla v19.4s, v%d.4s, v18.4s", v)
			f.N("str q19, [x14, #%d]", 16*x)
		}
		f.P("ADD R13, R14")
	}
	f.P("ADD R8, R6")
	f.P("ADD R8, R7")
	f.P("SUBS $1, R0")
	f.P("BNE block")
	f.P("RET")
}

// dotStep adds the products of 16 k: of four rows 64 dot products for 12 loads
// and 16 instructions that take half bytes apart.
func dotStep(f *neon.File, mr, bits int, sums func(i, x int) int) {
	for i := range mr {
		f.N("ldr q%d, [x%d], #16", 16+i, 1+i)
	}
	dots := func(b, group int) {
		for x := range 4 {
			for i := range mr {
				f.N("sdot v%d.4s, v%d.16b, v%d.4b[%d]", sums(i, x), b+x, 16+i, group)
			}
		}
	}
	load := func(v int) {
		f.N("ldp q%d, q%d, [x9], #32", v, v+1)
		f.N("ldp q%d, q%d, [x9], #32", v+2, v+3)
	}
	for h := range 2 {
		if bits == 8 {
			for g := range 2 {
				load(20 + 4*g)
				for x := range 4 {
					f.N("eor v%d.16b, v%d.16b, v28.16b", 20+4*g+x, 20+4*g+x)
				}
				dots(20+4*g, 2*h+g)
			}
			continue
		}
		load(24)
		for x := range 4 {
			f.N("and v%d.16b, v%d.16b, v28.16b", 20+x, 24+x)
			f.N("ushr v%d.16b, v%d.16b, #4", 24+x, 24+x)
		}
		dots(20, 2*h)
		dots(24, 2*h+1)
	}
}

// wordStep adds the products of 8 k: two of them fit 16 bits.
func wordStep(f *neon.File, mr, bits int, sums func(i, x int) int) {
	for i := range mr {
		f.N("ld1r {v%d.4s}, [x%d], #4", 16+2*i, 1+i)
		f.N("ld1r {v%d.4s}, [x%d], #4", 17+2*i, 1+i)
	}
	for x := range 4 {
		if bits == 4 {
			f.N("ldr q21, [x9], #16")
			f.N("and v20.16b, v21.16b, v28.16b")
			f.N("ushr v21.16b, v21.16b, #4")
		} else {
			f.N("ldr q21, [x9, #64]")
			f.N("ldr q20, [x9], #16")
			f.N("eor v20.16b, v20.16b, v28.16b")
			f.N("eor v21.16b, v21.16b, v28.16b")
		}
		for i := range mr {
			for g := range 2 {
				op := []string{"smull", "smlal"}[g]
				f.N("%s v22.8h, v%d.8b, v%d.8b", op, 20+g, 16+2*i+g)
				f.N("%s2 v23.8h, v%d.16b, v%d.16b", op, 20+g, 16+2*i+g)
			}
			f.N("sadalp v%d.4s, v22.8h", sums(i, x))
			f.N("sadalp v%d.4s, v23.8h", sums(i, x)+1)
		}
	}
	if bits == 8 {
		f.P("ADD $64, R9")
	}
}

// codes calls step for each of the next eight k, whose 16 codes are the bytes of a
// register: V0 to V3 have four k that lie together. With less, 128 is taken from
// codes of 8 bits, by V14; V15 is 15 for those of 4. R9 b.
func codes(f *neon.File, bits int, less bool, step func(k, v int)) {
	if bits == 4 {
		f.N("ld4 {v0.16b, v1.16b, v2.16b, v3.16b}, [x9], #64")
		for i := range 4 {
			f.N("ushr v%d.16b, v%d.16b, #4", 4+i, i)
			f.N("and v%d.16b, v%d.16b, v15.16b", i, i)
		}
		for k := range 8 {
			step(k, k)
		}
		return
	}
	for h := range 2 {
		f.N("ld4 {v0.16b, v1.16b, v2.16b, v3.16b}, [x9], #64")
		for i := range 4 {
			if less {
				f.N("eor v%d.16b, v%d.16b, v14.16b", i, i)
			}
			step(4*h+i, i)
		}
	}
}

// floats turns the bytes of V<from> into floats in V8 to V11.
func floats(f *neon.File, sign string, from, to int) {
	f.N("%sshll v%d.8h, v%d.8b, #0", sign, to+1, from)
	f.N("%sshll2 v%d.8h, v%d.16b, #0", sign, to+3, from)
	for i := 0; i < 4; i += 2 {
		f.N("%sshll v%d.4s, v%d.4h, #0", sign, to+i, to+i+1)
		f.N("%sshll2 v%d.4s, v%d.8h, #0", sign, to+i+1, to+i+1)
	}
	for i := range 4 {
		f.N("%scvtf v%d.4s, v%d.4s", sign, to+i, to+i)
	}
}

// neonRow writes the product of a row of floats with a panel. Sums over blocks
// V16 to V19, within one V20 to V23 and V24 to V27 (odd k); x V12 and V13.
func neonRow(f *neon.File, bits int, zeros kind) {
	f.Func(fmt.Sprintf("rowNEON%d%s", bits, zeros), rowSig, 64)
	f.Args("R0", "blocks+0", "R2", "x+16", "R6", "sums+24", "R9", "b+32", "R10", "zeros+40", "R11", "bscales+48", "R12", "y+56")
	f.Zero(16, 17, 18, 19)
	f.N("movi v14.16b, #128")
	f.N("movi v15.16b, #15")
	f.L("block")
	for i := range 8 {
		f.Zero(20 + i)
	}
	f.P("MOVD groups+8(FP), R5")
	f.L("loop")
	f.N("ldp q12, q13, [x2], #32")
	codes(f, bits, true, func(k, v int) {
		floats(f, "s", v, 8)
		for i := range 4 {
			f.N("fmla v%d.4s, v%d.4s, v%d.s[%d]", 20+k%2*4+i, 8+i, 12+k/4, k%4)
		}
	})
	f.P("SUBS $2, R5")
	f.P("BGT loop")
	f.N("ld1r {v12.4s}, [x6], #4")
	switch zeros {
	case each:
		f.N("ldr q4, [x10], #16")
		if bits == 8 {
			f.N("eor v4.16b, v4.16b, v14.16b")
		}
		floats(f, "s", 4, 8)
	case real:
		f.N("ldp q8, q9, [x10], #32")
		f.N("ldp q10, q11, [x10], #32")
		if bits == 8 {
			f.Splat(13, 128)
			for i := range 4 {
				f.N("fsub v%d.4s, v%d.4s, v13.4s", 8+i, 8+i)
			}
		}
	}
	f.N("ldp q0, q1, [x11], #32")
	f.N("ldp q2, q3, [x11], #32")
	for i := range 4 {
		f.N("fadd v%d.4s, v%d.4s, v%d.4s", 20+i, 20+i, 24+i)
		if zeros == same {
			f.N("fadd v%d.4s, v%d.4s, v12.4s", 20+i, 20+i)
		} else {
			f.N("fmls v%d.4s, v%d.4s, v12.4s", 20+i, 8+i)
		}
		f.N("fmla v%d.4s, v%d.4s, v%d.4s", 16+i, 20+i, i)
	}
	f.P("SUBS $1, R0")
	f.P("BNE block")
	f.N("stp q16, q17, [x12]")
	f.N("stp q18, q19, [x12, #32]")
	f.P("RET")
}

// neonExpand writes blocks of a panel as floats. Zero points V16 to V19, scales
// V20 to V23.
func neonExpand(f *neon.File, bits int, zeros kind) {
	f.Func(fmt.Sprintf("expandNEON%d%s", bits, zeros), expandSig, 56)
	f.Args("R0", "blocks+0", "R9", "b+16", "R10", "zeros+24", "R11", "bscales+32", "R12", "dst+48")
	f.N("movi v15.16b, #15")
	if zeros == same {
		f.P("MOVWU zero+40(FP), R6")
		f.N("dup v16.4s, w6")
		if bits == 8 {
			f.Splat(17, 128)
			f.N("fadd v16.4s, v16.4s, v17.4s")
		}
		for i := 17; i < 20; i++ {
			f.N("mov v%d.16b, v16.16b", i)
		}
	}
	f.L("block")
	switch zeros {
	case each:
		f.N("ldr q4, [x10], #16")
		floats(f, "u", 4, 16)
	case real:
		f.N("ldp q16, q17, [x10], #32")
		f.N("ldp q18, q19, [x10], #32")
	}
	f.N("ldp q20, q21, [x11], #32")
	f.N("ldp q22, q23, [x11], #32")
	f.P("MOVD groups+8(FP), R5")
	f.L("loop")
	codes(f, bits, false, func(_, v int) {
		floats(f, "u", v, 8)
		for i := range 4 {
			f.N("fsub v%d.4s, v%d.4s, v%d.4s", 8+i, 8+i, 16+i)
			f.N("fmul v%d.4s, v%d.4s, v%d.4s", 8+i, 8+i, 20+i)
		}
		f.N("stp q8, q9, [x12]")
		f.N("stp q10, q11, [x12, #32]")
		f.P("ADD $128, R12")
	})
	f.P("SUBS $2, R5")
	f.P("BGT loop")
	f.P("SUBS $1, R0")
	f.P("BNE block")
	f.P("RET")
}

// neonQuantize turns blocks of floats into bytes, 16 at a time.
func neonQuantize(f *neon.File) {
	f.Func("quantizeNEON", quantSig, 56)
	f.Args("R0", "blocks+0", "R1", "block+8", "R2", "x+16", "R3", "dst+24", "R4", "scales+32", "R5", "sums+40", "R6", "lds+48")
	f.Splat(30, 127)
	f.Splat(31, 3<<22)
	each := func(format string, v ...int) {
		for i := range 4 {
			args := make([]any, len(v))
			for k, x := range v {
				args[k] = x + i
			}
			f.N(format, args...)
		}
	}
	load := func(x int) {
		f.N("ldp q0, q1, [x%d], #32", x)
		f.N("ldp q2, q3, [x%d], #32", x)
	}
	f.L("block")
	f.Zero(4, 5, 6, 7)
	f.P("MOVD R2, R7")
	f.P("MOVD R1, R8")
	f.L("most") // of |x| as bits, which order like the numbers
	load(7)
	each("fabs v%d.4s, v%d.4s", 0, 0)
	each("umax v%d.4s, v%d.4s, v%d.4s", 4, 4, 0)
	f.P("SUBS $16, R8")
	f.P("BGT most")
	for _, p := range [][2]int{{4, 5}, {6, 7}, {4, 6}} {
		f.N("umax v%d.4s, v%d.4s, v%d.4s", p[0], p[0], p[1])
	}
	f.N("umaxv s16, v4.4s")
	f.N("fdiv s17, s16, s30")
	f.N("str s17, [x4]")
	f.N("fdiv s17, s30, s16")
	f.N("fcmeq v18.4s, v16.4s, #0")
	f.N("bic v17.16b, v17.16b, v18.16b")
	f.Zero(19)
	f.P("MOVD R1, R8")
	f.L("loop")
	load(2)
	each("fmul v%d.4s, v%d.4s, v17.s[0]", 0, 0)
	each("fadd v%d.4s, v%d.4s, v31.4s", 0, 0) // the integer in the low bits
	each("sub v%d.4s, v%d.4s, v31.4s", 0, 0)
	f.N("uzp1 v0.8h, v0.8h, v1.8h")
	f.N("uzp1 v2.8h, v2.8h, v3.8h")
	f.N("uzp1 v0.16b, v0.16b, v2.16b")
	f.N("saddlp v1.8h, v0.16b")
	f.N("sadalp v19.4s, v1.8h")
	f.N("str q0, [x3], #16")
	f.P("SUBS $16, R8")
	f.P("BGT loop")
	f.N("addv s19, v19.4s")
	f.N("str s19, [x5]")
	f.P("ADD R6, R4")
	f.P("ADD R6, R5")
	f.P("SUBS $1, R0")
	f.P("BNE block")
	f.P("RET")
}
