package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

func neonAll() {
	f := neon.New("qconv")
	neonDepth(f, "neonDepth", false)
	neonDepth(f, "neonDepthFloats", true)
	for _, op := range []string{"umax", "smax"} {
		neonMax(f, "neonMax"+map[string]string{"umax": "U", "smax": "S"}[op], op)
	}
	f.Write()
}

// neonDepth writes 16 channels of n positions, four at a time where there are as
// many: the weights, as words, are read once for them. Position p has its sums
// in V4p on. With floats, words are what is added to the products with scale, and
// no bytes are written. R0 positions left, R1 taps, R2 pointers, R3 weights, R4 y, R5 xstep,
// R6 ystep, R12 offset of the position.
func neonDepth(f *neon.File, name string, floats bool) {
	f.Func(name, "n, taps int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer", 80)
	f.Args("R0", "n+0", "R1", "taps+8", "R2", "ptrs+16", "R3", "w+24", "R4", "y+32", "R5", "xstep+40", "R6", "ystep+48", "R7", "bias+56", "R8", "scale+64", "R9", "words+72")
	if floats {
		f.N("ldp q28, q29, [x9]")
		f.N("ldp q30, q31, [x9, #32]")
	} else {
		for i := range 4 {
			f.N("ld1r {v%d.4s}, [x9], #4", 28+i)
		}
	}
	f.P("MOVD $0, R12")
	positions := func(p int) {
		tag := fmt.Sprint(p)
		for q := range p {
			f.N("ldp q%d, q%d, [x7]", 4*q, 4*q+1)
			f.N("ldp q%d, q%d, [x7, #32]", 4*q+2, 4*q+3)
		}
		f.P("MOVD R1, R10")
		f.P("MOVD R2, R11")
		f.P("MOVD R3, R13")
		f.L("tap" + tag)
		f.P("MOVD.P 8(R11), R14")
		f.P("ADD R12, R14")
		f.N("ldp q16, q17, [x13], #32")
		for q := range p {
			f.N("ldr q18, [x14]")
			if q < p-1 {
				f.P("ADD R5, R14")
			}
			f.N("ushll v19.8h, v18.8b, #0")
			f.N("ushll2 v20.8h, v18.16b, #0")
			for h := range 2 {
				f.N("smlal v%d.4s, v%d.4h, v%d.4h", 4*q+2*h, 19+h, 16+h)
				f.N("smlal2 v%d.4s, v%d.8h, v%d.8h", 4*q+2*h+1, 19+h, 16+h)
			}
		}
		f.P("SUBS $1, R10")
		f.P("BNE tap%s", tag)
		f.N("ldp q16, q17, [x8]")
		f.N("ldp q18, q19, [x8, #32]")
		for q := range p {
			for i := range 4 {
				v := 4*q + i
				f.N("scvtf v%d.4s, v%d.4s", v, v)
				f.N("fmul v%d.4s, v%d.4s, v%d.4s", v, v, 16+i)
				if floats {
					f.N("fadd v%d.4s, v%d.4s, v%d.4s", v, v, 28+i)
					f.N("str q%d, [x4, #%d]", v, 16*i)
				} else {
					f.N("fcvtns v%d.4s, v%d.4s", v, v)
				}
			}
			if floats {
				f.P("ADD R6, R4")
				f.P("ADD R5, R12")
				continue
			}
			for h := range 2 {
				v := 4*q + 2*h
				f.N("sqxtn v20.4h, v%d.4s", v)
				f.N("sqxtn2 v20.8h, v%d.4s", v+1)
				f.N("sqadd v20.8h, v20.8h, v28.8h")
				f.N("smax v20.8h, v20.8h, v29.8h")
				f.N("smin v20.8h, v20.8h, v30.8h")
				if h == 0 {
					f.N("sqxtun v21.8b, v20.8h")
				} else {
					f.N("sqxtun2 v21.16b, v20.8h")
				}
			}
			f.N("eor v21.16b, v21.16b, v31.16b")
			f.N("str q21, [x4]")
			f.P("ADD R6, R4")
			f.P("ADD R5, R12")
		}
	}
	f.L("four")
	f.P("SUBS $4, R0")
	f.P("BLT rest")
	positions(4)
	f.P("B four")
	f.L("rest")
	f.P("ADDS $4, R0")
	f.P("BEQ done")
	f.L("one")
	positions(1)
	f.P("SUBS $1, R0")
	f.P("BNE one")
	f.L("done")
	f.P("RET")
}

// neonMax writes the largest of the taps for 16 channels, from offset on.
func neonMax(f *neon.File, name, op string) {
	f.Func(name, "n, taps int, ptrs, y unsafe.Pointer, xstep, ystep, offset int", 56)
	f.Args("R0", "n+0", "R1", "taps+8", "R2", "ptrs+16", "R4", "y+24", "R5", "xstep+32", "R6", "ystep+40", "R12", "offset+48")
	f.P("ADD R12, R4")
	f.L("position")
	f.P("MOVD (R2), R14")
	f.N("ldr q0, [x14, x12]")
	f.P("ADD $8, R2, R11")
	f.P("SUBS $1, R1, R10")
	f.P("BEQ store")
	f.L("tap")
	f.P("MOVD.P 8(R11), R14")
	f.N("ldr q1, [x14, x12]")
	f.N("%s v0.16b, v0.16b, v1.16b", op)
	f.P("SUBS $1, R10")
	f.P("BNE tap")
	f.L("store")
	f.N("str q0, [x4]")
	f.P("ADD R6, R4")
	f.P("ADD R5, R12")
	f.P("SUBS $1, R0")
	f.P("BNE position")
	f.P("RET")
}
