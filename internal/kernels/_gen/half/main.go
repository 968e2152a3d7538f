// Command half writes half_amd64.s, half_arm64.s and stubs_arm64.go of
// internal/kernels/half. It is run by go generate in that folder.
package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// isa is a width of vectors.
type isa struct {
	suffix, reg string
	lanes       int
}

func (v isa) r(i int) string { return fmt.Sprintf("%s%d", v.reg, i) }
func (v isa) wide() bool     { return v.reg == "Z" }

func main() {
	a := asm.New("!noasm")
	for _, v := range []isa{{"2", "Y", 8}, {"512", "Z", 16}} {
		for _, bf := range []bool{false, true} {
			widen(a, v, bf)
			narrow(a, v, bf)
			row(a, v, bf)
		}
	}
	neonAll()
	a.Write("half_amd64.s")
}

func name(what string, v isa, bf bool) string {
	if bf {
		return what + "B" + v.suffix
	}
	return what + "F" + v.suffix
}

// load widens the halves at an address, under K1 if z is ".Z".
func load(a *asm.File, v isa, bf bool, z, from string, to int) {
	k := ""
	if z != "" {
		k = "K1, "
	}
	if bf {
		a.P("VPMOVZXWD%s %s, %s%s", z, from, k, v.r(to))
		a.P("VPSLLD $16, %s, %s", v.r(to), v.r(to))
		return
	}
	a.P("VCVTPH2PS%s %s, %s%s", z, from, k, v.r(to))
}

// each writes a loop over n elements, in K1 where there are masks; else n is a
// multiple of 8.
func each(a *asm.File, v isa, src, dst int, body func(z, k string)) {
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("TESTQ CX, CX")
	a.P("JLE done")
	z, k := "", ""
	if v.wide() {
		z, k = ".Z", "K1, "
		a.P("MOVQ $-1, AX")
		a.P("KMOVW AX, K1")
	}
	a.L("loop")
	if v.wide() {
		a.P("CMPQ CX, $16")
		a.P("JGE full")
		a.P("BZHIQ CX, AX, AX")
		a.P("KMOVW AX, K1")
		a.L("full")
	}
	body(z, k)
	a.P("ADDQ $%d, SI", src*v.lanes)
	a.P("ADDQ $%d, DI", dst*v.lanes)
	a.P("SUBQ $%d, CX", v.lanes)
	a.P("JG loop")
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}

// widen: func(dst, src unsafe.Pointer, n int).
func widen(a *asm.File, v isa, bf bool) {
	a.Func(name("widen", v, bf), 24)
	each(a, v, 2, 4, func(z, k string) {
		load(a, v, bf, z, "(SI)", 0)
		a.P("VMOVUPS %s, %s(DI)", v.r(0), k)
	})
}

// narrow: func(dst, src unsafe.Pointer, n int), to the nearest, halves to even.
func narrow(a *asm.File, v isa, bf bool) {
	a.Func(name("narrow", v, bf), 24)
	if bf {
		for i, x := range []int{0x7fff, 1, 0x40} {
			a.P("MOVL $%d, BX", x)
			a.P("VMOVQ BX, X%d", 13+i)
			a.P("VPBROADCASTD X%d, %s", 13+i, v.r(13+i))
		}
	}
	each(a, v, 4, 2, func(z, k string) {
		a.P("VMOVUPS%s (SI), %s%s", z, k, v.r(0))
		if !bf {
			a.P("VCVTPS2PH $0, %s, %s(DI)", v.r(0), k)
			return
		}
		a.P("VPSRLD $16, %s, %s", v.r(0), v.r(1))
		if v.wide() {
			a.P("VPANDD Z14, Z1, Z2")
			a.P("VPORD Z15, Z1, Z3") // NaN stays NaN
			a.P("VCMPPS $3, Z0, Z0, K2")
		} else {
			a.P("VPAND Y14, Y1, Y2")
			a.P("VPOR Y15, Y1, Y3")
			a.P("VCMPPS $3, Y0, Y0, Y4")
		}
		a.P("VPADDD %s, %s, %s", v.r(13), v.r(0), v.r(0))
		a.P("VPADDD %s, %s, %s", v.r(2), v.r(0), v.r(0))
		a.P("VPSRLD $16, %s, %s", v.r(0), v.r(0))
		if v.wide() {
			a.P("VMOVDQA32 Z3, K2, Z0")
			a.P("VPMOVDW Z0, K1, (DI)")
		} else {
			a.P("VBLENDVPS Y4, Y3, Y0, Y0")
			a.P("VPACKUSDW Y0, Y0, Y0")
			a.P("VPERMQ $0xd8, Y0, Y0")
			a.P("VMOVDQU X0, (DI)")
		}
	})
}

// row: func(kc int, x, b, y unsafe.Pointer): y[j] += Σ x[k]·b[k][j] for 32
// columns of a panel of halves, two sums for each column.
func row(a *asm.File, v isa, bf bool) {
	a.Func(name("row", v, bf), 32)
	a.P("MOVQ kc+0(FP), CX")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ b+16(FP), DI")
	a.P("MOVQ y+24(FP), DX")
	n := 32 / v.lanes
	for i := range n {
		a.P("VMOVUPS %d(DX), %s", i*v.lanes*4, v.r(i))
		a.P("VXORPS Y%d, Y%d, Y%d", n+i, n+i, n+i)
	}
	step := func(u int) {
		a.P("VBROADCASTSS %d(SI), %s", 4*u, v.r(12))
		for i := range n {
			r := 8 + i&3
			load(a, v, bf, "", fmt.Sprintf("%d(DI)", 64*u+i*v.lanes*2), r)
			a.P("VFMADD231PS %s, %s, %s", v.r(r), v.r(12), v.r(i+u&1*n))
		}
	}
	a.P("SUBQ $2, CX")
	a.P("JLT odd")
	a.P("PCALIGN $32")
	a.L("loop")
	a.P("PREFETCHT0 2048(DI)")
	a.P("PREFETCHT0 2112(DI)")
	step(0)
	step(1)
	a.P("ADDQ $8, SI")
	a.P("ADDQ $128, DI")
	a.P("SUBQ $2, CX")
	a.P("JGE loop")
	a.L("odd")
	a.P("ADDQ $2, CX")
	a.P("JZ store")
	step(0)
	a.L("store")
	for i := range n {
		a.P("VADDPS %s, %s, %s", v.r(n+i), v.r(i), v.r(i))
		a.P("VMOVUPS %s, %d(DX)", v.r(i), i*v.lanes*4)
	}
	a.P("VZEROUPPER")
	a.P("RET")
}
