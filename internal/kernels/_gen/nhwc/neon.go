package main

import (
	"fmt"
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

const (
	neonTileSig = "segs, kc int, a unsafe.Pointer, aseg, aoff int, b, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, w, mode int, lim unsafe.Pointer"
	neonMR      = 6
)

func neonAll() {
	f := neon.New("nhwc")
	for nv := 2; nv <= 4; nv += 2 {
		prefix := fmt.Sprintf("neonV%dx", nv)
		for mr := 1; mr <= neonMR; mr++ {
			neonTile(f, fmt.Sprint(prefix, mr), mr, nv)
		}
		f.Table(prefix, neonMR, neonTileSig)
	}
	for nv := 2; nv > 0; nv-- {
		var names strings.Builder
		for _, k := range []int{3, 5, 7} {
			for _, s := range []int{1, 2} {
				for p := 1; p <= 8; p++ {
					name := fmt.Sprintf("neon%drow%d%d%d", 4*nv, k, s, p)
					neonRow(f, name, nv, k, s, p)
					fmt.Fprintf(&names, "\t{%d, %d, %d}: %s,\n", k, s, p, name)
				}
			}
		}
		f.Stub("\n// neon%drows lists routines by taps of a row, stride and positions.\nvar neon%drows = map[[3]int]Row{\n%s}\n", 4*nv, 4*nv, names.String())
		neonTaps(f, nv)
	}
	neonPools(f)
	neonWinograd(f)
	f.Write()
}

// neonTile writes a tile of mr rows and nv vectors. Sums V0 to V23, A V24 to
// V29, B V30 and V31. R0 k left, R1 to R6 rows of A, R7 b, R8 kc, R9 segments
// left, R10 list, R11 aseg, R12 aoff.
func neonTile(f *neon.File, name string, mr, nv int) {
	frame := mr*nv*16 + 8
	f.Frame(name, neonTileSig, frame, 104)
	acc := func(i, x int) int { return i*nv + x }
	f.Args("R9", "segs+0", "R8", "kc+8", "R10", "a+16", "R11", "aseg+24", "R12", "aoff+32", "R7", "b+40", "R13", "bias+72", "R14", "w+80")
	// The sums begin with the bias; that of fewer columns goes through the stack.
	for x := range nv {
		f.Zero(acc(0, x))
	}
	f.P("CBZ R13, begin")
	f.P("CMP $%d, R14", 4*nv)
	f.P("BEQ bias")
	f.P("MOVD $buf-%d(SP), R15", frame)
	for x := range nv {
		f.N("str q%d, [x15, #%d]", x, 16*x)
	}
	f.P("MOVD R15, R16")
	f.L("move")
	f.P("MOVWU.P 4(R13), R17")
	f.P("MOVW.P R17, 4(R16)")
	f.P("SUBS $1, R14")
	f.P("BNE move")
	f.P("MOVD R15, R13")
	f.L("bias")
	for x := 0; x < nv; x += 2 {
		f.N("ldp q%d, q%d, [x13, #%d]", x, x+1, 16*x)
	}
	f.L("begin")
	for i := 1; i < mr; i++ {
		for x := range nv {
			f.N("mov v%d.16b, v%d.16b", acc(i, x), acc(0, x))
		}
	}
	f.L("seg")
	f.P("SUBS $1, R9")
	f.P("BLT end")
	for i := range mr {
		f.P("MOVD %d(R10), R%d", 8*i, 1+i)
	}
	for i := range mr {
		f.P("ADD R12, R%d", 1+i)
	}
	f.P("ADD R11, R10")
	step := func(u int) {
		for x := range nv {
			b := 30 + x&1
			f.N("ldr q%d, [x7, #%d]", b, u*128+16*x)
			for i := range mr {
				f.N("fmla v%d.4s, v%d.4s, v%d.s[%d]", acc(i, x), b, 24+i, u)
			}
		}
	}
	f.P("SUBS $4, R8, R0")
	f.P("BLT tail")
	f.P("PCALIGN $16")
	f.L("loop")
	for i := range mr {
		f.N("ldr q%d, [x%d], #16", 24+i, 1+i)
	}
	for u := range 4 {
		step(u)
	}
	f.P("ADD $512, R7")
	f.P("SUBS $4, R0")
	f.P("BGE loop")
	f.L("tail")
	f.P("ADDS $4, R0")
	f.P("BEQ seg")
	f.L("one")
	for i := range mr {
		f.N("ldr s%d, [x%d], #4", 24+i, 1+i)
	}
	step(0)
	f.P("ADD $128, R7")
	f.P("SUBS $1, R0")
	f.P("BNE one")
	f.P("B seg")
	// What follows the sums. R0 mode, R1 lists of c and R2 of z, R3 coff, R4
	// columns, R5 row of c, R6 row of z. V30 and V31 are the limits.
	f.L("end")
	f.Args("R0", "mode+88", "R1", "c+48", "R2", "z+56", "R3", "coff+64", "R4", "w+80", "R7", "lim+96")
	f.P("CMP $%d, R4", 4*nv)
	f.P("BNE edge")
	rows := func(list int, each func(i, x int, reg string)) {
		for i := range mr {
			f.P("MOVD %d(R%d), R5", 8*i, list)
			f.P("ADD R3, R5")
			for x := 0; x < nv; x += 2 {
				each(i, x, fmt.Sprintf("[x5, #%d]", 16*x))
			}
		}
	}
	for bit, list := range []int{1, 2} {
		skip := fmt.Sprint("no", bit)
		f.P("TBZ $%d, R0, %s", bit, skip)
		rows(list, func(i, x int, at string) {
			f.N("ldp q24, q25, %s", at)
			f.N("fadd v%d.4s, v%d.4s, v24.4s", acc(i, x), acc(i, x))
			f.N("fadd v%d.4s, v%d.4s, v25.4s", acc(i, x+1), acc(i, x+1))
		})
		f.L(skip)
	}
	limits := func() {
		f.N("ld1r {v30.4s}, [x7]")
		f.P("ADD $4, R7")
		f.N("ld1r {v31.4s}, [x7]")
	}
	limit := func(v int) {
		f.N("fmax v%d.4s, v%d.4s, v30.4s", v, v)
		f.N("fmin v%d.4s, v%d.4s, v31.4s", v, v)
	}
	f.P("TBZ $2, R0, no2")
	limits()
	for i := range mr * nv {
		limit(i)
	}
	f.L("no2")
	rows(1, func(i, x int, at string) { f.N("stp q%d, q%d, %s", acc(i, x), acc(i, x+1), at) })
	f.P("RET")
	// Fewer columns: by way of the stack. R8 row there, R9 rows left, R10 in a
	// row, R11 columns left.
	f.L("edge")
	f.P("MOVD $buf-%d(SP), R8", frame)
	for i := 0; i < mr*nv; i += 2 {
		f.N("stp q%d, q%d, [x8, #%d]", i, i+1, 16*i)
	}
	f.P("TBZ $2, R0, unlimited")
	limits()
	f.L("unlimited")
	f.P("MOVD $%d, R9", mr)
	f.L("row")
	f.P("MOVD (R1), R5")
	f.P("ADD R3, R5")
	f.P("ADD $8, R1")
	f.P("TBZ $1, R0, noz")
	f.P("MOVD (R2), R6")
	f.P("ADD R3, R6")
	f.P("ADD $8, R2")
	f.L("noz")
	f.P("MOVD R8, R10")
	f.P("MOVD R4, R11")
	some := func(reg string, size int) {
		f.N("ldr %s0, [x10], #%d", reg, size)
		for bit, x := range []int{5, 6} {
			skip := fmt.Sprint("no", reg, bit)
			f.P("TBZ $%d, R0, %s", bit, skip)
			f.N("ldr %s1, [x%d]", reg, x)
			f.N("fadd v0.4s, v0.4s, v1.4s")
			f.L(skip)
		}
		f.P("TBZ $2, R0, put%s", reg)
		limit(0)
		f.L("put" + reg)
		f.N("str %s0, [x5], #%d", reg, size)
		f.P("ADD $%d, R6", size)
	}
	f.L("four")
	f.P("SUBS $4, R11")
	f.P("BLT rest")
	some("q", 16)
	f.P("B four")
	f.L("rest")
	f.P("ADDS $4, R11")
	f.P("BEQ next")
	f.L("each")
	some("s", 4)
	f.P("SUBS $1, R11")
	f.P("BNE each")
	f.L("next")
	f.P("ADD $%d, R8", nv*16)
	f.P("SUBS $1, R9")
	f.P("BNE row")
	f.P("RET")
}

// loads reads nv vectors from register x on.
func loads(f *neon.File, nv, v, x, off int) {
	if nv == 2 {
		f.N("ldp q%d, q%d, [x%d, #%d]", v, v+1, x, off)
	} else {
		f.N("ldr q%d, [x%d, #%d]", v, x, off)
	}
}

// neonNext moves R2, an offset of channels, to the next of nv vectors, or leaves
// for done. The last ends where the channels end, at R7 behind its beginning.
func neonNext(f *neon.File, bytes int) {
	f.P("CMP R7, R2")
	f.P("BGE done")
	f.P("ADD $%d, R2", bytes)
	f.P("CMP R7, R2")
	f.P("CSEL LT, R2, R7, R2")
}

// neonRow writes p positions of a row of the output for all channels, nv vectors
// of them at a time. R0 x, R1 out, R2 offset of the channels, R3 weights, R4
// row of x, R5 column, R6 rows left.
func neonRow(f *neon.File, name string, nv, k, s, p int) {
	f.Func(name, rowSig, 104)
	acc := func(i, y int) int { return i*nv + y }
	weight := func(t, y int) int { return nv*(p+t) + y }
	const x = 30
	f.Args("R1", "out+8", "R12", "outStep+16", "R0", "x+24", "R4", "off+32", "R8", "rowStep+40", "R9", "colStep+48", "R10", "rows+56", "R11", "cols+64",
		"R3", "w+72", "R14", "wSkip+80", "R13", "bias+88", "R15", "lim+96", "R7", "c+0")
	f.P("ADD R4, R0")
	f.P("LSL $2, R7")
	f.P("SUB $%d, R7", nv*16)
	f.P("ADD $4, R15, R16")
	f.P("MOVD $0, R2")
	f.L("block")
	for y := range nv {
		f.Zero(y)
	}
	f.P("CBZ R13, start")
	f.P("ADD R13, R2, R4")
	loads(f, nv, 0, 4, 0)
	f.L("start")
	for i := 1; i < p; i++ {
		for y := range nv {
			f.N("mov v%d.16b, v%d.16b", acc(i, y), y)
		}
	}
	f.P("ADD R0, R2, R4")
	f.P("MOVD R10, R6")
	f.P("CBZ R6, sums")
	f.L("rows")
	for t := range k {
		loads(f, nv, weight(t, 0), 3, t*nv*16)
	}
	f.P("MOVD R4, R5")
	cols := (p-1)*s + k
	for j := range cols {
		skip := fmt.Sprint("skip", j)
		f.P("TBZ $%d, R11, %s", j, skip)
		loads(f, nv, x, 5, 0)
		for i := range p {
			if t := j - i*s; t >= 0 && t < k {
				for y := range nv {
					f.N("fmla v%d.4s, v%d.4s, v%d.4s", acc(i, y), x+y, weight(t, y))
				}
			}
		}
		f.L(skip)
		if j < cols-1 {
			f.P("ADD R9, R5")
		}
	}
	f.P("ADD $%d, R3", k*nv*16)
	f.P("ADD R8, R4")
	f.P("SUBS $1, R6")
	f.P("BNE rows")
	f.L("sums")
	f.N("ld1r {v30.4s}, [x15]")
	f.N("ld1r {v31.4s}, [x16]")
	f.P("ADD R1, R2, R5")
	for i := range p {
		for y := range nv {
			f.N("fmax v%d.4s, v%d.4s, v30.4s", acc(i, y), acc(i, y))
			f.N("fmin v%d.4s, v%d.4s, v31.4s", acc(i, y), acc(i, y))
		}
		if nv == 2 {
			f.N("stp q%d, q%d, [x5]", acc(i, 0), acc(i, 1))
		} else {
			f.N("str q%d, [x5]", i)
		}
		if i < p-1 {
			f.P("ADD R12, R5")
		}
	}
	neonNext(f, nv*16)
	f.P("ADD R14, R3")
	f.P("B block")
	f.L("done")
	f.P("RET")
}

// neonTaps writes one position for all channels, of any kernel. R1 out, R0 list,
// R2 offset of the channels, R3 weights, R6 taps left. Even and odd taps have
// sums of their own.
func neonTaps(f *neon.File, nv int) {
	f.Func(fmt.Sprintf("neon%dtaps", 4*nv), tapsSig, 56)
	f.Args("R7", "c+0", "R1", "out+8", "R0", "list+16", "R8", "taps+24", "R3", "w+32", "R13", "bias+40", "R15", "lim+48")
	f.P("LSL $2, R7")
	f.P("SUB $%d, R7", nv*16)
	f.N("ld1r {v30.4s}, [x15]")
	f.P("ADD $4, R15")
	f.N("ld1r {v31.4s}, [x15]")
	f.P("MOVD $0, R2")
	tap := func(set, disp, w int) {
		f.P("MOVD %d(R9), R5", disp)
		f.P("ADD R2, R5")
		loads(f, nv, 8, 5, 0)
		loads(f, nv, 10, 3, w)
		for y := range nv {
			f.N("fmla v%d.4s, v%d.4s, v%d.4s", set*2+y, 8+y, 10+y)
		}
	}
	f.L("block")
	f.Zero(0, 1, 2, 3)
	f.P("CBZ R13, start")
	f.P("ADD R13, R2, R4")
	loads(f, nv, 0, 4, 0)
	f.L("start")
	f.P("MOVD R0, R9")
	f.P("SUBS $2, R8, R6")
	f.P("BLT last")
	f.L("two")
	tap(0, 0, 0)
	tap(1, 8, nv*16)
	f.P("ADD $16, R9")
	f.P("ADD $%d, R3", nv*32)
	f.P("SUBS $2, R6")
	f.P("BGE two")
	f.L("last")
	f.P("ADDS $2, R6")
	f.P("BEQ sums")
	tap(0, 0, 0)
	f.P("ADD $%d, R3", nv*16)
	f.L("sums")
	f.P("ADD R1, R2, R5")
	for y := range nv {
		f.N("fadd v%d.4s, v%d.4s, v%d.4s", y, y, 2+y)
		f.N("fmax v%d.4s, v%d.4s, v30.4s", y, y)
		f.N("fmin v%d.4s, v%d.4s, v31.4s", y, y)
		f.N("str q%d, [x5, #%d]", y, 16*y)
	}
	neonNext(f, nv*16)
	f.P("B block")
	f.L("done")
	f.P("RET")
}

// neonPools writes the routines for pooling: 64 bytes of channels at a time over
// a list of pixels, then 16. R1 out, R0 list, R8 pixels, R2 offset, R7 the last
// one, R6 pixels left.
func neonPools(f *neon.File) {
	pool := func(name, sig string, args int, op string, last func(v int)) {
		f.Func(name, sig, args)
		f.Args("R7", "c+0", "R1", "out+8", "R0", "list+16", "R8", "pixels+24")
		if args > 32 {
			f.P("FMOVS scale+32(FP), F16")
		}
		f.P("SUB $16, R7")
		f.P("MOVD $0, R2")
		for _, nv := range []int{4, 1} {
			tag := fmt.Sprint(nv)
			next := func(v int) {
				for y := 0; y < nv; y += 2 {
					if nv == 1 {
						f.N("ldr q%d, [x5]", v)
					} else {
						f.N("ldp q%d, q%d, [x5, #%d]", v+y, v+y+1, 16*y)
					}
				}
			}
			f.L("block" + tag)
			if nv == 4 { // R9 is the last offset of 64 bytes
				f.P("SUB $48, R7, R9")
				f.P("CMP R9, R2")
				f.P("BGT block1")
			}
			f.P("MOVD (R0), R5")
			f.P("ADD R2, R5")
			next(0)
			f.P("ADD $8, R0, R4")
			f.P("SUBS $1, R8, R6")
			f.P("BEQ last" + tag)
			f.L("each" + tag)
			f.P("MOVD.P 8(R4), R5")
			f.P("ADD R2, R5")
			next(4)
			for y := range nv {
				f.N(op, y, y, 4+y)
			}
			f.P("SUBS $1, R6")
			f.P("BNE each" + tag)
			f.L("last" + tag)
			f.P("ADD R1, R2, R5")
			for y := range nv {
				last(y)
				f.N("str q%d, [x5, #%d]", y, 16*y)
			}
			if nv == 4 { // where the channels end here, the last 16 bytes are done again
				f.P("ADD $64, R2")
				f.P("CMP R9, R2")
				f.P("BLE block4")
				f.P("SUB $16, R2")
			}
			neonNext(f, 16)
			f.P("B block1")
		}
		f.L("done")
		f.P("RET")
	}
	const maxSig = "c int, out, list unsafe.Pointer, pixels int"
	none := func(int) {}
	pool("neonMax", maxSig, 32, "fmax v%d.4s, v%d.4s, v%d.4s", none)
	pool("neonMaxS", maxSig, 32, "smax v%d.16b, v%d.16b, v%d.16b", none)
	pool("neonMaxU", maxSig, 32, "umax v%d.16b, v%d.16b, v%d.16b", none)
	pool("neonMean", maxSig+", scale float32", 36, "fadd v%d.4s, v%d.4s, v%d.4s", func(v int) { f.N("fmul v%d.4s, v%d.4s, v16.s[0]", v, v) })
}

// neonTrans writes transforms of Winograd's convolution: the constants are in V24
// to V30.
type neonTrans struct{ *neon.File }

func (t neonTrans) mov(from, to int)  { t.N("mov v%d.16b, v%d.16b", to, from) }
func (t neonTrans) fma(c, x, acc int) { t.N("fmla v%d.4s, v%d.4s, v%d.4s", acc, x, 24+c) }
func (t neonTrans) fnma(c, x, acc int) {
	t.N("fmls v%d.4s, v%d.4s, v%d.4s", acc, x, 24+c)
}
func (t neonTrans) mul(c, x, to int) { t.N("fmul v%d.4s, v%d.4s, v%d.4s", to, x, 24+c) }
func (t neonTrans) add(a, b, to int) { t.N("fadd v%d.4s, v%d.4s, v%d.4s", to, a, b) }
func (t neonTrans) sub(a, b, to int) { t.N("fsub v%d.4s, v%d.4s, v%d.4s", to, a, b) }

// constants loads n constants of 64 bytes each.
func (t neonTrans) constants(arg string, n int) {
	t.P("MOVD %s(FP), R15", arg)
	for i := range n {
		t.N("ldr q%d, [x15, #%d]", 24+i, 64*i)
	}
}

func neonWinograd(f *neon.File) {
	t := neonTrans{f}
	// R0 list of pixels, R1 v, R8 its step, R2 offset of the channels, R3 tmp.
	f.Func("neonWinIn", "c int, list, v unsafe.Pointer, vStep int, tmp, consts unsafe.Pointer", 48)
	f.Args("R7", "c+0", "R0", "list+8", "R1", "v+16", "R8", "vStep+24", "R3", "tmp+32")
	f.P("LSL $2, R7")
	f.P("SUB $16, R7")
	t.constants("consts+40", 6)
	f.P("MOVD $0, R2")
	f.L("block")
	for j := range 6 {
		for i := range 6 {
			f.P("MOVD %d(R0), R5", (i*6+j)*8)
			f.N("ldr q%d, [x5, x2]", i)
		}
		input(t)
		for i := range 6 {
			f.N("str q%d, [x3, #%d]", 6+i, (i*6+j)*16)
		}
	}
	f.P("ADD R1, R2, R5")
	for i := range 6 {
		for j := 0; j < 6; j += 2 {
			f.N("ldp q%d, q%d, [x3, #%d]", j, j+1, (i*6+j)*16)
		}
		input(t)
		for j := range 6 {
			f.N("str q%d, [x5]", 6+j)
			f.P("ADD R8, R5")
		}
	}
	neonNext(f, 16)
	f.P("B block")
	f.L("done")
	f.P("RET")

	// R0 m, R8 its step, R1 and R9 lists of out and z, R13 bias, R10 lim.
	f.Func("neonWinOut", "c int, m unsafe.Pointer, mStep int, out, z, bias, lim, tmp, consts unsafe.Pointer", 72)
	f.Args("R7", "c+0", "R0", "m+8", "R8", "mStep+16", "R1", "out+24", "R9", "z+32", "R13", "bias+40", "R10", "lim+48", "R3", "tmp+56")
	f.P("LSL $2, R7")
	f.P("SUB $16, R7")
	t.constants("consts+64", 6)
	f.N("ld1r {v22.4s}, [x10]")
	f.P("ADD $4, R10")
	f.N("ld1r {v23.4s}, [x10]")
	f.P("ADD R8<<2, R8, R11")
	f.P("ADD R8, R11") // six steps
	f.P("MOVD $0, R2")
	f.L("block")
	f.P("ADD R0, R2, R12")
	for j := range 6 {
		f.P("MOVD R12, R5")
		for i := range 6 {
			f.N("ldr q%d, [x5]", i)
			if i < 5 {
				f.P("ADD R11, R5")
			}
		}
		f.P("ADD R8, R12")
		output(t)
		for i := range 4 {
			f.N("str q%d, [x3, #%d]", 6+i, (i*6+j)*16)
		}
	}
	for i := range 4 {
		for j := 0; j < 6; j += 2 {
			f.N("ldp q%d, q%d, [x3, #%d]", j, j+1, (i*6+j)*16)
		}
		output(t)
		f.P("CBZ R13, unbiased%d", i)
		f.N("ldr q0, [x13, x2]")
		for j := range 4 {
			t.add(6+j, 0, 6+j)
		}
		f.L(fmt.Sprint("unbiased", i))
		f.P("CBZ R9, alone%d", i)
		for j := range 4 {
			f.P("MOVD %d(R9), R5", (i*4+j)*8)
			f.N("ldr q0, [x5, x2]")
			t.add(6+j, 0, 6+j)
		}
		f.L(fmt.Sprint("alone", i))
		for j := range 4 {
			f.N("fmax v%d.4s, v%d.4s, v22.4s", 6+j, 6+j)
			f.N("fmin v%d.4s, v%d.4s, v23.4s", 6+j, 6+j)
			f.P("MOVD %d(R1), R5", (i*4+j)*8)
			f.N("str q%d, [x5, x2]", 6+j)
		}
	}
	neonNext(f, 16)
	f.P("B block")
	f.L("done")
	f.P("RET")

	// R0 src [9][32], R1 dst, R8 its step.
	f.Func("neonWinWeights", "src, dst unsafe.Pointer, step int, tmp, consts unsafe.Pointer", 40)
	f.Args("R0", "src+0", "R1", "dst+8", "R8", "step+16", "R3", "tmp+24")
	t.constants("consts+32", 7)
	f.P("MOVD $8, R6")
	f.L("block")
	for j := range 3 {
		for i := range 3 {
			f.N("ldr q%d, [x0, #%d]", i, (i*3+j)*128)
		}
		weights(t)
		for i := range 6 {
			f.N("str q%d, [x3, #%d]", 6+i, (i*3+j)*16)
		}
	}
	f.P("MOVD R1, R5")
	for i := range 6 {
		for j := range 3 {
			f.N("ldr q%d, [x3, #%d]", j, (i*3+j)*16)
		}
		weights(t)
		for j := range 6 {
			f.N("str q%d, [x5]", 6+j)
			f.P("ADD R8, R5")
		}
	}
	f.P("ADD $16, R0")
	f.P("ADD $16, R1")
	f.P("SUBS $1, R6")
	f.P("BNE block")
	f.P("RET")
}
