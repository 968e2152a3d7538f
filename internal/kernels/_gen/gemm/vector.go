package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// rest sets up the mask of the last CX elements, fewer than a vector: K1, or
// Y15 of an avx2 routine. CX and R8 are lost.
func rest(a *asm.File, reg string) {
	if reg == "Z" {
		a.P("MOVL $1, R8")
		a.P("SHLL CX, R8")
		a.P("DECL R8")
		a.P("KMOVW R8, K1")
		return
	}
	a.P("LEAQ ·lanes32+64(SB), R8")
	a.P("SHLQ $2, CX")
	a.P("SUBQ CX, R8")
	a.P("VMOVDQU (R8), Y15")
}

// load reads a vector, or with part the lanes of rest's mask and zeros.
func load(a *asm.File, reg, at string, n int, part bool) {
	switch {
	case !part:
		a.P("VMOVUPS %s, %s%d", at, reg, n)
	case reg == "Z":
		a.P("VMOVUPS.Z %s, K1, Z%d", at, n)
	default:
		a.P("VMASKMOVPS %s, Y15, Y%d", at, n)
	}
}

// axpy writes y[j] += Σ x[k]·b[k][j] over some rows k, n elements of each.
func axpy(a *asm.File, name, reg string, rows int) {
	stub(name, "n int, x, b unsafe.Pointer, ldb int, y unsafe.Pointer")
	a.Func(name, 40)
	bytes := 64
	if reg == "Y" {
		bytes = 32
	}
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ b+16(FP), DI")
	a.P("MOVQ ldb+24(FP), AX")
	a.P("MOVQ y+32(FP), DX")
	a.P("LEAQ (AX)(AX*2), R9")
	a.P("LEAQ (DI)(AX*4), R10")
	at := func(i int) string {
		return []string{"(DI)", "(R10)"}[i/4] + []string{"", "(AX*1)", "(AX*2)", "(R9*1)"}[i%4]
	}
	for i := range rows {
		a.P("VBROADCASTSS %d(SI), %s%d", 4*i, reg, i)
	}
	body := func(part bool) {
		load(a, reg, "(DX)", 8, part)
		if rows > 1 {
			load(a, reg, at(1), 10, part)
			a.P("VMULPS %s10, %s1, %s9", reg, reg, reg)
		}
		for i := range rows {
			if i == 1 {
				continue
			}
			if part {
				load(a, reg, at(i), 10, part)
				a.P("VFMADD231PS %s10, %s%d, %s%d", reg, reg, i, reg, 8+i%2)
			} else {
				a.P("VFMADD231PS %s, %s%d, %s%d", at(i), reg, i, reg, 8+i%2)
			}
		}
		if rows > 1 {
			a.P("VADDPS %s9, %s8, %s8", reg, reg, reg)
		}
	}
	a.P("SUBQ $%d, CX", bytes/4)
	a.P("JLT rest")
	a.P("PCALIGN $32")
	a.L("loop")
	body(false)
	a.P("VMOVUPS %s8, (DX)", reg)
	for _, r := range []string{"DI", "R10", "DX"} {
		a.P("ADDQ $%d, %s", bytes, r)
	}
	a.P("SUBQ $%d, CX", bytes/4)
	a.P("JGE loop")
	a.L("rest")
	a.P("ADDQ $%d, CX", bytes/4)
	a.P("JZ done")
	rest(a, reg)
	body(true)
	if reg == "Z" {
		a.P("VMOVUPS Z8, K1, (DX)")
	} else {
		a.P("VMASKMOVPS Y8, Y15, (DX)")
	}
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}

// dots writes out[i] = Σ x[i][k]·y[k] for some rows of x.
func dots(a *asm.File, name, reg string, rows int) {
	stub(name, "n int, x unsafe.Pointer, ldx int, y, out unsafe.Pointer")
	a.Func(name, 40)
	bytes := 64
	if reg == "Y" {
		bytes = 32
	}
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ ldx+16(FP), AX")
	a.P("MOVQ y+24(FP), DI")
	a.P("MOVQ out+32(FP), DX")
	a.P("LEAQ (AX)(AX*2), R9")
	index := []string{"", "(AX*1)", "(AX*2)", "(R9*1)"}
	for i := range 2 * rows {
		a.P("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	step := func(u int, part bool) {
		load(a, reg, fmt.Sprintf("%d(DI)", u*bytes), 8+u, part)
		for i := range rows {
			at := fmt.Sprintf("%d(SI)%s", u*bytes, index[i])
			if part {
				load(a, reg, at, 10, part)
				a.P("VFMADD231PS %s10, %s%d, %s%d", reg, reg, 8+u, reg, u*rows+i)
				continue
			}
			a.P("VFMADD231PS %s, %s%d, %s%d", at, reg, 8+u, reg, u*rows+i)
		}
	}
	adv := func(n int) {
		a.P("ADDQ $%d, SI", n*bytes)
		a.P("ADDQ $%d, DI", n*bytes)
	}
	lanes := bytes / 4
	a.P("SUBQ $%d, CX", 2*lanes)
	a.P("JLT one")
	a.P("PCALIGN $32")
	a.L("loop")
	step(0, false)
	step(1, false)
	adv(2)
	a.P("SUBQ $%d, CX", 2*lanes)
	a.P("JGE loop")
	a.L("one")
	a.P("ADDQ $%d, CX", 2*lanes)
	a.P("SUBQ $%d, CX", lanes)
	a.P("JLT rest")
	step(0, false)
	adv(1)
	a.P("SUBQ $%d, CX", lanes)
	a.L("rest")
	a.P("ADDQ $%d, CX", lanes)
	a.P("JZ sum")
	rest(a, reg)
	step(0, true)
	a.L("sum")
	for i := range rows {
		a.P("VADDPS %s%d, %s%d, %s%d", reg, rows+i, reg, i, reg, i)
		if reg == "Z" {
			a.P("VEXTRACTF64X4 $1, Z%d, Y8", i)
			a.P("VADDPS Y8, Y%d, Y%d", i, i)
		}
		a.P("VEXTRACTF128 $1, Y%d, X8", i)
		a.P("VADDPS X8, X%d, X%d", i, i)
		a.P("VPERMILPS $0x4e, X%d, X8", i)
		a.P("VADDPS X8, X%d, X%d", i, i)
		a.P("VPERMILPS $0xb1, X%d, X8", i)
		a.P("VADDPS X8, X%d, X%d", i, i)
		a.P("VMOVSS X%d, %d(DX)", i, 4*i)
	}
	a.P("VZEROUPPER")
	a.P("RET")
}
