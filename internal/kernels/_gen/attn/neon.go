package main

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

func neonAll() {
	f := neon.New("attn")
	neonLargest(f)
	neonExpSum(f)
	neonScale(f)
	neonDots(f)
	neonWeigh(f)
	neonRotate(f)
	f.Func("transposeNEON", "dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds int", 32)
	f.Args("R3", "dst+0", "R4", "ldd+8", "R1", "src+16", "R2", "lds+24")
	f.Transpose8()
	f.P("RET")
	f.Write()
}

// greatest returns the greatest of V0 to V3; NaN does not count.
func greatest(f *neon.File, ret int) {
	for _, p := range [][2]int{{0, 1}, {2, 3}, {0, 2}} {
		f.N("fmaxnm v%d.4s, v%d.4s, v%d.4s", p[0], p[0], p[1])
	}
	f.N("fmaxnmv s0, v0.4s")
	f.P("FMOVS F0, ret+%d(FP)", ret)
	f.P("RET")
}

func neonLargest(f *neon.File) {
	bits := math.Float32bits(float32(math.Inf(-1)))
	begin := func() {
		f.SplatBits(31, bits)
		for i := range 4 {
			f.N("mov v%d.16b, v31.16b", i)
		}
	}
	f.Func("largestNEON", "s unsafe.Pointer, n int) float32", 20)
	f.Args("R1", "s+0", "R0", "n+8")
	begin()
	f.L("loop")
	f.N("ldp q4, q5, [x1], #32")
	f.N("ldp q6, q7, [x1], #32")
	for i := range 4 {
		f.N("fmaxnm v%d.4s, v%d.4s, v%d.4s", i, i, 4+i)
	}
	f.P("SUBS $16, R0")
	f.P("BGT loop")
	greatest(f, 16)
	// The others take multiples of 8.
	for _, keep := range []bool{false, true} {
		name, arg := "addLargestNEON", "add"
		if keep {
			name, arg = "keepLargestNEON", "keep"
		}
		f.Func(name, "s, "+arg+" unsafe.Pointer, n int) float32", 28)
		f.Args("R1", "s+0", "R2", arg+"+8", "R0", "n+16")
		begin()
		f.P("CBZ R0, end")
		f.L("loop")
		f.N("ldp q4, q5, [x1]")
		if keep {
			f.N("ldr d8, [x2], #8")
			f.N("ushll v8.8h, v8.8b, #0")
			f.N("ushll2 v7.4s, v8.8h, #0")
			f.N("ushll v6.4s, v8.4h, #0")
		} else {
			f.N("ldp q6, q7, [x2], #32")
		}
		for i := range 2 {
			if keep {
				f.N("cmeq v%d.4s, v%d.4s, #0", 6+i, 6+i)
			} else {
				f.N("fadd v%d.4s, v%d.4s, v%d.4s", 4+i, 4+i, 6+i)
				f.N("fcmeq v%d.4s, v%d.4s, v31.4s", 6+i, 6+i)
			}
			f.N("bit v%d.16b, v31.16b, v%d.16b", 4+i, 6+i)
			f.N("fmaxnm v%d.4s, v%d.4s, v%d.4s", i, i, 4+i)
		}
		f.N("stp q4, q5, [x1], #32")
		f.P("SUBS $8, R0")
		f.P("BNE loop")
		f.L("end")
		greatest(f, 24)
	}
}

// neonExpSum replaces n floats, a multiple of 16, by e^(s-m). Sums V0 to V3, x V4
// to V7, n V8 to V11, p V12 to V19 (steps go to and fro), constants from V20 on.
func neonExpSum(f *neon.File) {
	f.Func("expSumNEON", "s unsafe.Pointer, n int, m float32) float32", 28)
	f.Args("R1", "s+0", "R0", "n+8")
	f.P("MOVWU m+16(FP), R2")
	f.N("dup v31.4s, w2")
	const one, lowest, log2, hi, lo, poly = 20, 21, 22, 23, 24, 25
	for i, c := range append([]float32{1, -87.33654, math.Log2E, ln2hi, ln2lo}, expPoly...) {
		f.Splat(one+i, c)
	}
	f.Zero(0, 1, 2, 3)
	each := func(format string, v ...int) {
		for i := range 4 {
			args := make([]any, len(v))
			for k, x := range v {
				args[k] = x + i
			}
			f.N(format, args...)
		}
	}
	f.L("loop")
	f.N("ldp q4, q5, [x1]")
	f.N("ldp q6, q7, [x1, #32]")
	each("fsub v%d.4s, v%d.4s, v31.4s", 4, 4)
	each("fmax v%d.4s, v%d.4s, v21.4s", 12, 4) // NaN stays
	each("fcmgt v%d.4s, v21.4s, v%d.4s", 4, 4) // what is below becomes 0
	each("fmul v%d.4s, v%d.4s, v22.4s", 8, 12)
	each("frintn v%d.4s, v%d.4s", 8, 8)
	each("fmls v%d.4s, v%d.4s, v23.4s", 12, 8)
	each("fmls v%d.4s, v%d.4s, v24.4s", 12, 8)
	// Two vectors at a time: p goes to and fro between V16 and V18.
	for h := 0; h < 4; h += 2 {
		from := poly + 4
		for k, c := range []int{poly + 3, poly + 2, poly + 1, poly, one, one} {
			to := 16 + k%2*2
			for i := range 2 {
				f.N("mov v%d.16b, v%d.16b", to+i, c)
				src := from
				if k > 0 {
					src += i
				}
				f.N("fmla v%d.4s, v%d.4s, v%d.4s", to+i, src, 12+h+i)
			}
			from = to
		}
		for i := range 2 {
			f.N("mov v%d.16b, v%d.16b", 12+h+i, from+i)
		}
	}
	each("fcvtns v%d.4s, v%d.4s", 8, 8)
	each("shl v%d.4s, v%d.4s, #23", 8, 8)
	each("add v%d.4s, v%d.4s, v20.4s", 8, 8) // 2^n
	each("fmul v%d.4s, v%d.4s, v%d.4s", 12, 12, 8)
	each("bic v%d.16b, v%d.16b, v%d.16b", 12, 12, 4)
	each("fadd v%d.4s, v%d.4s, v%d.4s", 0, 0, 12)
	f.N("stp q12, q13, [x1], #32")
	f.N("stp q14, q15, [x1], #32")
	f.P("SUBS $16, R0")
	f.P("BGT loop")
	for _, p := range [][2]int{{0, 1}, {2, 3}, {0, 2}} {
		f.N("fadd v%d.4s, v%d.4s, v%d.4s", p[0], p[0], p[1])
	}
	f.N("faddp v0.4s, v0.4s, v0.4s")
	f.N("faddp s0, v0.2s")
	f.P("FMOVS F0, ret+24(FP)")
	f.P("RET")
}

func neonScale(f *neon.File) {
	f.Func("scaleNEON", "dst, src unsafe.Pointer, n int, f float32", 28)
	f.Args("R1", "dst+0", "R2", "src+8", "R0", "n+16")
	f.P("FMOVS f+24(FP), F31")
	f.P("SUBS $16, R0")
	f.P("BLT vectors")
	f.L("loop")
	f.N("ldp q0, q1, [x2], #32")
	f.N("ldp q2, q3, [x2], #32")
	for i := range 4 {
		f.N("fmul v%d.4s, v%d.4s, v31.s[0]", i, i)
	}
	f.N("stp q0, q1, [x1], #32")
	f.N("stp q2, q3, [x1], #32")
	f.P("SUBS $16, R0")
	f.P("BGE loop")
	f.L("vectors")
	f.P("ADD $16, R0")
	f.L("vector")
	f.P("SUBS $4, R0")
	f.P("BLT rest")
	f.N("ldr q0, [x2], #16")
	f.N("fmul v0.4s, v0.4s, v31.s[0]")
	f.N("str q0, [x1], #16")
	f.P("B vector")
	f.L("rest")
	f.P("ADDS $4, R0")
	f.P("BEQ end")
	f.LoadPart(0, 2, 0)
	f.N("fmul v0.4s, v0.4s, v31.s[0]")
	f.StorePart(0, 1, 0)
	f.L("end")
	f.P("RET")
}

// neonDots writes products of q with rows of k, four rows at a time, each with
// two sums. R0 rows left, R1 q, R2 d, R3 k, R4 ldk, R5 s; R6 elements left, R7 q,
// R8 to R11 rows.
func neonDots(f *neon.File) {
	f.Func("dotsNEON", "q unsafe.Pointer, d int, k unsafe.Pointer, ldk, n int, s unsafe.Pointer", 48)
	f.Args("R1", "q+0", "R2", "d+8", "R3", "k+16", "R4", "ldk+24", "R0", "n+32", "R5", "s+40")
	products := func(rows int) {
		tag := fmt.Sprint("x", rows)
		f.P("MOVD R3, R8")
		for i := 1; i < rows; i++ {
			f.P("ADD R4, R%d, R%d", 7+i, 8+i)
		}
		f.P("ADD R4, R%d, R3", 7+rows)
		for i := range 2 * rows {
			f.Zero(i)
		}
		f.P("MOVD R1, R7")
		f.P("SUBS $8, R2, R6")
		f.P("BLT four%s", tag)
		f.L("eight" + tag)
		f.N("ldp q16, q17, [x7], #32")
		for i := range rows {
			f.N("ldp q18, q19, [x%d], #32", 8+i)
			f.N("fmla v%d.4s, v18.4s, v16.4s", 2*i)
			f.N("fmla v%d.4s, v19.4s, v17.4s", 2*i+1)
		}
		f.P("SUBS $8, R6")
		f.P("BGE eight%s", tag)
		f.L("four" + tag)
		f.P("TBZ $2, R6, rest%s", tag)
		f.N("ldr q16, [x7], #16")
		for i := range rows {
			f.N("ldr q18, [x%d], #16", 8+i)
			f.N("fmla v%d.4s, v18.4s, v16.4s", 2*i)
		}
		f.L("rest" + tag)
		f.P("ANDS $3, R6")
		f.P("BEQ sum%s", tag)
		f.LoadPart(16, 7, 6)
		for i := range rows {
			f.LoadPart(18, 8+i, 6)
			f.N("fmla v%d.4s, v18.4s, v16.4s", 2*i)
		}
		f.L("sum" + tag)
		for i := range rows {
			f.N("fadd v%d.4s, v%d.4s, v%d.4s", i, 2*i, 2*i+1)
		}
		f.N("faddp v0.4s, v0.4s, v%d.4s", min(1, rows-1))
		if rows == 1 {
			f.N("faddp s0, v0.2s")
			f.N("str s0, [x5], #4")
			return
		}
		f.N("faddp v2.4s, v2.4s, v3.4s")
		f.N("faddp v0.4s, v0.4s, v2.4s")
		f.N("str q0, [x5], #16")
	}
	f.L("rows")
	f.P("SUBS $4, R0")
	f.P("BLT left")
	products(4)
	f.P("B rows")
	f.L("left")
	f.P("ADDS $4, R0")
	f.P("BEQ end")
	f.L("row")
	products(1)
	f.P("SUBS $1, R0")
	f.P("BNE row")
	f.L("end")
	f.P("RET")
}

// neonWeigh adds weighted rows of v to y, 32 elements at a time, then 4. R1 p, R0
// n, R3 v, R4 ldv, R5 y, R6 w; R7 row, R8 p, R9 rows left.
func neonWeigh(f *neon.File) {
	f.Func("weighNEON", "p unsafe.Pointer, n int, v unsafe.Pointer, ldv int, y unsafe.Pointer, w int", 48)
	f.Args("R1", "p+0", "R0", "n+8", "R3", "v+16", "R4", "ldv+24", "R5", "y+32", "R6", "w+40")
	block := func(nv int, part bool) {
		tag := f.Label("b")
		load := func(v, x int) {
			switch {
			case part:
				f.LoadPart(v, x, 6)
			case nv == 1:
				f.N("ldr q%d, [x%d]", v, x)
			default:
				for i := 0; i < nv; i += 2 {
					f.N("ldp q%d, q%d, [x%d, #%d]", v+i, v+i+1, x, 16*i)
				}
			}
		}
		// Even rows in V0 on, odd ones in V8 on.
		load(0, 5)
		for i := range nv {
			f.Zero(8 + i)
		}
		row := func(set int) {
			f.N("ldr s24, [x8], #4")
			load(16, 7)
			f.P("ADD R4, R7")
			for i := range nv {
				f.N("fmla v%d.4s, v%d.4s, v24.s[0]", 8*set+i, 16+i)
			}
		}
		f.P("MOVD R3, R7")
		f.P("MOVD R1, R8")
		f.P("SUBS $2, R0, R9")
		f.P("BLT last%s", tag)
		f.L("rows" + tag)
		row(0)
		row(1)
		f.P("SUBS $2, R9")
		f.P("BGE rows%s", tag)
		f.L("last" + tag)
		f.P("TBZ $0, R9, sum%s", tag)
		row(0)
		f.L("sum" + tag)
		for i := range nv {
			f.N("fadd v%d.4s, v%d.4s, v%d.4s", i, i, 8+i)
		}
		switch {
		case part:
			f.StorePart(0, 5, 6)
			return
		case nv == 1:
			f.N("str q0, [x5], #16")
		default:
			for i := 0; i < nv; i += 2 {
				f.N("stp q%d, q%d, [x5], #32", i, i+1)
			}
		}
		f.P("ADD $%d, R3", 16*nv)
	}
	for _, nv := range []int{8, 1} {
		loop, done := fmt.Sprint("loop", nv), fmt.Sprint("done", nv)
		f.P("SUBS $%d, R6", 4*nv)
		f.P("BLT %s", done)
		f.L(loop)
		block(nv, false)
		f.P("SUBS $%d, R6", 4*nv)
		f.P("BGE %s", loop)
		f.L(done)
		f.P("ADDS $%d, R6", 4*nv)
	}
	f.P("BEQ end")
	block(1, true)
	f.L("end")
	f.P("RET")
}

// neonRotate writes the rotations, of multiples of 8 elements.
func neonRotate(f *neon.File) {
	// turn sets V4 = c·V0 - s·V1 and V5 = s·V0 + c·V1.
	turn := func() {
		f.N("fmul v4.4s, v0.4s, v2.4s")
		f.N("fmls v4.4s, v1.4s, v3.4s")
		f.N("fmul v5.4s, v0.4s, v3.4s")
		f.N("fmla v5.4s, v1.4s, v2.4s")
	}
	f.Func("rotateNEON", "dst, src unsafe.Pointer, half int, c, s unsafe.Pointer, n int", 48)
	f.Args("R1", "dst+0", "R2", "src+8", "R5", "half+16", "R3", "c+24", "R4", "s+32", "R0", "n+40")
	f.P("CBZ R0, end")
	f.P("ADD R5, R1, R6")
	f.P("ADD R5, R2, R7")
	f.L("loop")
	f.N("ldr q0, [x2], #16")
	f.N("ldr q1, [x7], #16")
	f.N("ldr q2, [x3], #16")
	f.N("ldr q3, [x4], #16")
	turn()
	f.N("str q4, [x1], #16")
	f.N("str q5, [x6], #16")
	f.P("SUBS $4, R0")
	f.P("BNE loop")
	f.L("end")
	f.P("RET")
	f.Func("rotatePairsNEON", "dst, src, c, s unsafe.Pointer, n int", 40)
	f.Args("R1", "dst+0", "R2", "src+8", "R3", "c+16", "R4", "s+24", "R0", "n+32")
	f.P("CBZ R0, end")
	f.L("loop")
	f.N("ldp q6, q7, [x2], #32")
	f.N("uzp1 v0.4s, v6.4s, v7.4s")
	f.N("uzp2 v1.4s, v6.4s, v7.4s")
	f.N("ldr q2, [x3], #16")
	f.N("ldr q3, [x4], #16")
	turn()
	f.N("zip1 v6.4s, v4.4s, v5.4s")
	f.N("zip2 v7.4s, v4.4s, v5.4s")
	f.N("stp q6, q7, [x1], #32")
	f.P("SUBS $8, R0")
	f.P("BNE loop")
	f.L("end")
	f.P("RET")
}
