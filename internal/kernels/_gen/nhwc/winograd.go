package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// steps are what transforms are made of: registers are numbered, and so are
// constants.
type steps interface {
	mov(from, to int)
	fma(c, x, acc int)  // acc += c·x
	fnma(c, x, acc int) // acc -= c·x
	mul(c, x, to int)
	add(a, b, to int)
	sub(a, b, to int) // a - b
}

// trans writes one transform of Winograd's convolution. R15 points to the
// constants, each a row of 64 bytes; DX to working memory.
type trans struct {
	*asm.File
	v isa
}

func (t trans) reg(i int) string { return fmt.Sprint(t.v.reg, i) }

// constant returns the operand of constant i.
func (t trans) constant(i int) string {
	if t.v.regs == 32 {
		return t.reg(24 + i)
	}
	return fmt.Sprintf("%d(R15)", i*64)
}

// constants loads n constants where there are registers for them.
func (t trans) constants(arg string, n int) {
	t.P("MOVQ %s(FP), R15", arg)
	if t.v.regs == 32 {
		for i := range n {
			t.P("VMOVUPS %d(R15), %s", i*64, t.reg(24+i))
		}
	}
}

func (t trans) mov(from, to int)  { t.P("VMOVAPS %s, %s", t.reg(from), t.reg(to)) }
func (t trans) fma(c, x, acc int) { t.P("VFMADD231PS %s, %s, %s", t.constant(c), t.reg(x), t.reg(acc)) }
func (t trans) fnma(c, x, acc int) {
	t.P("VFNMADD231PS %s, %s, %s", t.constant(c), t.reg(x), t.reg(acc))
}
func (t trans) mul(c, x, to int)           { t.P("VMULPS %s, %s, %s", t.constant(c), t.reg(x), t.reg(to)) }
func (t trans) op(op string, a, b, to int) { t.P("%s %s, %s, %s", op, t.reg(b), t.reg(a), t.reg(to)) } // a op b
func (t trans) add(a, b, to int)           { t.op("VADDPS", a, b, to) }
func (t trans) sub(a, b, to int)           { t.op("VSUBPS", a, b, to) }

// input turns registers 0 to 5 into 6 to 11. The constants are a²b², -(a²+b²),
// -b², -a², a, b for the points 0, ±a, ±b and infinity.
func input(t steps) {
	t.mov(4, 6)
	t.fma(0, 0, 6)
	t.fma(1, 2, 6)
	for i, c := range []int{2, 3} { // even and odd part at ±a, ±b
		even, odd, plus := 8+2*i, 12, 7+2*i
		t.mov(4, even)
		t.fma(c, 2, even)
		t.mov(3, odd)
		t.fma(c, 1, odd)
		t.mov(even, plus)
		t.fma(4+i, odd, plus)
		t.fnma(4+i, odd, even)
	}
	t.mov(5, 11)
	t.fma(0, 1, 11)
	t.fma(1, 3, 11)
}

// output turns registers 0 to 5 into 6 to 9. The constants are a, b, a², b², a³, b³.
func output(t steps) {
	t.add(1, 2, 10)
	t.sub(1, 2, 11)
	t.add(3, 4, 12)
	t.sub(3, 4, 13)
	t.add(0, 10, 6)
	t.add(6, 12, 6)
	t.mul(0, 11, 7)
	t.fma(1, 13, 7)
	t.mul(2, 10, 8)
	t.fma(3, 12, 8)
	t.mov(5, 9)
	t.fma(4, 11, 9)
	t.fma(5, 13, 9)
}

// weights turns registers 0 to 2 into 6 to 11. The constants are 1/n0, then
// 1/n, p²/n, p/n for p = a and b.
func weights(t steps) {
	t.mul(0, 0, 6)
	for i := range 2 {
		c, plus, minus := 1+3*i, 7+2*i, 8+2*i
		t.mul(c, 0, minus)
		t.fma(c+1, 2, minus)
		t.mov(minus, plus)
		t.fma(c+2, 1, plus)
		t.fnma(c+2, 1, minus)
	}
	t.mov(2, 11)
}

func (t trans) load(from string, to int)  { t.P("VMOVUPS %s, %s", from, t.reg(to)) }
func (t trans) store(from int, to string) { t.P("VMOVUPS %s, %s", t.reg(from), to) }

// tmp is the place of vector i in working memory.
func (t trans) tmp(i int) string { return fmt.Sprintf("%d(DX)", i*t.v.bytes) }

func winograd(a *asm.File, v isa) {
	t := trans{a, v}
	// SI list of pixels, DI v, R8 its step, BX offset of the channels.
	name, sig := v.name+"winIn", "c int, list, v unsafe.Pointer, vStep int, tmp, consts unsafe.Pointer"
	stub(name, sig)
	a.Func(name, 48)
	a.P("MOVQ c+0(FP), R14")
	a.P("SHLQ $2, R14")
	a.P("SUBQ $%d, R14", v.bytes)
	a.P("MOVQ list+8(FP), SI")
	a.P("MOVQ v+16(FP), DI")
	a.P("MOVQ vStep+24(FP), R8")
	a.P("MOVQ tmp+32(FP), DX")
	t.constants("consts+40", 6)
	a.P("XORL BX, BX")
	a.L("block")
	for j := range 6 {
		for i := range 6 {
			a.P("MOVQ %d(SI), AX", (i*6+j)*8)
			t.load("(AX)(BX*1)", i)
		}
		input(t)
		for i := range 6 {
			t.store(6+i, t.tmp(i*6+j))
		}
	}
	a.P("LEAQ (DI)(BX*1), AX")
	for i := range 6 {
		for j := range 6 {
			t.load(t.tmp(i*6+j), j)
		}
		input(t)
		for j := range 6 {
			t.store(6+j, "(AX)")
			a.P("ADDQ R8, AX")
		}
	}
	next(a, v)
	a.P("JMP block")
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")

	// SI m, R8 its step, DI and R9 lists of out and z, R13 bias.
	name, sig = v.name+"winOut", "c int, m unsafe.Pointer, mStep int, out, z, bias, lim, tmp, consts unsafe.Pointer"
	stub(name, sig)
	a.Func(name, 72)
	a.P("MOVQ c+0(FP), R14")
	a.P("SHLQ $2, R14")
	a.P("SUBQ $%d, R14", v.bytes)
	a.P("MOVQ m+8(FP), SI")
	a.P("MOVQ mStep+16(FP), R8")
	a.P("MOVQ out+24(FP), DI")
	a.P("MOVQ z+32(FP), R9")
	a.P("MOVQ bias+40(FP), R13")
	a.P("MOVQ lim+48(FP), R10")
	a.P("MOVQ tmp+56(FP), DX")
	t.constants("consts+64", 6)
	a.P("LEAQ (R8)(R8*4), R11")
	a.P("ADDQ R8, R11") // six steps
	a.P("XORL BX, BX")
	a.L("block")
	a.P("LEAQ (SI)(BX*1), R12")
	for j := range 6 {
		a.P("MOVQ R12, AX")
		for i := range 6 {
			t.load("(AX)", i)
			if i < 5 {
				a.P("ADDQ R11, AX")
			}
		}
		a.P("ADDQ R8, R12")
		output(t)
		for i := range 4 {
			t.store(6+i, t.tmp(i*6+j))
		}
	}
	for i := range 4 {
		for j := range 6 {
			t.load(t.tmp(i*6+j), j)
		}
		output(t)
		a.P("TESTQ R13, R13")
		a.P("JZ unbiased%d", i)
		t.load("(R13)(BX*1)", 0)
		for j := range 4 {
			t.add(6+j, 0, 6+j)
		}
		a.L(fmt.Sprint("unbiased", i))
		a.P("TESTQ R9, R9")
		a.P("JZ alone%d", i)
		for j := range 4 {
			a.P("MOVQ %d(R9), AX", (i*4+j)*8)
			a.P("VADDPS (AX)(BX*1), %s, %s", t.reg(6+j), t.reg(6+j))
		}
		a.L(fmt.Sprint("alone", i))
		a.P("VBROADCASTSS (R10), %s", t.reg(0))
		a.P("VBROADCASTSS 4(R10), %s", t.reg(1))
		for j := range 4 { // the second source is what a NaN gives
			a.P("VMAXPS %s, %s, %s", t.reg(6+j), t.reg(0), t.reg(6+j))
			a.P("VMINPS %s, %s, %s", t.reg(6+j), t.reg(1), t.reg(6+j))
			a.P("MOVQ %d(DI), AX", (i*4+j)*8)
			t.store(6+j, "(AX)(BX*1)")
		}
	}
	next(a, v)
	a.P("JMP block")
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")

	// SI src [9][32], DI dst, R8 its step.
	name, sig = v.name+"winWeights", "src, dst unsafe.Pointer, step int, tmp, consts unsafe.Pointer"
	stub(name, sig)
	a.Func(name, 40)
	a.P("MOVQ src+0(FP), SI")
	a.P("MOVQ dst+8(FP), DI")
	a.P("MOVQ step+16(FP), R8")
	a.P("MOVQ tmp+24(FP), DX")
	t.constants("consts+32", 7)
	a.P("MOVL $%d, CX", 128/v.bytes)
	a.L("block")
	for j := range 3 {
		for i := range 3 {
			t.load(fmt.Sprintf("%d(SI)", (i*3+j)*128), i)
		}
		weights(t)
		for i := range 6 {
			t.store(6+i, t.tmp(i*3+j))
		}
	}
	a.P("MOVQ DI, AX")
	for i := range 6 {
		for j := range 3 {
			t.load(t.tmp(i*3+j), j)
		}
		weights(t)
		for j := range 6 {
			t.store(6+j, "(AX)")
			a.P("ADDQ R8, AX")
		}
	}
	a.P("ADDQ $%d, SI", v.bytes)
	a.P("ADDQ $%d, DI", v.bytes)
	a.P("DECQ CX")
	a.P("JNZ block")
	a.P("VZEROUPPER")
	a.P("RET")
}
