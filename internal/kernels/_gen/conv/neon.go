package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

// neonAll writes y[i] = bias + Σt w[t]·x[off[t]/4+i] for n elements, 32 at a
// time, then 4. R0 n, R1 y, R2 x, R3 off, R4 w, R5 taps, R10 offset of y.
func neonAll() {
	f := neon.New("conv")
	f.Func("tapsNEON", "y unsafe.Pointer, n int, x, off, w unsafe.Pointer, taps int, bias float32", 52)
	f.Args("R1", "y+0", "R0", "n+8", "R2", "x+16", "R3", "off+24", "R4", "w+32", "R5", "taps+40")
	f.P("MOVWU bias+48(FP), R6")
	f.N("dup v31.4s, w6")
	block := func(nv int, part bool) {
		tap, sums := f.Label("tap"), f.Label("sums")
		for i := range nv {
			f.N("mov v%d.16b, v31.16b", i)
		}
		f.P("MOVD R3, R7")
		f.P("MOVD R4, R8")
		f.P("MOVD R5, R9")
		f.P("CBZ R9, %s", sums)
		f.L(tap)
		f.P("MOVD.P 8(R7), R11")
		f.P("ADD R2, R11")
		f.N("ldr s30, [x8], #4")
		switch {
		case part:
			f.LoadPart(8, 11, 0)
		case nv == 1:
			f.N("ldr q8, [x11]")
		default:
			for i := 0; i < nv; i += 2 {
				f.N("ldp q%d, q%d, [x11, #%d]", 8+i, 9+i, 16*i)
			}
		}
		for i := range nv {
			f.N("fmla v%d.4s, v%d.4s, v30.s[0]", i, 8+i)
		}
		f.P("SUBS $1, R9")
		f.P("BNE %s", tap)
		f.L(sums)
		switch {
		case part:
			f.StorePart(0, 1, 0)
			return
		case nv == 1:
			f.N("str q0, [x1], #16")
		default:
			for i := 0; i < nv; i += 2 {
				f.N("stp q%d, q%d, [x1], #32", i, i+1)
			}
		}
		f.P("ADD $%d, R2", 16*nv)
	}
	for _, nv := range []int{8, 1} {
		loop, done := fmt.Sprint("loop", nv), fmt.Sprint("done", nv)
		f.P("SUBS $%d, R0", 4*nv)
		f.P("BLT %s", done)
		f.L(loop)
		block(nv, false)
		f.P("SUBS $%d, R0", 4*nv)
		f.P("BGE %s", loop)
		f.L(done)
		f.P("ADDS $%d, R0", 4*nv)
	}
	f.P("BEQ end")
	block(1, true)
	f.L("end")
	f.P("RET")
	f.Write()
}
