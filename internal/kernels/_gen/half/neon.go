package main

import "github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"

// neonAll writes the routines for NEON; those that convert take multiples of 8.
// R0 dst, R1 src, R2 elements left.
func neonAll() {
	f := neon.New("half")
	// widen leaves four halves of V<from>, the upper ones with high, in V<to>.
	widen := func(kind string, from, to int, high bool) {
		upper, part := "", "4h"
		if high {
			upper, part = "2", "8h"
		}
		if kind == "F" {
			f.N("fcvtl%s v%d.4s, v%d.%s", upper, to, from, part)
			return
		}
		f.N("ushll%s v%d.4s, v%d.%s, #0", upper, to, from, part)
		f.N("shl v%d.4s, v%d.4s, #16", to, to)
	}
	loop := func(body func()) {
		f.Args("R0", "dst+0", "R1", "src+8", "R2", "n+16")
		f.P("LSR $3, R2")
		f.P("CBZ R2, end")
		f.L("loop")
		body()
		f.P("SUBS $1, R2")
		f.P("BNE loop")
		f.L("end")
		f.P("RET")
	}
	for _, kind := range []string{"F", "B"} {
		f.Func("neonWiden"+kind, "dst, src unsafe.Pointer, n int", 24)
		loop(func() {
			f.N("ldr q2, [x1], #16")
			widen(kind, 2, 0, false)
			widen(kind, 2, 1, true)
			f.N("stp q0, q1, [x0], #32")
		})
		f.Func("neonNarrow"+kind, "dst, src unsafe.Pointer, n int", 24)
		if kind == "B" {
			f.SplatBits(29, 0x7fff)
			f.SplatBits(30, 1)
			f.SplatBits(31, 0x400000)
		}
		loop(func() {
			f.N("ldp q0, q1, [x1], #32")
			if kind == "F" {
				f.N("fcvtn v2.4h, v0.4s")
				f.N("fcvtn2 v2.8h, v1.4s")
			} else {
				for i := range 2 { // the upper half, halves to even; of NaN with its first digit set
					f.N("ushr v2.4s, v%d.4s, #16", i)
					f.N("and v2.16b, v2.16b, v30.16b")
					f.N("add v2.4s, v2.4s, v29.4s")
					f.N("add v2.4s, v2.4s, v%d.4s", i)
					f.N("orr v3.16b, v%d.16b, v31.16b", i)
					f.N("fcmeq v%d.4s, v%d.4s, v%d.4s", i, i, i)
					f.N("bsl v%d.16b, v2.16b, v3.16b", i)
				}
				f.N("uzp2 v2.8h, v0.8h, v1.8h")
			}
			f.N("str q2, [x0], #16")
		})
		neonRow(f, kind, widen)
	}
	f.Write()
}

// neonRow adds to y the product of kc elements of x with as many rows of 32
// halves. Sums V16 to V23.
func neonRow(f *neon.File, kind string, widen func(kind string, from, to int, high bool)) {
	f.Func("neonRow"+kind, "kc int, x, b, y unsafe.Pointer", 32)
	f.Args("R0", "kc+0", "R1", "x+8", "R2", "b+16", "R3", "y+24")
	for i := 0; i < 8; i += 2 {
		f.N("ldp q%d, q%d, [x3, #%d]", 16+i, 17+i, 16*i)
	}
	step := func(u int) {
		f.N("ldp q0, q1, [x2], #32")
		f.N("ldp q2, q3, [x2], #32")
		for i := range 4 {
			widen(kind, i, 4+2*i, false)
			widen(kind, i, 5+2*i, true)
		}
		for i := range 8 {
			f.N("fmla v%d.4s, v%d.4s, v31.s[%d]", 16+i, 4+i, u)
		}
	}
	f.P("SUBS $4, R0")
	f.P("BLT tail")
	f.P("PCALIGN $16")
	f.L("loop")
	f.N("ldr q31, [x1], #16")
	for u := range 4 {
		step(u)
	}
	f.P("SUBS $4, R0")
	f.P("BGE loop")
	f.L("tail")
	f.P("ADDS $4, R0")
	f.P("BEQ end")
	f.L("one")
	f.N("ldr s31, [x1], #4")
	step(0)
	f.P("SUBS $1, R0")
	f.P("BNE one")
	f.L("end")
	for i := 0; i < 8; i += 2 {
		f.N("stp q%d, q%d, [x3, #%d]", 16+i, 17+i, 16*i)
	}
	f.P("RET")
}
