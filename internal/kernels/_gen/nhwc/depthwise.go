package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

const rowSig = "c int, out unsafe.Pointer, outStep int, x unsafe.Pointer, off, rowStep, colStep, rows int, cols uint64, w unsafe.Pointer, wSkip int, bias, lim unsafe.Pointer"
const tapsSig = "c int, out, list unsafe.Pointer, taps int, w, bias, lim unsafe.Pointer"

// depthwise writes the routines for kernels with rows of k taps, strides s and
// p positions at a time.
func depthwise(a *asm.File, v isa) {
	var names string
	for _, k := range []int{3, 5, 7} {
		for _, s := range []int{1, 2} {
			for p := 1; p <= 8; p++ {
				name := fmt.Sprintf("%srow%d%d%d", v.name, k, s, p)
				row(a, v, name, k, s, p)
				names += fmt.Sprintf("\t{%d, %d, %d}: %s,\n", k, s, p, name)
			}
		}
	}
	fmt.Fprintf(&stubs, "\n// %srows lists routines by taps of a row, stride and positions.\nvar %srows = map[[3]int]Row{\n%s}\n", v.name, v.name, names)
	taps(a, v)
}

// row writes p positions of a row of the output for all channels. SI x, DI out,
// BX offset of the channels, DX weights, R12 row of x, AX column, CX rows left.
func row(a *asm.File, v isa, name string, k, s, p int) {
	stub(name, rowSig)
	a.Func(name, 104)
	reg := func(i int) string { return fmt.Sprint(v.reg, i) }
	weight := func(i int) string { return reg(p + i) }
	x := reg(v.regs - 1)
	a.P("MOVQ out+8(FP), DI")
	a.P("MOVQ x+24(FP), SI")
	a.P("ADDQ off+32(FP), SI")
	a.P("MOVQ rowStep+40(FP), R8")
	a.P("MOVQ colStep+48(FP), R9")
	a.P("MOVQ rows+56(FP), R10")
	a.P("MOVQ cols+64(FP), R11")
	a.P("MOVQ w+72(FP), DX")
	a.P("MOVQ bias+88(FP), R13")
	a.P("MOVQ c+0(FP), R14") // becomes the last offset of a whole vector
	a.P("SHLQ $2, R14")
	a.P("SUBQ $%d, R14", v.bytes)
	a.P("XORL BX, BX")
	a.L("block")
	a.P("TESTQ R13, R13")
	a.P("JZ zero")
	a.P("VMOVUPS (R13)(BX*1), %s", reg(0))
	a.P("JMP start")
	a.L("zero")
	a.P("VXORPS Y0, Y0, Y0")
	a.L("start")
	for i := 1; i < p; i++ {
		a.P("VMOVAPS %s, %s", reg(0), reg(i))
	}
	a.P("LEAQ (SI)(BX*1), R12")
	a.P("MOVQ R10, CX")
	a.P("TESTQ CX, CX")
	a.P("JZ sums")
	a.L("rows")
	for i := range k {
		a.P("VMOVUPS %d(DX), %s", i*v.bytes, weight(i))
	}
	a.P("MOVQ R12, AX")
	cols := (p-1)*s + k
	for j := range cols {
		a.P("BTQ $%d, R11", j)
		a.P("JCC skip%d", j)
		used := 0
		for i := range p {
			if t := j - i*s; t >= 0 && t < k {
				used++
			}
		}
		if used > 1 {
			a.P("VMOVUPS (AX), %s", x)
		}
		for i := range p {
			if t := j - i*s; t >= 0 && t < k {
				if used > 1 {
					a.P("VFMADD231PS %s, %s, %s", x, weight(t), reg(i))
				} else {
					a.P("VFMADD231PS (AX), %s, %s", weight(t), reg(i))
				}
			}
		}
		a.L(fmt.Sprint("skip", j))
		if j < cols-1 {
			a.P("ADDQ R9, AX")
		}
	}
	a.P("ADDQ $%d, DX", k*v.bytes)
	a.P("ADDQ R8, R12")
	a.P("DECQ CX")
	a.P("JNZ rows")
	a.L("sums")
	a.P("MOVQ lim+96(FP), AX")
	for off, op := range []string{"VMAXPS", "VMINPS"} { // the second source is what a NaN gives
		a.P("VBROADCASTSS %d(AX), %s", off*4, x)
		for i := range p {
			a.P("%s %s, %s, %s", op, reg(i), x, reg(i))
		}
	}
	a.P("LEAQ (DI)(BX*1), AX")
	for i := range p {
		a.P("VMOVUPS %s, (AX)", reg(i))
		if i < p-1 {
			a.P("ADDQ outStep+16(FP), AX")
		}
	}
	next(a, v)
	a.P("ADDQ wSkip+80(FP), DX")
	a.P("JMP block")
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}

// next moves BX to the next vector of channels, or leaves for done. The last
// vector ends where the channels end. R14 is its offset.
func next(a *asm.File, v isa) {
	a.P("CMPQ BX, R14")
	a.P("JGE done")
	a.P("ADDQ $%d, BX", v.bytes)
	a.P("CMPQ BX, R14")
	a.P("CMOVQGT R14, BX")
}

// taps writes one position for all channels, of any kernel. DI out, SI list, BX
// offset of the channels, DX weights, CX taps.
func taps(a *asm.File, v isa) {
	name := v.name + "taps"
	stub(name, tapsSig)
	a.Func(name, 56)
	r := v.reg
	a.P("MOVQ c+0(FP), R14")
	a.P("SHLQ $2, R14")
	a.P("SUBQ $%d, R14", v.bytes)
	a.P("MOVQ out+8(FP), DI")
	a.P("MOVQ list+16(FP), SI")
	a.P("MOVQ taps+24(FP), R8")
	a.P("MOVQ w+32(FP), DX")
	a.P("MOVQ bias+40(FP), R13")
	a.P("MOVQ lim+48(FP), AX")
	a.P("VBROADCASTSS (AX), %s2", r)
	a.P("VBROADCASTSS 4(AX), %s3", r)
	a.P("XORL BX, BX")
	a.L("block")
	a.P("VXORPS Y0, Y0, Y0")
	a.P("TESTQ R13, R13")
	a.P("JZ start")
	a.P("VMOVUPS (R13)(BX*1), %s0", r)
	a.L("start")
	a.P("XORL CX, CX")
	a.L("taps")
	a.P("MOVQ (SI)(CX*8), AX")
	a.P("VMOVUPS (AX)(BX*1), %s1", r)
	a.P("VFMADD231PS (DX), %s1, %s0", r, r)
	a.P("ADDQ $%d, DX", v.bytes)
	a.P("INCQ CX")
	a.P("CMPQ CX, R8")
	a.P("JLT taps")
	a.P("VMAXPS %s0, %s2, %s0", r, r, r)
	a.P("VMINPS %s0, %s3, %s0", r, r, r)
	a.P("VMOVUPS %s0, (DI)(BX*1)", r)
	next(a, v)
	a.P("JMP block")
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}
