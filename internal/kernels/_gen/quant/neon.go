package main

import (
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

// neonAll writes the routines for NEON, which take 16 elements at a time. R0
// dst, R1 x, R2 elements left.
func neonAll() {
	f := neon.New("quant")
	each := func(format string, v ...int) {
		for i := range 4 {
			args := make([]any, len(v))
			for k, x := range v {
				args[k] = x + i
			}
			f.N(format, args...)
		}
	}
	load := func(x, v int) {
		f.N("ldp q%d, q%d, [x%d], #32", v, v+1, x)
		f.N("ldp q%d, q%d, [x%d], #32", v+2, v+3, x)
	}
	store := func(x, v int) {
		f.N("stp q%d, q%d, [x%d], #32", v, v+1, x)
		f.N("stp q%d, q%d, [x%d], #32", v+2, v+3, x)
	}
	splat := func(name string, v int) {
		f.P("MOVWU %s(FP), R10", name)
		f.N("dup v%d.4s, w10", v)
	}
	loop := func(body func()) {
		f.P("LSR $4, R2")
		f.P("CBZ R2, end")
		f.P("PCALIGN $16")
		f.L("loop")
		body()
		f.P("SUBS $1, R2")
		f.P("BNE loop")
		f.L("end")
	}
	// bytes rounds V0 to V3 within [V29, V30], where NaN becomes V29, adds V31 and
	// leaves the low bytes in V0.
	bytes := func() {
		each("fmaxnm v%d.4s, v%d.4s, v29.4s", 0, 0)
		each("fminnm v%d.4s, v%d.4s, v30.4s", 0, 0)
		each("fcvtns v%d.4s, v%d.4s", 0, 0)
		each("add v%d.4s, v%d.4s, v31.4s", 0, 0)
		f.N("uzp1 v0.8h, v0.8h, v1.8h")
		f.N("uzp1 v2.8h, v2.8h, v3.8h")
		f.N("uzp1 v0.16b, v0.16b, v2.16b")
	}
	// words turns the bytes of V<from> into V<to> to V<to+3>.
	words := func(sign string, from, to int) {
		f.N("%sshll v%d.8h, v%d.8b, #0", sign, to+1, from)
		f.N("%sshll2 v%d.8h, v%d.16b, #0", sign, to+3, from)
		for i := 0; i < 4; i += 2 {
			f.N("%sshll v%d.4s, v%d.4h, #0", sign, to+i, to+i+1)
			f.N("%sshll2 v%d.4s, v%d.8h, #0", sign, to+i+1, to+i+1)
		}
	}
	begin := func(name, sig string, args int) {
		f.Func("neon"+name, "dst, x unsafe.Pointer, n int"+sig, args)
		f.Args("R0", "dst+0", "R1", "x+8", "R2", "n+16")
	}
	for _, o := range []string{"quantize", "requantize"} {
		begin(o, ", scale, lo, hi float32, zero int32", 40)
		splat("scale+24", 28)
		splat("lo+28", 29)
		splat("hi+32", 30)
		splat("zero+36", 31)
		loop(func() {
			load(1, 0)
			if o == "quantize" {
				each("fdiv v%d.4s, v%d.4s, v28.4s", 0, 0)
			} else {
				each("scvtf v%d.4s, v%d.4s", 0, 0)
				each("fmul v%d.4s, v%d.4s, v28.4s", 0, 0)
			}
			bytes()
			f.N("str q0, [x0], #16")
		})
		f.P("RET")
	}
	begin("requantizeEach", ", scale unsafe.Pointer, lo, hi float32, zero int32", 44)
	f.Args("R3", "scale+24")
	splat("lo+32", 29)
	splat("hi+36", 30)
	splat("zero+40", 31)
	loop(func() {
		load(1, 0)
		load(3, 4)
		each("scvtf v%d.4s, v%d.4s", 0, 0)
		each("fmul v%d.4s, v%d.4s, v%d.4s", 0, 0, 4)
		bytes()
		f.N("str q0, [x0], #16")
	})
	f.P("RET")
	begin("scaled", ", scale, shift unsafe.Pointer", 40)
	f.Args("R3", "scale+24", "R4", "shift+32")
	loop(func() {
		load(1, 0)
		load(3, 4)
		load(4, 8)
		each("scvtf v%d.4s, v%d.4s", 0, 0)
		each("fmul v%d.4s, v%d.4s, v%d.4s", 0, 0, 4)
		each("fadd v%d.4s, v%d.4s, v%d.4s", 0, 0, 8)
		store(0, 0)
	})
	f.P("RET")
	for _, sign := range []string{"u", "s"} {
		begin("dequant"+strings.ToUpper(sign)+"8", ", scale float32, zero int32", 32)
		splat("scale+24", 30)
		splat("zero+28", 31)
		loop(func() {
			f.N("ldr q8, [x1], #16")
			words(sign, 8, 0)
			each("sub v%d.4s, v%d.4s, v31.4s", 0, 0)
			each("scvtf v%d.4s, v%d.4s", 0, 0)
			each("fmul v%d.4s, v%d.4s, v30.4s", 0, 0)
			store(0, 0)
		})
		f.P("RET")
	}
	f.Func("neonbounds", "x unsafe.Pointer, n int) (lo, hi float32)", 24)
	f.Args("R1", "x+0", "R2", "n+8")
	for i := range 8 {
		f.Zero(16 + i)
	}
	loop(func() { // NaN compares with nothing
		load(1, 0)
		each("fcmgt v%d.4s, v%d.4s, v%d.4s", 4, 16, 0)
		each("bit v%d.16b, v%d.16b, v%d.16b", 16, 0, 4)
		each("fcmgt v%d.4s, v%d.4s, v%d.4s", 8, 0, 20)
		each("bit v%d.16b, v%d.16b, v%d.16b", 20, 0, 8)
	})
	for i, op := range []string{"fmin", "fmax"} {
		v := 16 + 4*i
		f.N("%s v%d.4s, v%d.4s, v%d.4s", op, v, v, v+1)
		f.N("%s v%d.4s, v%d.4s, v%d.4s", op, v+2, v+2, v+3)
		f.N("%s v%d.4s, v%d.4s, v%d.4s", op, v, v, v+2)
		f.N("%sv s%d, v%d.4s", op, i, v)
	}
	f.P("FMOVS F0, lo+16(FP)")
	f.P("FMOVS F1, hi+20(FP)")
	f.P("RET")
	begin("floats", "", 24)
	loop(func() {
		load(1, 0)
		each("scvtf v%d.4s, v%d.4s", 0, 0)
		store(0, 0)
	})
	f.P("RET")
	begin("sum", "", 24)
	loop(func() {
		f.N("ldr q8, [x1], #16")
		f.N("ldp q0, q1, [x0]")
		f.N("ldp q2, q3, [x0, #32]")
		f.N("ushll v9.8h, v8.8b, #0")
		f.N("ushll2 v10.8h, v8.16b, #0")
		for i := range 2 {
			f.N("uaddw v%d.4s, v%d.4s, v%d.4h", 2*i, 2*i, 9+i)
			f.N("uaddw2 v%d.4s, v%d.4s, v%d.8h", 2*i+1, 2*i+1, 9+i)
		}
		store(0, 0)
	})
	f.P("RET")
	// The table is V16 to V31; an index beyond its 64 bytes leaves a byte as it is.
	begin("lookup", ", table unsafe.Pointer", 32)
	f.Args("R3", "table+24")
	for i := 16; i < 32; i += 4 {
		load(3, i)
	}
	f.N("movi v3.16b, #64")
	loop(func() {
		f.N("ldr q0, [x1], #16")
		f.N("tbl v1.16b, {v16.16b, v17.16b, v18.16b, v19.16b}, v0.16b")
		for i := 20; i < 32; i += 4 {
			f.N("sub v0.16b, v0.16b, v3.16b")
			f.N("tbx v1.16b, {v%d.16b, v%d.16b, v%d.16b, v%d.16b}, v0.16b", i, i+1, i+2, i+3)
		}
		f.N("str q1, [x0], #16")
	})
	f.P("RET")
	for _, product := range []bool{false, true} {
		for _, sign := range []string{"u", "s"} {
			neonBinary(f, product, sign, each, words, splat, loop, bytes)
		}
	}
	f.Write()
}

// neonBinary writes the sum of bytes, with fused operations, or their product.
func neonBinary(f *neon.File, product bool, sign string, each func(string, ...int), words func(string, int, int), splat func(string, int), loop func(func()), bytes func()) {
	name := "neonsum"
	if product {
		name = "neonproduct"
	}
	f.Func(name+strings.ToUpper(sign)+"8", "dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32", 60)
	f.Args("R0", "dst+0", "R1", "a+8", "R3", "b+16", "R2", "n+24")
	for i, s := range []string{"fa+32", "fb+36", "c+40", "za+44", "zb+48", "lo+52", "hi+56"} {
		splat(s, 24+i)
	}
	f.N("movi v31.4s, #0") // c has the zero point
	for v := 29; v <= 30; v++ {
		f.N("scvtf v%d.4s, v%d.4s", v, v)
	}
	loop(func() {
		f.N("ldr q16, [x1], #16")
		f.N("ldr q17, [x3], #16")
		words(sign, 16, 0)
		words(sign, 17, 4)
		if product {
			each("sub v%d.4s, v%d.4s, v27.4s", 0, 0)
			each("sub v%d.4s, v%d.4s, v28.4s", 4, 4)
		}
		each("scvtf v%d.4s, v%d.4s", 0, 0)
		each("scvtf v%d.4s, v%d.4s", 4, 4)
		if product {
			each("fmul v%d.4s, v%d.4s, v%d.4s", 0, 0, 4)
			each("fmul v%d.4s, v%d.4s, v24.4s", 0, 0)
			each("fadd v%d.4s, v%d.4s, v26.4s", 0, 0)
		} else {
			each("mov v%d.16b, v26.16b", 16)
			each("fmla v%d.4s, v%d.4s, v25.4s", 16, 4)
			each("fmla v%d.4s, v%d.4s, v24.4s", 16, 0)
			each("mov v%d.16b, v%d.16b", 0, 16)
		}
		bytes()
		f.N("str q0, [x0], #16")
	})
	f.P("RET")
}
