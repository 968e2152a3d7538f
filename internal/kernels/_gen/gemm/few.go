package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

const fewSig = "kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldp int, c unsafe.Pointer, ldc int, acc bool"

// few writes the product of mr rows and several panels of packed B that lie ldp
// bytes apart and are read side by side. Memory is what limits it: many streams,
// which the processor follows by itself, give the most. With more rows there are fewer
// streams, and prefetches pay.
func few(a *asm.File, name, reg string, mr, panels, unroll int) {
	stub(name, fewSig)
	a.Func(name, 57)
	bytes, nv := 64, 2
	if reg == "Y" {
		bytes, nv = 32, 4
	}
	a.P("MOVQ kc+0(FP), CX")
	a.P("MOVQ a+8(FP), SI")
	a.P("MOVQ lda+16(FP), AX")
	a.P("MOVQ b+24(FP), DI")
	a.P("MOVQ ldp+32(FP), R13")
	rows := []string{"SI", "R9"}[:(mr+2)/3]
	if len(rows) > 1 {
		a.P("LEAQ (AX)(AX*2), R9")
		a.P("ADDQ SI, R9")
	}
	streams := []string{"DI", "R10", "R11", "R12"}[:panels]
	for i := 1; i < panels; i++ {
		a.P("LEAQ (%s)(R13*1), %s", streams[i-1], streams[i])
	}
	// acc(u, i, p, v) is the sum of row i, panel p, vector v; u tells copies apart.
	acc := func(u, i, p, v int) int { return ((u*mr+i)*panels+p)*nv + v }
	sums := unroll * mr * panels * nv
	bc := func(i int) int { return sums + i } // broadcasts
	for i := range sums {
		a.P("VXORPS Y%d, Y%d, Y%d", i%16, i%16, i%16)
		if i >= 16 {
			a.P("VPXORD Z%d, Z%d, Z%d", i, i, i)
		}
	}
	step := func(u int) {
		for i := range mr {
			a.P("VBROADCASTSS %d(%s)%s, %s%d", u*4, rows[i/3], []string{"", "(AX*1)", "(AX*2)"}[i%3], reg, bc(i))
		}
		for p, s := range streams {
			for v := range nv {
				at := fmt.Sprintf("%d(%s)", u*128+v*bytes, s)
				if mr == 1 {
					a.P("VFMADD231PS %s, %s%d, %s%d", at, reg, bc(0), reg, acc(u%unroll, 0, p, v))
					continue
				}
				b := bc(mr)
				a.P("VMOVUPS %s, %s%d", at, reg, b)
				if mr > 2 && reg == "Z" && panels > 1 {
					a.P("PREFETCHT2 %d(%s)", streamAhead+u*128+v*bytes, s)
				}
				for i := range mr {
					a.P("VFMADD231PS %s%d, %s%d, %s%d", reg, b, reg, bc(i), reg, acc(u%unroll, i, p, v))
				}
			}
		}
	}
	adv := func(n int) {
		for _, r := range rows {
			a.P("ADDQ $%d, %s", 4*n, r)
		}
		for _, s := range streams {
			a.P("ADDQ $%d, %s", 128*n, s)
		}
	}
	a.P("MOVQ CX, BX")
	a.P("SHRQ $2, BX")
	a.P("JZ tail")
	a.P("PCALIGN $32")
	a.L("loop")
	for u := range 4 {
		step(u)
	}
	adv(4)
	a.P("DECQ BX")
	a.P("JNZ loop")
	a.L("tail")
	a.P("ANDQ $3, CX")
	a.P("JZ store")
	a.L("tloop")
	step(0)
	adv(1)
	a.P("DECQ CX")
	a.P("JNZ tloop")
	a.L("store")
	for u := 1; u < unroll; u++ {
		for i := range mr * panels * nv {
			a.P("VADDPS %s%d, %s%d, %s%d", reg, u*mr*panels*nv+i, reg, i, reg, i)
		}
	}
	a.P("MOVQ c+40(FP), DX")
	a.P("MOVQ ldc+48(FP), R8")
	a.P("MOVBLZX acc+56(FP), R9")
	a.P("TESTQ R9, R9")
	a.P("JZ st")
	a.P("MOVQ DX, R11")
	for i := range mr {
		for x := range panels * nv {
			n := acc(0, i, x/nv, x%nv)
			a.P("VADDPS %d(R11), %s%d, %s%d", x*bytes, reg, n, reg, n)
		}
		a.P("ADDQ R8, R11")
	}
	a.L("st")
	for i := range mr {
		for x := range panels * nv {
			a.P("VMOVUPS %s%d, %d(DX)", reg, acc(0, i, x/nv, x%nv), x*bytes)
		}
		a.P("ADDQ R8, DX")
	}
	a.P("VZEROUPPER")
	a.P("RET")
}

// finish writes what comes after a sum: c = min(max(scale·c + term + col + z, lo), hi).
func finish(a *asm.File, name, reg string) {
	stub(name, "n int, c, col, z unsafe.Pointer, scale, term, lo, hi float32")
	a.Func(name, 48)
	bytes := 64
	if reg == "Y" {
		bytes = 32
	}
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ c+8(FP), DI")
	a.P("MOVQ col+16(FP), SI")
	a.P("MOVQ z+24(FP), DX")
	for i, s := range []string{"scale+32", "term+36", "lo+40", "hi+44"} {
		a.P("VBROADCASTSS %s(FP), %s%d", s, reg, 4+i)
	}
	body := func(tag string, part bool) {
		load(a, reg, "(DI)", 0, part)
		a.P("VMULPS %s4, %s0, %s0", reg, reg, reg)
		a.P("VADDPS %s5, %s0, %s0", reg, reg, reg)
		for i, p := range []string{"SI", "DX"} {
			a.P("TESTQ %s, %s", p, p)
			a.P("JZ %s%d", tag, i)
			load(a, reg, "("+p+")", 1, part)
			a.P("VADDPS %s1, %s0, %s0", reg, reg, reg)
			a.P("ADDQ $%d, %s", bytes, p)
			a.L(fmt.Sprint(tag, i))
		}
		// Of an operand that is no number the second is the result: here it is the sum.
		a.P("VMAXPS %s0, %s6, %s0", reg, reg, reg)
		a.P("VMINPS %s0, %s7, %s0", reg, reg, reg)
	}
	a.L("loop")
	a.P("SUBQ $%d, CX", bytes/4)
	a.P("JLT rest")
	body("whole", false)
	a.P("VMOVUPS %s0, (DI)", reg)
	a.P("ADDQ $%d, DI", bytes)
	a.P("JMP loop")
	a.L("rest")
	a.P("ADDQ $%d, CX", bytes/4)
	a.P("JZ done")
	rest(a, reg)
	body("part", true)
	if reg == "Z" {
		a.P("VMOVUPS Z0, K1, (DI)")
	} else {
		a.P("VMASKMOVPS Y0, Y15, (DI)")
	}
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}

const transSig = "blocks int, src unsafe.Pointer, lds int, dst unsafe.Pointer, ldd int"

// trans512 writes the transpose of 16 rows of 16·blocks elements of 4 bytes.
func trans512(a *asm.File) {
	stub("avx512trans", transSig)
	a.Func("avx512trans", 40)
	transHead(a)
	a.L("loop")
	a.P("MOVQ SI, R9")
	for i := range 16 {
		a.P("VMOVUPS (R9), Z%d", i)
		a.P("ADDQ AX, R9")
	}
	for i := 0; i < 16; i += 2 {
		a.P("VUNPCKLPS Z%d, Z%d, Z%d", i+1, i, 16+i)
		a.P("VUNPCKHPS Z%d, Z%d, Z%d", i+1, i, 17+i)
	}
	for q := 16; q < 32; q += 4 { // now Z(4q+c) has in lane l column 4l+c of rows 4q…
		a.P("VUNPCKLPD Z%d, Z%d, Z%d", q+2, q, q-16)
		a.P("VUNPCKHPD Z%d, Z%d, Z%d", q+2, q, q-15)
		a.P("VUNPCKLPD Z%d, Z%d, Z%d", q+3, q+1, q-14)
		a.P("VUNPCKHPD Z%d, Z%d, Z%d", q+3, q+1, q-13)
	}
	for c := range 4 {
		for h := range 2 { // even lanes, odd lanes
			imm := []string{"$0x88", "$0xdd"}[h]
			a.P("VSHUFF32X4 %s, Z%d, Z%d, Z%d", imm, c+4, c, 16+4*c+h)
			a.P("VSHUFF32X4 %s, Z%d, Z%d, Z%d", imm, c+12, c+8, 18+4*c+h)
		}
	}
	for col := range 16 {
		l, c := col/4, col%4
		v := 16 + 4*c + l%2
		a.P("VSHUFF32X4 %s, Z%d, Z%d, Z0", []string{"$0x88", "$0xdd"}[l/2], v+2, v)
		a.P("VMOVUPS Z0, (DI)")
		a.P("ADDQ R8, DI")
	}
	a.P("ADDQ $64, SI")
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.P("VZEROUPPER")
	a.P("RET")
}

// trans2 writes the transpose of 8 rows of 8·blocks elements of 4 bytes.
func trans2(a *asm.File) {
	stub("avx2trans", transSig)
	a.Func("avx2trans", 40)
	transHead(a)
	a.L("loop")
	a.P("MOVQ SI, R9")
	for i := range 8 {
		a.P("VMOVUPS (R9), Y%d", i)
		a.P("ADDQ AX, R9")
	}
	for i := 0; i < 8; i += 2 {
		a.P("VUNPCKLPS Y%d, Y%d, Y%d", i+1, i, 8+i)
		a.P("VUNPCKHPS Y%d, Y%d, Y%d", i+1, i, 9+i)
	}
	for q := 8; q < 16; q += 4 {
		a.P("VUNPCKLPD Y%d, Y%d, Y%d", q+2, q, q-8)
		a.P("VUNPCKHPD Y%d, Y%d, Y%d", q+2, q, q-7)
		a.P("VUNPCKLPD Y%d, Y%d, Y%d", q+3, q+1, q-6)
		a.P("VUNPCKHPD Y%d, Y%d, Y%d", q+3, q+1, q-5)
	}
	for col := range 8 {
		a.P("VPERM2F128 $0x%d, Y%d, Y%d, Y8", []int{20, 31}[col/4], 4+col%4, col%4)
		a.P("VMOVUPS Y8, (DI)")
		a.P("ADDQ R8, DI")
	}
	a.P("ADDQ $32, SI")
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.P("VZEROUPPER")
	a.P("RET")
}

func transHead(a *asm.File) {
	a.P("MOVQ blocks+0(FP), CX")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ lds+16(FP), AX")
	a.P("MOVQ dst+24(FP), DI")
	a.P("MOVQ ldd+32(FP), R8")
}

// addCol writes what comes after a sum when it is only c += col, for rows of n elements.
func addCol(a *asm.File) {
	stub("avx2addcol", "rows, n int, c unsafe.Pointer, ldc int, col unsafe.Pointer")
	a.Func("avx2addcol", 40)
	a.P("MOVQ rows+0(FP), AX")
	a.P("MOVQ n+8(FP), BX")
	a.P("MOVQ c+16(FP), DX")
	a.P("MOVQ ldc+24(FP), R9")
	a.P("MOVQ BX, CX")
	a.P("ANDQ $7, CX")
	rest(a, "Y")
	a.L("row")
	a.P("MOVQ DX, DI")
	a.P("MOVQ col+32(FP), SI")
	a.P("MOVQ BX, CX")
	for _, vectors := range []int{4, 1} {
		loop, next := fmt.Sprint("loop", vectors), fmt.Sprint("next", vectors)
		a.L(loop)
		a.P("SUBQ $%d, CX", 8*vectors)
		a.P("JLT %s", next)
		for v := range vectors {
			a.P("VMOVUPS %d(DI), Y%d", 32*v, v)
		}
		for v := range vectors {
			a.P("VADDPS %d(SI), Y%d, Y%d", 32*v, v, v)
		}
		for v := range vectors {
			a.P("VMOVUPS Y%d, %d(DI)", v, 32*v)
		}
		a.P("ADDQ $%d, DI", 32*vectors)
		a.P("ADDQ $%d, SI", 32*vectors)
		a.P("JMP %s", loop)
		a.L(next)
		a.P("ADDQ $%d, CX", 8*vectors)
	}
	a.P("JZ done")
	a.P("VMASKMOVPS (DI), Y15, Y0")
	a.P("VMASKMOVPS (SI), Y15, Y1")
	a.P("VADDPS Y1, Y0, Y0")
	a.P("VMASKMOVPS Y0, Y15, (DI)")
	a.L("done")
	a.P("ADDQ R9, DX")
	a.P("DECQ AX")
	a.P("JNZ row")
	a.P("VZEROUPPER")
	a.P("RET")
}
