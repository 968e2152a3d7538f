package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// rowRegs point to the rows of A. BX is the offset in them, DI points into B.
var rowRegs = []string{"SI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15", "AX", "CX", "DX"}

// sets returns the number of sets of accumulators for tiles of mr rows: those of
// few rows have several, so that there are enough chains to hide the latency.
// It is the same for any number of vectors, or a column's sum would depend on
// the columns that are computed with it.
func (v isa) sets(mr int) int {
	const chains, widest = 8, 2
	n := 1
	for n < 4 && mr*n*widest < chains && 2*n*mr*widest+widest+2 <= v.regs {
		n *= 2
	}
	return n
}

// stream is the bit of a tile's mode that has C written past the caches.
const stream = 32

// tile writes a tile of mr rows and nv vectors, of which the last is half a
// vector if half is set. A pair is two tiles side by side, without a mask.
func tile(a *asm.File, v isa, name string, mr, nv int, half, pair bool) {
	stub(name, tileSig(v))
	switch {
	case pair:
		a.Frame(name, 32, 112)
		for i, arg := range []string{"segs+0", "kc+8", "a+16"} { // the first tile changes them
			a.P("MOVQ %s(FP), AX", arg)
			a.P("MOVQ AX, saved%d-%d(SP)", i, 8+8*i)
		}
		a.P("MOVQ $1, left-32(SP)")
		a.L("tile")
	case v.name == "avx2":
		a.Func(name, 112)
	default:
		a.Func(name, 104)
	}
	sets := v.sets(mr)
	reg := func(i int) string { return fmt.Sprint(v.reg, i) }
	// as returns register r as vector x uses it.
	as := func(x int, r string) string {
		if half && x == nv-1 {
			return ymm(r)
		}
		return r
	}
	acc := func(set, i, x int) string { return as(x, reg((set*mr+i)*nv+x)) }
	bvec := func(x int) string { return as(x, reg(v.regs-2-nv+x)) }
	bcast := func(i int) string { return reg(v.regs - 2 + i&1) }
	wide := v.name == "avx512"
	masks := func() {
		if wide {
			a.P("MOVQ mask+80(FP), R9")
			for x := range nv {
				a.P("KMOVW R9, K%d", x+1)
				a.P("SHRQ $16, R9")
			}
			return
		}
		a.P("MOVQ mask+80(FP), R9")
		for x := range nv {
			a.P("VMOVDQU %d(R9), %s", x*32, bcast(x)) // free outside of the loop
		}
	}
	load := func(x int, mem, dst string) {
		if wide {
			a.P("VMOVUPS.Z %s, K%d, %s", mem, x+1, dst)
		} else {
			a.P("VMASKMOVPS %s, %s, %s", mem, bcast(x), dst)
		}
	}
	// The sums begin with the bias.
	if !pair {
		masks()
	}
	for s := range sets {
		for i := range mr {
			for x := range nv {
				r := ymm(acc(s, i, x))
				a.P("VXORPS %s, %s, %s", r, r, r)
			}
		}
	}
	a.P("MOVQ bias+72(FP), BX")
	a.P("TESTQ BX, BX")
	a.P("JZ begin")
	for x := range nv {
		if pair {
			a.P("VMOVUPS %d(BX), %s", x*v.bytes, acc(0, 0, x))
			continue
		}
		load(x, fmt.Sprintf("%d(BX)", x*v.bytes), acc(0, 0, x))
	}
	for i := 1; i < mr; i++ {
		for x := range nv {
			a.P("VMOVAPS %s, %s", acc(0, 0, x), acc(0, i, x))
		}
	}
	a.L("begin")
	// Lines of C that are far away should arrive before the sums are stored.
	a.P("TESTQ $16, mode+88(FP)")
	a.P("JZ near")
	a.P("MOVQ c+48(FP), SI")
	a.P("MOVQ coff+64(FP), R8")
	for i := range mr {
		a.P("MOVQ %d(SI), BX", i*8)
		for x := range nv {
			a.P("PREFETCHT0 %d(BX)(R8*1)", x*v.bytes)
		}
	}
	a.L("near")
	a.P("MOVQ b+40(FP), DI")
	a.P("MOVQ kc+8(FP), AX") // kc becomes the last offset at which four steps fit
	a.P("SHLQ $2, AX")
	a.P("ADDQ aoff+32(FP), AX")
	a.P("SUBQ $16, AX")
	a.P("MOVQ AX, kc+8(FP)")
	if !wide {
		a.P("MOVQ next+104(FP), R13")
	}
	a.L("seg")
	a.P("SUBQ $1, segs+0(FP)")
	a.P("JLT end")
	a.P("MOVQ a+16(FP), BX")
	for i := range mr {
		a.P("MOVQ %d(BX), %s", i*8, rowRegs[i])
	}
	a.P("ADDQ aseg+24(FP), BX")
	a.P("MOVQ BX, a+16(FP)")
	a.P("MOVQ aoff+32(FP), BX")
	a.P("CMPQ BX, kc+8(FP)")
	a.P("JGT tail")
	a.P("PCALIGN $32")
	step := func(set, aoff, boff int, fetch bool) {
		for x := range nv {
			a.P("VMOVUPS %d(DI), %s", boff+x*v.bytes, bvec(x))
			if fetch { // for the first tile that reads these weights
				a.P("PREFETCHT2 %d(DI)", boff+x*v.bytes+4096)
			}
		}
		for i := range mr {
			if wide && nv == 1 { // no second use of what is loaded
				a.P("VFMADD231PS.BCST %d(%s)(BX*1), %s, %s", aoff, rowRegs[i], bvec(0), acc(set, i, 0))
				continue
			}
			a.P("VBROADCASTSS %d(%s)(BX*1), %s", aoff, rowRegs[i], bcast(i))
			for x := range nv {
				a.P("VFMADD231PS %s, %s, %s", as(x, bcast(i)), bvec(x), acc(set, i, x))
			}
		}
	}
	a.L("loop")
	if !wide { // a line in four steps: more at a time would wait for each other
		a.P("PREFETCHT1 (R13)")
		a.P("ADDQ $64, R13")
	}
	for u := range 4 {
		step(u%sets, u*4, u*128, wide)
	}
	a.P("ADDQ $512, DI")
	a.P("ADDQ $16, BX")
	a.P("CMPQ BX, kc+8(FP)")
	a.P("JLE loop")
	a.L("tail")
	a.P("SUBQ $16, BX")
	a.L("tail1")
	a.P("CMPQ BX, kc+8(FP)")
	a.P("JGE seg")
	step(0, 16, 0, false)
	a.P("ADDQ $128, DI")
	a.P("ADDQ $4, BX")
	a.P("JMP tail1")
	a.L("end")
	for s := sets / 2; s > 0; s /= 2 {
		for t := range s {
			for i := range mr {
				for x := range nv {
					a.P("VADDPS %s, %s, %s", acc(s+t, i, x), acc(t, i, x), acc(t, i, x))
				}
			}
		}
	}
	// What follows the sums. AX mode, SI list, R8 coff, BX row.
	a.P("MOVQ mode+88(FP), AX")
	a.P("MOVQ coff+64(FP), R8")
	rows := func(list string, f func(i int)) {
		a.P("MOVQ %s(FP), SI", list)
		for i := range mr {
			a.P("MOVQ %d(SI), BX", i*8)
			a.P("ADDQ R8, BX")
			f(i)
		}
	}
	at := func(x int) string { return fmt.Sprintf("%d(BX)", x*v.bytes) }
	finish := func(suffix string, masked bool) {
		if masked {
			masks()
		}
		for _, l := range []struct {
			bit  int
			list string
		}{{1, "c+48"}, {2, "z+56"}} {
			skip := fmt.Sprintf("no%d%s", l.bit, suffix)
			a.P("TESTQ $%d, AX", l.bit)
			a.P("JZ %s", skip)
			rows(l.list, func(i int) {
				for x := range nv {
					switch {
					case wide:
						a.P("VADDPS %s, %s, K%d, %s", at(x), acc(0, i, x), x+1, acc(0, i, x))
					case masked:
						a.P("VMASKMOVPS %s, %s, %s", at(x), bcast(x), bvec(x))
						a.P("VADDPS %s, %s, %s", bvec(x), acc(0, i, x), acc(0, i, x))
					default:
						a.P("VADDPS %s, %s, %s", at(x), acc(0, i, x), acc(0, i, x))
					}
				}
			})
			a.L(skip)
		}
		a.P("TESTQ $4, AX")
		a.P("JZ no4%s", suffix)
		a.P("MOVQ lim+96(FP), BX")
		for off, op := range []string{"VMAXPS", "VMINPS"} { // the second source is what a NaN gives
			a.P("VBROADCASTSS %d(BX), %s", off*4, bvec(0))
			for i := range mr {
				for x := range nv {
					a.P("%s %s, %s, %s", op, acc(0, i, x), as(x, bvec(0)), acc(0, i, x))
				}
			}
		}
		a.L("no4" + suffix)
		whole := pair || wide && nv == 2 && !half
		if whole {
			a.P("TESTQ $%d, AX", stream)
			a.P("JZ cached")
			rows("c+48", func(i int) {
				for x := range nv {
					a.P("VMOVNTPS %s, %s", acc(0, i, x), at(x))
				}
			})
			a.P("JMP stored")
			a.L("cached")
		}
		rows("c+48", func(i int) {
			for x := range nv {
				switch {
				case wide:
					a.P("VMOVUPS %s, K%d, %s", acc(0, i, x), x+1, at(x))
				case masked:
					a.P("VMASKMOVPS %s, %s, %s", acc(0, i, x), bcast(x), at(x))
				default:
					a.P("VMOVUPS %s, %s", acc(0, i, x), at(x))
				}
			}
		})
		if whole {
			a.L("stored")
		}
		if pair {
			a.P("SUBQ $1, left-32(SP)")
			a.P("JLT done")
			for i, arg := range []string{"segs+0", "kc+8", "a+16"} {
				a.P("MOVQ saved%d-%d(SP), AX", i, 8+8*i)
				a.P("MOVQ AX, %s(FP)", arg)
			}
			a.P("ADDQ $64, b+40(FP)")
			a.P("ADDQ $64, coff+64(FP)")
			a.P("MOVQ R13, next+104(FP)")
			a.P("CMPQ bias+72(FP), $0")
			a.P("JE tile")
			a.P("ADDQ $64, bias+72(FP)")
			a.P("JMP tile")
			a.L("done")
		}
		a.P("VZEROUPPER")
		a.P("RET")
	}
	if wide {
		finish("", false)
		return
	}
	if pair {
		finish("", false)
		return
	}
	a.P("TESTQ $8, AX")
	a.P("JNZ masked")
	finish("", false)
	a.L("masked")
	finish("m", true)
}

// ymm returns the 256-bit register of the same number.
func ymm(r string) string { return "Y" + r[1:] }
