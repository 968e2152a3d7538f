package main

import "github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"

// neonChains is chains for cores with four units.
const neonChains = 24

func neonAll() {
	f := neon.New("peak")
	begin := func(name string, sums int) {
		f.Func(name, "n int, x, y, out unsafe.Pointer", 32)
		f.Args("R0", "n+0", "R1", "x+8", "R2", "y+16", "R3", "out+24")
		f.N("ldr q30, [x1]")
		f.N("ldr q31, [x2]")
		for i := range sums {
			f.Zero(i)
		}
	}
	loop := func(step func()) {
		f.P("MOVD R0, R4")
		f.P("PCALIGN $16")
		f.L("loop")
		step()
		f.P("SUBS $1, R4")
		f.P("BNE loop")
	}
	total := func(op string, sums int) {
		for i := 1; i < sums; i++ {
			f.N("%s v0.4s, v0.4s, v%d.4s", op, i)
		}
	}
	begin("fmaNEON", neonChains)
	loop(func() {
		for i := range neonChains {
			f.N("fmla v%d.4s, v30.4s, v31.4s", i)
		}
	})
	total("fadd", neonChains)
	f.N("str q0, [x3]")
	f.P("RET")
	// x is taken less 128, and what that leaves out is added at the end, for
	// products times n.
	signed := func() {
		f.N("movi v29.16b, #128")
		f.N("eor v30.16b, v30.16b, v29.16b")
	}
	rest := func(products int) {
		f.N("saddlp v1.8h, v31.16b")
		f.N("saddlp v1.4s, v1.8h")
		f.P("MOVD $%d, R5", 128*products)
		f.P("MUL R0, R5")
		f.N("dup v2.4s, w5")
		f.N("mla v0.4s, v1.4s, v2.4s")
		f.N("str q0, [x3]")
		f.P("RET")
	}
	begin("dotNEON", neonChains)
	signed()
	loop(func() {
		for i := range neonChains {
			f.N("sdot v%d.4s, v30.16b, v31.16b", i)
		}
	})
	total("add", neonChains)
	rest(neonChains)
	begin("wordNEON", 16)
	signed()
	loop(func() {
		for i := range 8 {
			f.N("smull v%d.8h, v30.8b, v31.8b", 16+i%4*2)
			f.N("smull2 v%d.8h, v30.16b, v31.16b", 17+i%4*2)
			f.N("sadalp v%d.4s, v%d.8h", 2*i, 16+i%4*2)
			f.N("sadalp v%d.4s, v%d.8h", 2*i+1, 17+i%4*2)
		}
	})
	// Their lanes belong to other bytes, but the total is the same.
	total("add", 16)
	rest(8)
	f.Func("readNEON", "n int, src, out unsafe.Pointer", 24)
	f.Args("R0", "n+0", "R1", "src+8", "R3", "out+16")
	for i := range 16 {
		f.Zero(i)
	}
	f.L("loop")
	for i := 0; i < 16; i += 2 {
		f.N("ldp q%d, q%d, [x1, #%d]", 16+i, 17+i, 16*i)
	}
	for i := range 16 {
		f.N("add v%d.2d, v%d.2d, v%d.2d", i, i, 16+i)
	}
	f.P("ADD $256, R1")
	f.P("SUBS $1, R0")
	f.P("BNE loop")
	for i := 1; i < 16; i++ {
		f.N("add v0.2d, v0.2d, v%d.2d", i)
	}
	f.N("str q0, [x3]")
	f.P("RET")
	f.Write()
}
