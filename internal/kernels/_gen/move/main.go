// Command move writes move_amd64.s, move_arm64.s and stubs_arm64.go of
// internal/kernels/move. It is run by go generate in that folder.
package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

func main() {
	a := asm.New("!noasm")
	weave(a)
	unweave(a)
	weigh2(a)
	weigh512(a)
	neonAll()
	a.Write("move_amd64.s")
}

// turn transposes the 4x4 blocks in both halves of Y0 to Y3, rows to rows.
func turn(a *asm.File) {
	a.P("VUNPCKLPS Y1, Y0, Y4")
	a.P("VUNPCKHPS Y1, Y0, Y5")
	a.P("VUNPCKLPS Y3, Y2, Y6")
	a.P("VUNPCKHPS Y3, Y2, Y7")
	a.P("VUNPCKLPD Y6, Y4, Y0")
	a.P("VUNPCKHPD Y6, Y4, Y1")
	a.P("VUNPCKLPD Y7, Y5, Y2")
	a.P("VUNPCKHPD Y7, Y5, Y3")
}

// weave: func(dst, src unsafe.Pointer, blocks, ds, s1, s2, s3 int). Four
// streams, at src and s1, s2, s3 bytes behind it, become rows of four, ds bytes
// apart, eight rows a block, in ascending order.
func weave(a *asm.File) {
	a.Func("weave2", 56)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ blocks+16(FP), CX")
	a.P("MOVQ ds+24(FP), R8")
	a.P("MOVQ s1+32(FP), R9")
	a.P("MOVQ s2+40(FP), R10")
	a.P("MOVQ s3+48(FP), R11")
	a.P("LEAQ (R8)(R8*2), R12")
	a.L("loop")
	a.P("VMOVUPS (SI), Y0")
	a.P("VMOVUPS (SI)(R9*1), Y1")
	a.P("VMOVUPS (SI)(R10*1), Y2")
	a.P("VMOVUPS (SI)(R11*1), Y3")
	turn(a)
	a.P("VMOVUPS X0, (DI)")
	a.P("VMOVUPS X1, (DI)(R8*1)")
	a.P("VMOVUPS X2, (DI)(R8*2)")
	a.P("VMOVUPS X3, (DI)(R12*1)")
	a.P("LEAQ (DI)(R8*4), DI")
	a.P("VEXTRACTF128 $1, Y0, (DI)")
	a.P("VEXTRACTF128 $1, Y1, (DI)(R8*1)")
	a.P("VEXTRACTF128 $1, Y2, (DI)(R8*2)")
	a.P("VEXTRACTF128 $1, Y3, (DI)(R12*1)")
	a.P("LEAQ (DI)(R8*4), DI")
	a.P("ADDQ $32, SI")
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.P("VZEROUPPER")
	a.P("RET")
}

// unweave: func(dst, src unsafe.Pointer, blocks, ss, d1, d2, d3 int). Rows of
// four, ss bytes apart, eight a block, become four streams, at dst and d1, d2,
// d3 bytes behind it; the fourth is written first.
func unweave(a *asm.File) {
	a.Func("unweave2", 56)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ blocks+16(FP), CX")
	a.P("MOVQ ss+24(FP), R8")
	a.P("MOVQ d1+32(FP), R9")
	a.P("MOVQ d2+40(FP), R10")
	a.P("MOVQ d3+48(FP), R11")
	a.P("LEAQ (R8)(R8*2), R12")
	a.L("loop")
	a.P("LEAQ (SI)(R8*4), DX")
	for i, at := range []string{"", "(R8*1)", "(R8*2)", "(R12*1)"} {
		a.P("VMOVUPS (SI)%s, X%d", at, i)
		a.P("VINSERTF128 $1, (DX)%s, Y%d, Y%d", at, i, i)
	}
	turn(a)
	a.P("VMOVUPS Y3, (DI)(R11*1)")
	a.P("VMOVUPS Y2, (DI)(R10*1)")
	a.P("VMOVUPS Y1, (DI)(R9*1)")
	a.P("VMOVUPS Y0, (DI)")
	a.P("LEAQ (SI)(R8*8), SI")
	a.P("ADDQ $32, DI")
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.P("VZEROUPPER")
	a.P("RET")
}

// weighHead begins func(dst, src, at, w unsafe.Pointer, n, k, count int): for
// each of count rows of n elements
//
//	dst[q·n+e] = Σ w[q·k+j] · src[at[q·k+j]·n+e], j < k
//
// DI: dst, BX: at, DX: w, R8: n, R9: k, R10: count; R11: e of the row.
func weighHead(a *asm.File, name string) {
	a.Func(name, 56)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ at+16(FP), BX")
	a.P("MOVQ w+24(FP), DX")
	a.P("MOVQ n+32(FP), R8")
	a.P("MOVQ k+40(FP), R9")
	a.P("MOVQ count+48(FP), R10")
}

// taps writes the loop over j: load brings element e of the row at R13 and adds it, times the weight
// in register 15, to the sums.
func taps(a *asm.File, label string, broadcast string, body func()) {
	a.P("XORQ R12, R12")
	a.L(label)
	a.P("MOVLQSX (BX)(R12*4), R13")
	a.P("IMULQ R8, R13")
	a.P("ADDQ R11, R13") // in elements
	a.P(broadcast)
	body()
	a.P("INCQ R12")
	a.P("CMPQ R12, R9")
	a.P("JLT %s", label)
}

func weigh2(a *asm.File) {
	weighHead(a, "weigh2")
	a.L("row")
	a.P("XORQ R11, R11")
	for _, w := range []int{4, 1} {
		a.L(fmt.Sprintf("vec%d", w))
		a.P("LEAQ %d(R11), R13", 8*w)
		a.P("CMPQ R13, R8")
		a.P("JGT end%d", w)
		for i := range w {
			a.P("VXORPS Y%d, Y%d, Y%d", i, i, i)
		}
		taps(a, fmt.Sprintf("tap%d", w), "VBROADCASTSS (DX)(R12*4), Y15", func() {
			for i := range w {
				a.P("VFMADD231PS %d(SI)(R13*4), Y15, Y%d", 32*i, i)
			}
		})
		for i := range w {
			a.P("VMOVUPS Y%d, %d(DI)(R11*4)", i, 32*i)
		}
		a.P("ADDQ $%d, R11", 8*w)
		a.P("JMP vec%d", w)
		a.L(fmt.Sprintf("end%d", w))
	}
	a.L("one")
	a.P("CMPQ R11, R8")
	a.P("JGE next")
	a.P("VXORPS X0, X0, X0")
	taps(a, "tap", "VMOVSS (DX)(R12*4), X15", func() { a.P("VFMADD231SS (SI)(R13*4), X15, X0") })
	a.P("VMOVSS X0, (DI)(R11*4)")
	a.P("INCQ R11")
	a.P("JMP one")
	nextRow(a)
}

func nextRow(a *asm.File) {
	a.L("next")
	a.P("LEAQ (DI)(R8*4), DI")
	a.P("LEAQ (BX)(R9*4), BX")
	a.P("LEAQ (DX)(R9*4), DX")
	a.P("DECQ R10")
	a.P("JNZ row")
	a.P("VZEROUPPER")
	a.P("RET")
}

func weigh512(a *asm.File) {
	weighHead(a, "weigh512")
	a.P("MOVQ R8, CX") // K1: the elements of the last vector
	a.P("ANDQ $15, CX")
	a.P("MOVQ $1, AX")
	a.P("SHLQ CX, AX")
	a.P("DECQ AX")
	a.P("KMOVW AX, K1")
	a.L("row")
	a.P("XORQ R11, R11")
	for _, w := range []int{4, 1} {
		a.L(fmt.Sprintf("vec%d", w))
		a.P("LEAQ %d(R11), R13", 16*w)
		a.P("CMPQ R13, R8")
		a.P("JGT end%d", w)
		for i := range w {
			a.P("VXORPS Y%d, Y%d, Y%d", i, i, i)
		}
		taps(a, fmt.Sprintf("tap%d", w), "VBROADCASTSS (DX)(R12*4), Z15", func() {
			for i := range w {
				a.P("VFMADD231PS %d(SI)(R13*4), Z15, Z%d", 64*i, i)
			}
		})
		for i := range w {
			a.P("VMOVUPS Z%d, %d(DI)(R11*4)", i, 64*i)
		}
		a.P("ADDQ $%d, R11", 16*w)
		a.P("JMP vec%d", w)
		a.L(fmt.Sprintf("end%d", w))
	}
	a.P("CMPQ R11, R8")
	a.P("JGE next")
	a.P("VXORPS Y0, Y0, Y0")
	taps(a, "tap", "VBROADCASTSS (DX)(R12*4), Z15", func() {
		a.P("VMOVUPS.Z (SI)(R13*4), K1, Z1")
		a.P("VFMADD231PS Z1, Z15, Z0")
	})
	a.P("VMOVUPS Z0, K1, (DI)(R11*4)")
	nextRow(a)
}
