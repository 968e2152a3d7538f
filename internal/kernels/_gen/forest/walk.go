package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// walk writes func walk(steps unsafe.Pointer, root, twice uint32, keys, at unsafe.Pointer, groups int): eight
// rows take their steps together, two and two, until none moves any more, at most twice times.
// Places only grow, so their sum tells.
func walk(a *asm.File) {
	place := []string{"AX", "BX", "CX", "DX", "R8", "R9", "R10", "R11"}
	a.Frame("walk", 16, 40)
	a.P("MOVQ steps+0(FP), SI")
	a.P("MOVQ keys+16(FP), DI")
	a.P("MOVQ groups+32(FP), R12")
	sum := func() {
		a.P("MOVQ %s, R13", place[0])
		for _, p := range place[1:] {
			a.P("ADDQ %s, R13", p)
		}
	}
	a.L("group")
	for _, p := range place {
		a.P("MOVL root+8(FP), %s", p)
	}
	a.P("MOVL twice+12(FP), R13")
	a.P("MOVL R13, left-16(SP)")
	sum()
	a.L("again")
	a.P("MOVQ R13, old-8(SP)")
	for range 2 {
		for i, p := range place {
			a.P("MOVL 4(SI)(%s*1), R13", p)
			a.P("MOVL (SI)(%s*1), R15", p)
			a.P("SHLQ $6, R13")
			a.P("MOVL 8(SI)(%[1]s*1), %[1]s", p)
			a.P("CMPL R15, %d(DI)(R13*1)", 4*i)
			a.P("LEAL 12(%s), R13", p)
			a.P("CMOVLCS R13, %s", p)
		}
	}
	a.P("DECL left-16(SP)")
	a.P("JZ there")
	sum()
	a.P("CMPQ R13, old-8(SP)")
	a.P("JNE again")
	a.L("there")
	a.P("MOVQ at+24(FP), R13")
	for i, p := range place {
		a.P("MOVL %s, %d(R13)", p, 4*i)
	}
	a.P("ADDQ $32, R13")
	a.P("MOVQ R13, at+24(FP)")
	a.P("ADDQ $32, DI")
	a.P("DECQ R12")
	a.P("JNZ group")
	a.P("RET")
}

// keys writes func keysN(dst, x unsafe.Pointer, n int): the keys of n floats, a multiple of the lanes.
func keys(a *asm.File) {
	for _, wide := range []bool{false, true} {
		name, reg, size := "keys2", "Y", 32
		if wide {
			name, reg, size = "keys512", "Z", 64
		}
		a.Func(name, 24)
		a.P("MOVQ dst+0(FP), DI")
		a.P("MOVQ x+8(FP), SI")
		a.P("MOVQ n+16(FP), CX")
		a.P("MOVL $0x80000000, AX")
		a.P("VMOVD AX, X4")
		a.P("VPBROADCASTD X4, %s4", reg)
		a.P("VXORPS X5, X5, X5")
		a.L("loop")
		a.P("VMOVUPS (SI), %s0", reg)
		a.P("VADDPS %[1]s5, %[1]s0, %[1]s1", reg) // no -0
		a.P("VPSRAD $31, %[1]s1, %[1]s2", reg)
		if wide {
			a.P("VPORD Z4, Z2, Z2")
			a.P("VPXORD Z1, Z2, Z2")
			a.P("VCMPPS $3, Z0, Z0, K1")
			a.P("VPTERNLOGD $0xff, Z2, Z2, K1, Z2")
			a.P("VMOVDQU32 Z2, (DI)")
		} else {
			a.P("VPOR Y4, Y2, Y2")
			a.P("VPXOR Y1, Y2, Y2")
			a.P("VCMPPS $3, Y0, Y0, Y3")
			a.P("VPOR Y3, Y2, Y2")
			a.P("VMOVDQU Y2, (DI)")
		}
		a.P("ADDQ $%d, SI", size)
		a.P("ADDQ $%d, DI", size)
		a.P("SUBQ $%s, CX", fmt.Sprint(size/4))
		a.P("JNZ loop")
		a.P("VZEROUPPER")
		a.P("RET")
	}
}
