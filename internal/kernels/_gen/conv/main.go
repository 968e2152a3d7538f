// Command conv writes conv_amd64.s, conv_arm64.s and stubs_arm64.go of
// internal/kernels/conv. It is run by go generate in that folder.
package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

func main() {
	a := asm.New("!noasm")
	taps(a, "taps512", "Z", 64, 52)
	taps(a, "taps2", "Y", 32, 64)
	pack(a, "pack512", false)
	pack(a, "packStrided512", true)
	neonAll()
	a.Write("conv_amd64.s")
}

// taps writes y[i] = bias + Σ w[t]·x[off[t]+i]. Blocks of four vectors and of
// one, and a masked rest.
// DI y, CX n, SI x, R8 off, R9 w, R10 taps.
func taps(a *asm.File, name, reg string, bytes, args int) {
	lanes := bytes / 4
	a.Func(name, args)
	a.P("MOVQ y+0(FP), DI")
	a.P("MOVQ n+8(FP), CX")
	a.P("MOVQ x+16(FP), SI")
	a.P("MOVQ off+24(FP), R8")
	a.P("MOVQ w+32(FP), R9")
	a.P("MOVQ taps+40(FP), R10")
	a.P("VBROADCASTSS bias+48(FP), %s7", reg)
	block := func(label, end string, n int, load func(i int), store func(i int)) {
		for i := range n {
			a.P("VMOVAPS %s7, %s%d", reg, reg, i)
		}
		a.P("XORQ BX, BX")
		a.P("TESTQ R10, R10")
		a.P("JZ %s", end)
		a.L(label)
		a.P("MOVQ (R8)(BX*8), AX")
		a.P("ADDQ SI, AX")
		a.P("VBROADCASTSS (R9)(BX*4), %s6", reg)
		for i := range n {
			load(i)
		}
		a.P("INCQ BX")
		a.P("CMPQ BX, R10")
		a.P("JLT %s", label)
		a.L(end)
		for i := range n {
			store(i)
		}
	}
	load := func(i int) { a.P("VFMADD231PS %d(AX), %s6, %s%d", i*bytes, reg, reg, i) }
	store := func(i int) { a.P("VMOVUPS %s%d, %d(DI)", reg, i, i*bytes) }
	for _, n := range []int{4, 1} {
		a.L(fmt.Sprintf("block%d", n))
		a.P("CMPQ CX, $%d", n*lanes)
		a.P("JLT after%d", n)
		block(fmt.Sprintf("taps%d", n), fmt.Sprintf("store%d", n), n, load, store)
		a.P("ADDQ $%d, SI", n*bytes)
		a.P("ADDQ $%d, DI", n*bytes)
		a.P("SUBQ $%d, CX", n*lanes)
		a.P("JMP block%d", n)
		a.L(fmt.Sprintf("after%d", n))
	}
	a.P("TESTQ CX, CX")
	a.P("JZ done")
	if reg == "Z" {
		a.P("MOVQ $-1, AX")
		a.P("BZHIQ CX, AX, AX")
		a.P("KMOVW AX, K1")
		block("tapsm", "storem", 1,
			func(int) { a.P("VFMADD231PS (AX), Z6, K1, Z0") },
			func(int) { a.P("VMOVUPS Z0, K1, (DI)") })
	} else {
		a.P("MOVQ lanes+56(FP), DX")
		a.P("VMOVDQU (DX), Y5")
		block("tapsm", "storem", 1,
			func(int) {
				a.P("VMASKMOVPS (AX), Y5, Y4")
				a.P("VFMADD231PS Y4, Y6, Y0")
			},
			func(int) { a.P("VMASKMOVPS Y0, Y5, (DI)") })
	}
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}

// pack writes rows of 32 columns: zeros, and for each run of columns what lies
// at its offset from the source, consecutive or a stride apart.
// DI dst, R8 its step, SI src, R9 its step, CX rows, DX runs, R10 their number.
func pack(a *asm.File, name string, strided bool) {
	args := 56
	if strided {
		args = 64
	}
	a.Func(name, args)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ dstStep+8(FP), R8")
	a.P("MOVQ src+16(FP), SI")
	a.P("MOVQ srcStep+24(FP), R9")
	a.P("MOVQ rows+32(FP), CX")
	a.P("MOVQ runs+40(FP), DX")
	a.P("MOVQ n+48(FP), R10")
	if strided {
		a.P("MOVQ lanes+56(FP), AX")
		a.P("VMOVDQU32 (AX), Z2")
		a.P("VMOVDQU32 64(AX), Z3")
	}
	a.L("row")
	a.P("VPXORD Z0, Z0, Z0")
	a.P("VPXORD Z1, Z1, Z1")
	a.P("XORQ BX, BX")
	a.P("MOVQ DX, R11")
	a.L("run")
	a.P("CMPQ BX, R10")
	a.P("JGE store")
	a.P("MOVQ (R11), AX")
	a.P("ADDQ SI, AX")
	a.P("MOVQ 8(R11), R12")
	a.P("KMOVW R12, K1")
	a.P("SHRQ $16, R12")
	a.P("KMOVW R12, K2")
	if strided {
		a.P("VGATHERDPS (AX)(Z2*4), K1, Z0")
		a.P("VGATHERDPS (AX)(Z3*4), K2, Z1")
	} else {
		a.P("VMOVUPS (AX), K1, Z0")
		a.P("VMOVUPS 64(AX), K2, Z1")
	}
	a.P("ADDQ $16, R11")
	a.P("INCQ BX")
	a.P("JMP run")
	a.L("store")
	a.P("VMOVUPS Z0, (DI)")
	a.P("VMOVUPS Z1, 64(DI)")
	a.P("ADDQ R8, DI")
	a.P("ADDQ R9, SI")
	a.P("DECQ CX")
	a.P("JNZ row")
	a.P("VZEROUPPER")
	a.P("RET")
}
