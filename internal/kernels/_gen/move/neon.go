package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

func neonAll() {
	f := neon.New("move")
	neonWeave(f)
	neonWeigh(f)
	f.Write()
}

// turn4 transposes the 4 x 4 block in V<from> on to V<to> on.
func turn4(f *neon.File, from, to int) {
	for i := range 2 {
		f.N("trn%d v%d.4s, v%d.4s, v%d.4s", 1+i, 16+i, from, from+1)
		f.N("trn%d v%d.4s, v%d.4s, v%d.4s", 1+i, 18+i, from+2, from+3)
	}
	for i := range 2 {
		f.N("trn1 v%d.2d, v%d.2d, v%d.2d", to+i, 16+i, 18+i)
		f.N("trn2 v%d.2d, v%d.2d, v%d.2d", to+2+i, 16+i, 18+i)
	}
}

// neonWeave writes weave and unweave: half h of stream i is V(4h+i) in the one,
// row r of eight is V<r> in the other. R1 dst, R2 src, R0 blocks.
func neonWeave(f *neon.File) {
	f.Func("weaveNEON", "dst, src unsafe.Pointer, blocks, ds, s1, s2, s3 int", 56)
	f.Args("R1", "dst+0", "R2", "src+8", "R0", "blocks+16", "R3", "ds+24", "R4", "s1+32", "R5", "s2+40", "R6", "s3+48")
	for i := 4; i < 7; i++ {
		f.P("ADD R2, R%d", i)
	}
	f.L("loop")
	for i, x := range []int{2, 4, 5, 6} {
		f.N("ldp q%d, q%d, [x%d], #32", i, 4+i, x)
	}
	for h := range 2 {
		turn4(f, 4*h, 20)
		for r := range 4 {
			f.N("str q%d, [x1]", 20+r)
			f.P("ADD R3, R1")
		}
	}
	f.P("SUBS $1, R0")
	f.P("BNE loop")
	f.P("RET")
	// The fourth stream is written first.
	f.Func("unweaveNEON", "dst, src unsafe.Pointer, blocks, ss, d1, d2, d3 int", 56)
	f.Args("R1", "dst+0", "R2", "src+8", "R0", "blocks+16", "R3", "ss+24", "R4", "d1+32", "R5", "d2+40", "R6", "d3+48")
	for i := 4; i < 7; i++ {
		f.P("ADD R1, R%d", i)
	}
	f.L("loop")
	for r := range 8 {
		f.N("ldr q%d, [x2]", r)
		f.P("ADD R3, R2")
	}
	turn4(f, 0, 20)
	turn4(f, 4, 24)
	for i := 3; i >= 0; i-- {
		f.N("stp q%d, q%d, [x%d], #32", 20+i, 24+i, []int{1, 4, 5, 6}[i])
	}
	f.P("SUBS $1, R0")
	f.P("BNE loop")
	f.P("RET")
}

// neonWeigh writes weighted sums of rows, 32 elements of a row at a time, then
// 4. R1 dst, R2 src, R3 at, R4 w, R5 n, R6 k, R7 rows left; R8 elements left, R9
// src from the element on, R10 at, R11 w, R12 left of k, R13 a row.
func neonWeigh(f *neon.File) {
	f.Func("weighNEON", "dst, src, at, w unsafe.Pointer, n, k, count int", 56)
	f.Args("R1", "dst+0", "R2", "src+8", "R3", "at+16", "R4", "w+24", "R5", "n+32", "R6", "k+40", "R7", "count+48")
	f.P("LSL $2, R5, R14") // bytes of a row
	block := func(nv int, part bool) {
		row := f.Label("each")
		for i := range nv {
			f.Zero(i)
		}
		f.P("MOVD R3, R10")
		f.P("MOVD R4, R11")
		f.P("MOVD R6, R12")
		f.L(row)
		f.P("MOVW.P 4(R10), R13")
		f.P("MUL R14, R13")
		f.P("ADD R9, R13")
		f.N("ldr s30, [x11], #4")
		switch {
		case part:
			f.LoadPart(8, 13, 8)
		case nv == 1:
			f.N("ldr q8, [x13]")
		default:
			for i := 0; i < nv; i += 2 {
				f.N("ldp q%d, q%d, [x13, #%d]", 8+i, 9+i, 16*i)
			}
		}
		for i := range nv {
			f.N("fmla v%d.4s, v%d.4s, v30.s[0]", i, 8+i)
		}
		f.P("SUBS $1, R12")
		f.P("BNE %s", row)
		switch {
		case part:
			f.StorePart(0, 1, 8)
			f.P("ADD R8<<2, R1")
			return
		case nv == 1:
			f.N("str q0, [x1], #16")
		default:
			for i := 0; i < nv; i += 2 {
				f.N("stp q%d, q%d, [x1], #32", i, i+1)
			}
		}
		f.P("ADD $%d, R9", 16*nv)
	}
	f.L("row")
	f.P("MOVD R5, R8")
	f.P("MOVD R2, R9")
	for _, nv := range []int{8, 1} {
		loop, done := fmt.Sprint("loop", nv), fmt.Sprint("done", nv)
		f.P("SUBS $%d, R8", 4*nv)
		f.P("BLT %s", done)
		f.L(loop)
		block(nv, false)
		f.P("SUBS $%d, R8", 4*nv)
		f.P("BGE %s", loop)
		f.L(done)
		f.P("ADDS $%d, R8", 4*nv)
	}
	f.P("BEQ next")
	block(1, true)
	f.L("next")
	f.P("ADD R6<<2, R3")
	f.P("ADD R6<<2, R4")
	f.P("SUBS $1, R7")
	f.P("BNE row")
	f.P("RET")
}
