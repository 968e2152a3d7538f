package main

import "github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"

// pools writes the routines for pooling: a vector of channels at a time over a
// list of pixels. DI out, SI list, R8 pixels, BX offset of the channels.
func pools(a *asm.File, v isa) {
	r := v.reg
	begin := func(name, sig string, args int) {
		stub(v.name+name, sig)
		a.Func(v.name+name, args)
		a.P("MOVQ c+0(FP), R14")
		a.P("SUBQ $%d, R14", v.bytes)
		a.P("MOVQ out+8(FP), DI")
		a.P("MOVQ list+16(FP), SI")
		a.P("MOVQ pixels+24(FP), R8")
	}
	loop := func(first, each func(), last func()) {
		a.P("XORL BX, BX")
		a.L("block")
		a.P("MOVQ (SI), AX")
		a.P("VMOVDQU%s (AX)(BX*1), %s0", map[string]string{"Z": "64", "Y": ""}[r], r)
		first()
		a.P("MOVL $1, CX")
		a.L("each")
		a.P("CMPQ CX, R8")
		a.P("JGE last")
		a.P("MOVQ (SI)(CX*8), AX")
		each()
		a.P("INCQ CX")
		a.P("JMP each")
		a.L("last")
		last()
		a.P("VMOVDQU%s %s0, (DI)(BX*1)", map[string]string{"Z": "64", "Y": ""}[r], r)
		next(a, v)
		a.P("JMP block")
		a.L("done")
		a.P("VZEROUPPER")
		a.P("RET")
	}
	const maxSig = "c int, out, list unsafe.Pointer, pixels int"
	none := func() {}
	begin("max", maxSig, 32)
	loop(none, func() { // NaN wins: of the sums so far by the order of the operands, of x by the mask
		a.P("VMOVUPS (AX)(BX*1), %s1", r)
		a.P("VMAXPS %s0, %s1, %s0", r, r, r)
		if r == "Z" {
			a.P("VCMPPS $3, Z1, Z1, K1")
			a.P("VMOVAPS Z1, K1, Z0")
		} else {
			a.P("VCMPPS $3, Y1, Y1, Y2")
			a.P("VORPS Y2, Y0, Y0")
		}
	}, none)
	for _, e := range []string{"SB", "UB"} {
		begin("max"+e, maxSig, 32)
		loop(none, func() { a.P("VPMAX%s (AX)(BX*1), %s0, %s0", e, r, r) }, none)
	}
	begin("mean", maxSig+", scale float32", 36)
	a.P("VBROADCASTSS scale+32(FP), %s2", r)
	loop(none, func() { a.P("VADDPS (AX)(BX*1), %s0, %s0", r, r) }, func() { a.P("VMULPS %s2, %s0, %s0", r, r, r) })
}
