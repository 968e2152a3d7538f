package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

const neonTileSig = "kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool"

func neonAll() {
	f := neon.New("gemm")
	for _, e := range []elem{f32, f64} {
		for nv := 2; nv <= 4; nv += 2 {
			prefix := fmt.Sprintf("neon%sv%dx", e.name, nv)
			for mr := 1; mr <= 6; mr++ {
				neonTile(f, fmt.Sprint(prefix, mr), mr, nv, e)
			}
			f.Table(prefix, 6, neonTileSig)
		}
	}
	for mr := 1; mr <= 3; mr++ {
		neonFew(f, mr)
	}
	neonAxpy(f, 1)
	neonAxpy(f, 8)
	for rows := 1; rows <= 4; rows++ {
		neonDots(f, rows)
	}
	neonFinish(f)
	neonPeak(f)
	neonTrans(f)
	f.Write()
}

// neonTile writes a tile of mr rows and nv vectors. A vector of each row of A
// has the factors of several k, taken one by one: of 6 x 4 vectors of float32,
// 96 multiply-adds for 22 loads. Sums V0 to V23, A V24 to V29, B V30 and V31.
// R0 kc, R1 to R6 rows of A, R7 b, R8 ldb, R9 c, R10 ldc, R11 w.
func neonTile(f *neon.File, name string, mr, nv int, e elem) {
	frame := mr*nv*16 + 8
	f.Frame(name, neonTileSig, frame, 65)
	lanes := 16 / e.size
	arr, letter := "4s", "s"
	if e.size == 8 {
		arr, letter = "2d", "d"
	}
	f.Args("R0", "kc+0", "R1", "a+8", "R12", "lda+16", "R7", "b+24", "R8", "ldb+32", "R9", "c+40", "R10", "ldc+48", "R11", "w+56")
	for i := 1; i < mr; i++ {
		f.P("ADD R12, R%d, R%d", i, i+1)
	}
	for i := range mr * nv {
		f.Zero(i)
	}
	step := func(u int) {
		for x := range nv {
			b := 30 + x&1
			f.N("ldr q%d, [x7, #%d]", b, 16*x)
			for i := range mr {
				f.N("fmla v%d.%s, v%d.%s, v%d.%s[%d]", i*nv+x, arr, b, arr, 24+i, letter, u)
			}
		}
		f.P("ADD R8, R7")
	}
	f.P("SUBS $%d, R0", lanes)
	f.P("BLT tail")
	f.P("PCALIGN $16")
	f.L("loop")
	for i := range mr {
		f.N("ldr q%d, [x%d], #16", 24+i, 1+i)
	}
	for u := range lanes {
		step(u)
	}
	f.P("SUBS $%d, R0", lanes)
	f.P("BGE loop")
	f.L("tail")
	f.P("ADDS $%d, R0", lanes)
	f.P("BEQ end")
	f.L("one")
	for i := range mr {
		f.N("ldr %s%d, [x%d], #%d", letter, 24+i, 1+i, e.size)
	}
	step(0)
	f.P("SUBS $1, R0")
	f.P("BNE one")
	f.L("end")
	f.P("MOVBU acc+64(FP), R12")
	f.P("CMP $%d, R11", nv*lanes)
	f.P("BNE edge")
	f.P("CBZ R12, store")
	f.P("MOVD R9, R13")
	for i := range mr {
		for x := 0; x < nv; x += 2 {
			f.N("ldp q30, q31, [x13, #%d]", 16*x)
			f.N("fadd v%d.%s, v%d.%s, v30.%s", i*nv+x, arr, i*nv+x, arr, arr)
			f.N("fadd v%d.%s, v%d.%s, v31.%s", i*nv+x+1, arr, i*nv+x+1, arr, arr)
		}
		f.P("ADD R10, R13")
	}
	f.L("store")
	for i := range mr {
		for x := 0; x < nv; x += 2 {
			f.N("stp q%d, q%d, [x9, #%d]", i*nv+x, i*nv+x+1, 16*x)
		}
		f.P("ADD R10, R9")
	}
	f.P("RET")
	// Fewer columns: by way of the stack. R2 row there, R3 rows left, R4 in a
	// row, R5 in C, R6 columns left.
	f.L("edge")
	f.P("MOVD $buf-%d(SP), R2", frame)
	for i := 0; i < mr*nv; i += 2 {
		f.N("stp q%d, q%d, [x2, #%d]", i, i+1, 16*i)
	}
	f.P("MOVD $%d, R3", mr)
	f.L("row")
	f.P("MOVD R2, R4")
	f.P("MOVD R9, R5")
	f.P("MOVD R11, R6")
	f.L("four")
	f.P("SUBS $%d, R6", lanes)
	f.P("BLT rest")
	f.N("ldr q0, [x4], #16")
	f.P("CBZ R12, put4")
	f.N("ldr q1, [x5]")
	f.N("fadd v0.%s, v0.%s, v1.%s", arr, arr, arr)
	f.L("put4")
	f.N("str q0, [x5], #16")
	f.P("B four")
	f.L("rest")
	f.P("ADDS $%d, R6", lanes)
	f.P("BEQ next")
	f.L("each")
	f.N("ldr %s0, [x4], #%d", letter, e.size)
	f.P("CBZ R12, put1")
	f.N("ldr %s1, [x5]", letter)
	f.N("fadd %s0, %s0, %s1", letter, letter, letter)
	f.L("put1")
	f.N("str %s0, [x5], #%d", letter, e.size)
	f.P("SUBS $1, R6")
	f.P("BNE each")
	f.L("next")
	f.P("ADD $%d, R2", nv*16)
	f.P("ADD R10, R9")
	f.P("SUBS $1, R3")
	f.P("BNE row")
	f.P("RET")
}

// neonFew writes the product of mr rows and one panel of packed B, which is read
// from one end to the other.
func neonFew(f *neon.File, mr int) {
	f.Func(fmt.Sprint("neonFew", mr), "kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldp int, c unsafe.Pointer, ldc int, acc bool", 57)
	f.Args("R0", "kc+0", "R1", "a+8", "R12", "lda+16", "R7", "b+24", "R9", "c+40", "R10", "ldc+48")
	f.P("MOVBU acc+56(FP), R11")
	for i := 1; i < mr; i++ {
		f.P("ADD R12, R%d, R%d", i, i+1)
	}
	sets := 1 + 1/mr // a single row has two sums of each column
	for i := range sets * mr * 8 {
		f.Zero(i)
	}
	step := func(u int) {
		for x := 0; x < 8; x += 2 {
			b := 28 + x&2
			f.N("ldp q%d, q%d, [x7, #%d]", b, b+1, u*128+16*x)
			for i := range mr {
				for y := range 2 {
					f.N("fmla v%d.4s, v%d.4s, v%d.s[%d]", (u%sets*mr+i)*8+x+y, b+y, 25+i, u)
				}
			}
		}
	}
	f.P("SUBS $4, R0")
	f.P("BLT tail")
	f.P("PCALIGN $16")
	f.L("loop")
	for i := range mr {
		f.N("ldr q%d, [x%d], #16", 25+i, 1+i)
	}
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
		f.N("ldr s%d, [x%d], #4", 25+i, 1+i)
	}
	step(0)
	f.P("ADD $128, R7")
	f.P("SUBS $1, R0")
	f.P("BNE one")
	f.L("end")
	if sets == 2 {
		for i := range 8 * mr {
			f.N("fadd v%d.4s, v%d.4s, v%d.4s", i, i, 8*mr+i)
		}
	}
	for i := range mr {
		put := fmt.Sprint("put", i)
		f.P("CBZ R11, %s", put)
		for x := 0; x < 8; x += 2 {
			f.N("ldp q28, q29, [x9, #%d]", 16*x)
			f.N("fadd v%d.4s, v%d.4s, v28.4s", i*8+x, i*8+x)
			f.N("fadd v%d.4s, v%d.4s, v29.4s", i*8+x+1, i*8+x+1)
		}
		f.L(put)
		for x := 0; x < 8; x += 2 {
			f.N("stp q%d, q%d, [x9, #%d]", i*8+x, i*8+x+1, 16*x)
		}
		f.P("ADD R10, R9")
	}
	f.P("RET")
}

// neonAxpy writes y[j] += Σ x[k]·b[k][j] over some rows k, n elements of each.
// R1 to R8 rows, R9 y.
func neonAxpy(f *neon.File, rows int) {
	f.Func(fmt.Sprint("neonAxpy", rows), "n int, x, b unsafe.Pointer, ldb int, y unsafe.Pointer", 40)
	f.Args("R0", "n+0", "R10", "x+8", "R1", "b+16", "R11", "ldb+24", "R9", "y+32")
	for i := 1; i < rows; i++ {
		f.P("ADD R11, R%d, R%d", i, i+1)
	}
	if rows == 1 {
		f.N("ldr s30, [x10]")
	} else {
		f.N("ldp q30, q31, [x10]")
	}
	// V0 to V3 are the sums of even rows, V4 to V7 those of odd ones.
	sum := func(nv int, load func(i int)) {
		for i := range rows {
			load(i)
			for v := range nv {
				f.N("fm%s v%d.4s, v%d.4s, v%d.s[%d]", []string{"la", "ul"}[b2i(i == 1)], i%2*4+v, 16+v, 30+i/4, i%4)
			}
		}
		if rows > 1 {
			for v := range nv {
				f.N("fadd v%d.4s, v%d.4s, v%d.4s", v, v, 4+v)
			}
		}
	}
	f.P("SUBS $16, R0")
	f.P("BLT vectors")
	f.P("PCALIGN $16")
	f.L("loop")
	f.N("ldp q0, q1, [x9]")
	f.N("ldp q2, q3, [x9, #32]")
	sum(4, func(i int) {
		f.N("ldp q16, q17, [x%d], #32", 1+i)
		f.N("ldp q18, q19, [x%d], #32", 1+i)
	})
	f.N("stp q0, q1, [x9], #32")
	f.N("stp q2, q3, [x9], #32")
	f.P("SUBS $16, R0")
	f.P("BGE loop")
	f.L("vectors")
	f.P("ADD $16, R0")
	f.L("vector")
	f.P("SUBS $4, R0")
	f.P("BLT rest")
	f.N("ldr q0, [x9]")
	sum(1, func(i int) { f.N("ldr q16, [x%d], #16", 1+i) })
	f.N("str q0, [x9], #16")
	f.P("B vector")
	f.L("rest")
	f.P("ADDS $4, R0")
	f.P("BEQ done")
	f.L("each")
	f.N("ldr s0, [x9]")
	sum(1, func(i int) { f.N("ldr s16, [x%d], #4", 1+i) })
	f.N("str s0, [x9], #4")
	f.P("SUBS $1, R0")
	f.P("BNE each")
	f.L("done")
	f.P("RET")
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// neonDots writes out[i] = Σ x[i][k]·y[k] for some rows of x.
func neonDots(f *neon.File, rows int) {
	sets := []int{0, 8, 4, 4, 4}[rows] // vectors of a turn, each with sums of its own
	if rows == 1 {
		f.Func("neonDot", "n int, x, y unsafe.Pointer) float32", 28)
		f.Args("R0", "n+0", "R1", "x+8", "R5", "y+16")
	} else {
		f.Func(fmt.Sprint("neonDots", rows), "n int, x unsafe.Pointer, ldx int, y, out unsafe.Pointer", 40)
		f.Args("R0", "n+0", "R1", "x+8", "R6", "ldx+16", "R5", "y+24", "R7", "out+32")
		for i := 1; i < rows; i++ {
			f.P("ADD R6, R%d, R%d", i, i+1)
		}
	}
	for i := range sets * rows {
		f.Zero(i)
	}
	f.P("SUBS $%d, R0", 4*sets)
	f.P("BLT vectors")
	f.P("PCALIGN $16")
	f.L("loop")
	for s := 0; s < sets; s += 4 {
		f.N("ldp q24, q25, [x5], #32")
		f.N("ldp q26, q27, [x5], #32")
		for i := range rows {
			f.N("ldp q28, q29, [x%d], #32", 1+i)
			f.N("ldp q30, q31, [x%d], #32", 1+i)
			for v := range 4 {
				f.N("fmla v%d.4s, v%d.4s, v%d.4s", i*sets+s+v, 24+v, 28+v)
			}
		}
	}
	f.P("SUBS $%d, R0", 4*sets)
	f.P("BGE loop")
	f.L("vectors")
	f.P("ADD $%d, R0", 4*sets)
	step := func(reg string, size int) {
		f.N("ldr %s24, [x5], #%d", reg, size)
		for i := range rows {
			f.N("ldr %s28, [x%d], #%d", reg, 1+i, size)
			f.N("fmla v%d.4s, v24.4s, v28.4s", i*sets)
		}
	}
	f.L("vector")
	f.P("SUBS $4, R0")
	f.P("BLT rest")
	step("q", 16)
	f.P("B vector")
	f.L("rest")
	f.P("ADDS $4, R0")
	f.P("BEQ sum")
	f.L("each")
	step("s", 4)
	f.P("SUBS $1, R0")
	f.P("BNE each")
	f.L("sum")
	for i := range rows {
		for s := sets / 2; s > 0; s /= 2 {
			for v := range s {
				f.N("fadd v%d.4s, v%d.4s, v%d.4s", i*sets+v, i*sets+v, i*sets+v+s)
			}
		}
		f.N("faddp v%d.4s, v%d.4s, v%d.4s", i*sets, i*sets, i*sets)
		f.N("faddp s%d, v%d.2s", i*sets, i*sets)
		if rows == 1 {
			f.P("FMOVS F0, ret+24(FP)")
		} else {
			f.N("str s%d, [x7, #%d]", i*sets, 4*i)
		}
	}
	f.P("RET")
}

// neonFinish writes c = min(max(scale·c + term + col + z, lo), hi).
func neonFinish(f *neon.File) {
	f.Func("neonFinish", "n int, c, col, z unsafe.Pointer, scale, term, lo, hi float32", 48)
	f.Args("R0", "n+0", "R1", "c+8", "R2", "col+16", "R3", "z+24")
	for i, s := range []string{"scale+32", "term+36", "lo+40", "hi+44"} {
		f.P("MOVWU %s(FP), R4", s)
		f.N("dup v%d.4s, w4", 28+i)
	}
	body := func(n int, part bool) {
		load := func(v, x int) {
			if part {
				f.LoadPart(v, x, 0)
			} else {
				for i := 0; i < n; i += 2 {
					if n == 1 {
						f.N("ldr q%d, [x%d]", v, x)
					} else {
						f.N("ldp q%d, q%d, [x%d, #%d]", v+i, v+i+1, x, 16*i)
					}
				}
			}
		}
		each := func(format string, v ...any) {
			for i := range n {
				f.N(format, append([]any{i, i}, v...)...)
			}
		}
		load(0, 1)
		each("fmul v%d.4s, v%d.4s, v28.4s")
		each("fadd v%d.4s, v%d.4s, v29.4s")
		for _, x := range []int{2, 3} {
			skip := f.Label("none")
			f.P("CBZ R%d, %s", x, skip)
			load(4, x)
			for i := range n {
				f.N("fadd v%d.4s, v%d.4s, v%d.4s", i, i, 4+i)
			}
			f.P("ADD $%d, R%d", 16*n, x)
			f.L(skip)
		}
		// What is not below lo stays: NaN, and -0 of lo 0.
		for i := range n {
			f.N("fcmgt v%d.4s, v30.4s, v%d.4s", 4+i, i)
			f.N("bit v%d.16b, v30.16b, v%d.16b", i, 4+i)
			f.N("fcmgt v%d.4s, v%d.4s, v31.4s", 4+i, i)
			f.N("bit v%d.16b, v31.16b, v%d.16b", i, 4+i)
		}
		switch {
		case part:
			f.StorePart(0, 1, 0)
		case n == 1:
			f.N("str q0, [x1], #16")
		default:
			for i := 0; i < n; i += 2 {
				f.N("stp q%d, q%d, [x1], #32", i, i+1)
			}
		}
	}
	f.P("SUBS $16, R0")
	f.P("BLT vectors")
	f.L("loop")
	body(4, false)
	f.P("SUBS $16, R0")
	f.P("BGE loop")
	f.L("vectors")
	f.P("ADD $16, R0")
	f.L("vector")
	f.P("SUBS $4, R0")
	f.P("BLT rest")
	body(1, false)
	f.P("B vector")
	f.L("rest")
	f.P("ADDS $4, R0")
	f.P("BEQ done")
	body(1, true)
	f.L("done")
	f.P("RET")
}

// neonTrans writes the transpose of 8 rows of 8·blocks elements of 4 bytes.
func neonTrans(f *neon.File) {
	f.Func("neonTrans", transSig, 40)
	f.Args("R0", "blocks+0", "R1", "src+8", "R2", "lds+16", "R3", "dst+24", "R4", "ldd+32")
	f.L("loop")
	f.Transpose8()
	f.P("ADD $32, R1")
	f.P("SUBS $1, R0")
	f.P("BNE loop")
	f.P("RET")
}

// neonPeak writes n rounds of 16 multiply-adds that wait for nothing.
func neonPeak(f *neon.File) {
	f.Func("neonPeak", "n int", 8)
	f.Args("R0", "n+0")
	for i := range 18 {
		f.Zero(i)
	}
	f.P("PCALIGN $16")
	f.L("loop")
	for i := range 16 {
		f.N("fmla v%d.4s, v16.4s, v17.4s", i)
	}
	f.P("SUBS $1, R0")
	f.P("BNE loop")
	f.P("RET")
}
