// Command attn writes attn_amd64.s, attn_arm64.s and stubs_arm64.go of
// internal/kernels/attn. It is run by go generate in that folder.
package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// isa is a width of vectors.
type isa struct {
	suffix, reg string
	bytes       int
	wide        bool // AVX-512
}

func (v isa) lanes() int { return v.bytes / 4 }

func (v isa) r(i int) string { return fmt.Sprintf("%s%d", v.reg, i) }

var isas = []isa{{"2", "Y", 32, false}, {"512", "Z", 64, true}}

func main() {
	a := asm.New("!noasm")
	for _, v := range isas {
		largest(a, v)
		addLargest(a, v)
		keepLargest(a, v)
		expSum(a, v)
		scale(a, v)
		dots(a, v)
		weigh(a, v)
		rotate(a, v)
		rotatePairs(a, v)
	}
	transpose512(a)
	transpose2(a)
	a.Raw("\n// Each of eight lanes twice.\n")
	for i := range 16 {
		a.Raw(fmt.Sprintf("DATA ·twice+%d(SB)/4, $%d\n", 4*i, i/2))
	}
	a.Raw("GLOBL ·twice(SB), RODATA|NOPTR, $64\n")
	neonAll()
	a.Write("attn_amd64.s")
}

var symbols = map[string]bool{}

// vector writes a read-only vector of eight equal float32 and returns its symbol.
func vector(a *asm.File, f float32) string {
	bits := math.Float32bits(f)
	name := fmt.Sprintf("·v%08x(SB)", bits)
	if !symbols[name] {
		symbols[name] = true
		var b strings.Builder
		b.WriteByte('\n')
		for i := 0; i < 32; i += 8 {
			fmt.Fprintf(&b, "DATA %s+%d(SB)/8, $0x%08x%08x\n", strings.TrimSuffix(name, "(SB)"), i, bits, bits)
		}
		fmt.Fprintf(&b, "GLOBL %s, RODATA|NOPTR, $32\n", name)
		a.Raw(b.String())
	}
	return name
}

// broadcast loads a constant.
func broadcast(a *asm.File, v isa, f float32, to int) {
	a.P("VBROADCASTSS %s, %s", vector(a, f), v.r(to))
}

var negInf = float32(math.Inf(-1))

// reduce folds register 0 into its first lane with op, by register 1.
func reduce(a *asm.File, v isa, op string) {
	if v.wide {
		a.P("VEXTRACTF64X4 $1, Z0, Y1")
		a.P("%s Y1, Y0, Y0", op)
	}
	a.P("VEXTRACTF128 $1, Y0, X1")
	a.P("%s X1, X0, X0", op)
	a.P("VPERMILPS $0x4e, X0, X1")
	a.P("%s X1, X0, X0", op)
	a.P("VPERMILPS $0xb1, X0, X1")
	a.P("%s X1, X0, X0", op)
}

func ret(a *asm.File) {
	a.P("VZEROUPPER")
	a.P("RET")
}

// largest: func(s unsafe.Pointer, n int) float32, the greatest of n floats, a
// multiple of 16.
func largest(a *asm.File, v isa) {
	a.Func("largest"+v.suffix, 20)
	a.P("MOVQ s+0(FP), SI")
	a.P("MOVQ n+8(FP), CX")
	u := 64 / v.bytes
	for i := range 2 {
		broadcast(a, v, negInf, i)
	}
	a.L("loop")
	for i := range u {
		a.P("VMAXPS %d(SI), %s, %s", i*v.bytes, v.r(i), v.r(i))
	}
	a.P("ADDQ $64, SI")
	a.P("SUBQ $16, CX")
	a.P("JG loop")
	a.P("VMAXPS %s, %s, %s", v.r(1), v.r(0), v.r(0))
	reduce(a, v, "VMAXPS")
	a.P("VMOVSS X0, ret+16(FP)")
	ret(a)
}

// masked writes a loop over n float32 at SI: body handles lanes [0, lanes) at
// once, under K1 where v has masks. Without them n is a multiple of 8.
func masked(a *asm.File, v isa, body func(k string)) {
	a.P("TESTQ CX, CX")
	a.P("JLE done")
	if v.wide {
		a.P("MOVQ $-1, AX")
		a.P("KMOVW AX, K1")
	}
	a.L("loop")
	if v.wide {
		a.P("CMPQ CX, $16")
		a.P("JGE full")
		a.P("BZHIQ CX, AX, AX")
		a.P("KMOVW AX, K1")
		a.L("full")
		body("K1, ")
	} else {
		body("")
	}
	a.P("ADDQ $%d, SI", v.bytes)
	a.P("SUBQ $%d, CX", v.lanes())
	a.P("JG loop")
	a.L("done")
}

// addLargest: func(s, add unsafe.Pointer, n int) float32 adds to s and returns
// the greatest sum. Where add is -Inf so is the sum.
func addLargest(a *asm.File, v isa) {
	a.Func("addLargest"+v.suffix, 28)
	a.P("MOVQ s+0(FP), SI")
	a.P("MOVQ add+8(FP), DI")
	a.P("MOVQ n+16(FP), CX")
	broadcast(a, v, negInf, 0)
	broadcast(a, v, negInf, 5)
	masked(a, v, func(k string) {
		if v.wide {
			a.P("VMOVUPS.Z (SI), K1, Z2")
			a.P("VMOVUPS.Z (DI), K1, Z3")
			a.P("VADDPS Z3, Z2, Z2")
			a.P("VCMPPS $0, Z5, Z3, K2")
			a.P("VMOVAPS Z5, K2, Z2")
			a.P("VMOVUPS Z2, K1, (SI)")
			a.P("VMAXPS Z2, Z0, K1, Z0")
		} else {
			a.P("VMOVUPS (DI), Y3")
			a.P("VADDPS (SI), Y3, Y2")
			a.P("VCMPPS $0, Y5, Y3, Y4")
			a.P("VBLENDVPS Y4, Y5, Y2, Y2")
			a.P("VMOVUPS Y2, (SI)")
			a.P("VMAXPS Y2, Y0, Y0")
		}
		a.P("ADDQ $%d, DI", v.bytes)
	})
	reduce(a, v, "VMAXPS")
	a.P("VMOVSS X0, ret+24(FP)")
	ret(a)
}

// keepLargest: func(s, keep unsafe.Pointer, n int) float32 sets s to -Inf where
// the byte of keep is 0 and returns the greatest of what stays.
func keepLargest(a *asm.File, v isa) {
	a.Func("keepLargest"+v.suffix, 28)
	a.P("MOVQ s+0(FP), SI")
	a.P("MOVQ keep+8(FP), DI")
	a.P("MOVQ n+16(FP), CX")
	broadcast(a, v, negInf, 0)
	broadcast(a, v, negInf, 5)
	if !v.wide {
		a.P("VXORPS Y6, Y6, Y6")
	}
	masked(a, v, func(k string) {
		if v.wide {
			a.P("VMOVUPS.Z (SI), K1, Z2")
			a.P("VPMOVZXBD.Z (DI), K1, Z3")
			a.P("VPTESTNMD Z3, Z3, K2")
			a.P("VMOVAPS Z5, K2, Z2")
			a.P("VMOVUPS Z2, K1, (SI)")
			a.P("VMAXPS Z2, Z0, K1, Z0")
		} else {
			a.P("VPMOVZXBD (DI), Y3")
			a.P("VPCMPEQD Y6, Y3, Y4")
			a.P("VMOVUPS (SI), Y2")
			a.P("VBLENDVPS Y4, Y5, Y2, Y2")
			a.P("VMOVUPS Y2, (SI)")
			a.P("VMAXPS Y2, Y0, Y0")
		}
		a.P("ADDQ $%d, DI", v.lanes())
	})
	reduce(a, v, "VMAXPS")
	a.P("VMOVSS X0, ret+24(FP)")
	ret(a)
}

// e^r = 1 + r + r²·P(r) for |r| <= ln2/2, to 4e-9.
var expPoly = []float32{0.5, 0.16666512191295624, 0.0416661873459816, 0.008369598537683487, 0.0013951718574389815}

const (
	ln2hi = 0.693359375
	ln2lo = -2.12194440e-4
)

// expSum: func(s unsafe.Pointer, n int, m float32) float32 replaces n floats, a
// multiple of 16, by e^(s-m) and returns their sum. Without masks results below
// the smallest normal number are 0.
func expSum(a *asm.File, v isa) {
	a.Func("expSum"+v.suffix, 28)
	a.P("MOVQ s+0(FP), SI")
	a.P("MOVQ n+8(FP), CX")
	a.P("VBROADCASTSS m+16(FP), %s", v.r(15))
	if v.wide {
		expSum512(a)
	} else {
		expSum2(a)
	}
	reduce(a, v, "VADDPS")
	a.P("VMOVSS X0, ret+24(FP)")
	ret(a)
}

func expSum512(a *asm.File) {
	v := isas[1]
	consts := []float32{-200, math.Log2E, ln2hi, ln2lo, 1}
	for i, c := range append(consts, expPoly...) {
		broadcast(a, v, c, 20+i)
	}
	for i := range 4 {
		a.P("VPXORD Z%d, Z%d, Z%d", i, i, i)
	}
	// Register blocks: x from 4, n from 8, p from 16.
	step := func(n int, labels string) {
		each := func(f func(i int)) {
			for i := range n {
				f(i)
			}
		}
		each(func(i int) { a.P("VMOVUPS %d(SI), Z%d", i*64, 4+i) })
		each(func(i int) { a.P("VSUBPS Z15, Z%d, Z%d", 4+i, 4+i) })
		each(func(i int) { a.P("VMAXPS Z%d, Z20, Z%d", 4+i, 4+i) }) // keeps NaN
		each(func(i int) { a.P("VMULPS Z21, Z%d, Z%d", 4+i, 8+i) })
		each(func(i int) { a.P("VRNDSCALEPS $0, Z%d, Z%d", 8+i, 8+i) })
		each(func(i int) { a.P("VFNMADD231PS Z22, Z%d, Z%d", 8+i, 4+i) })
		each(func(i int) { a.P("VFNMADD231PS Z23, Z%d, Z%d", 8+i, 4+i) })
		each(func(i int) { a.P("VMOVAPS Z29, Z%d", 16+i) })
		for k := len(expPoly) - 2; k >= 0; k-- {
			each(func(i int) { a.P("VFMADD213PS Z%d, Z%d, Z%d", 25+k, 4+i, 16+i) })
		}
		each(func(i int) { a.P("VFMADD213PS Z24, Z%d, Z%d", 4+i, 16+i) }) // 1 + r·P
		each(func(i int) { a.P("VFMADD213PS Z24, Z%d, Z%d", 4+i, 16+i) }) // 1 + r·(1 + r·P)
		each(func(i int) { a.P("VSCALEFPS Z%d, Z%d, Z%d", 8+i, 16+i, 16+i) })
		each(func(i int) { a.P("VMOVUPS Z%d, %d(SI)", 16+i, i*64) })
		each(func(i int) { a.P("VADDPS Z%d, Z%d, Z%d", 16+i, i, i) })
		a.P("ADDQ $%d, SI", n*64)
		a.P("SUBQ $%d, CX", n*16)
	}
	a.L("loop4")
	a.P("CMPQ CX, $64")
	a.P("JLT loop1")
	step(4, "")
	a.P("JMP loop4")
	a.L("loop1")
	a.P("CMPQ CX, $16")
	a.P("JLT done")
	step(1, "")
	a.P("JMP loop1")
	a.L("done")
	a.P("VADDPS Z1, Z0, Z0")
	a.P("VADDPS Z3, Z2, Z2")
	a.P("VADDPS Z2, Z0, Z0")
}

func expSum2(a *asm.File) {
	// Sums in Y0 and Y1; x in 2 and 3, n in 4 and 5, p in 6 and 7, mask in 8 and 9.
	broadcast(a, isas[0], 1, 14)
	broadcast(a, isas[0], -87.33654, 13)
	broadcast(a, isas[0], math.Log2E, 12)
	a.P("VXORPS Y0, Y0, Y0")
	a.P("VXORPS Y1, Y1, Y1")
	each := func(f func(i int)) { f(0); f(1) }
	a.L("loop")
	each(func(i int) { a.P("VMOVUPS %d(SI), Y%d", i*32, 2+i) })
	each(func(i int) { a.P("VSUBPS Y15, Y%d, Y%d", 2+i, 2+i) })
	each(func(i int) { a.P("VCMPPS $5, Y13, Y%d, Y%d", 2+i, 8+i) }) // not below, or NaN
	each(func(i int) { a.P("VMAXPS Y%d, Y13, Y%d", 2+i, 2+i) })
	each(func(i int) { a.P("VMULPS Y12, Y%d, Y%d", 2+i, 4+i) })
	each(func(i int) { a.P("VROUNDPS $0, Y%d, Y%d", 4+i, 4+i) })
	each(func(i int) { a.P("VFNMADD231PS %s, Y%d, Y%d", vector(a, ln2hi), 4+i, 2+i) })
	each(func(i int) { a.P("VFNMADD231PS %s, Y%d, Y%d", vector(a, ln2lo), 4+i, 2+i) })
	each(func(i int) { a.P("VMOVUPS %s, Y%d", vector(a, expPoly[4]), 6+i) })
	for k := len(expPoly) - 2; k >= 0; k-- {
		each(func(i int) { a.P("VFMADD213PS %s, Y%d, Y%d", vector(a, expPoly[k]), 2+i, 6+i) })
	}
	each(func(i int) { a.P("VFMADD213PS Y14, Y%d, Y%d", 2+i, 6+i) })
	each(func(i int) { a.P("VFMADD213PS Y14, Y%d, Y%d", 2+i, 6+i) })
	each(func(i int) { a.P("VCVTPS2DQ Y%d, Y%d", 4+i, 4+i) })
	each(func(i int) { a.P("VPSLLD $23, Y%d, Y%d", 4+i, 4+i) })
	each(func(i int) { a.P("VPADDD Y14, Y%d, Y%d", 4+i, 4+i) }) // 2^n
	each(func(i int) { a.P("VMULPS Y%d, Y%d, Y%d", 4+i, 6+i, 6+i) })
	each(func(i int) { a.P("VANDPS Y%d, Y%d, Y%d", 8+i, 6+i, 6+i) })
	each(func(i int) { a.P("VMOVUPS Y%d, %d(SI)", 6+i, i*32) })
	each(func(i int) { a.P("VADDPS Y%d, Y%d, Y%d", 6+i, i, i) })
	a.P("ADDQ $64, SI")
	a.P("SUBQ $16, CX")
	a.P("JG loop")
	a.P("VADDPS Y1, Y0, Y0")
}

// scale: func(dst, src unsafe.Pointer, n int, f float32): dst = src·f. dst may
// be src.
func scale(a *asm.File, v isa) {
	a.Func("scale"+v.suffix, 28)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("VBROADCASTSS f+24(FP), %s", v.r(0))
	if v.wide {
		masked(a, v, func(k string) {
			a.P("VMULPS.Z (SI), Z0, K1, Z1")
			a.P("VMOVUPS Z1, K1, (DI)")
			a.P("ADDQ $64, DI")
		})
		ret(a)
		return
	}
	a.L("loop")
	a.P("CMPQ CX, $8")
	a.P("JLT rest")
	a.P("VMULPS (SI), Y0, Y1")
	a.P("VMOVUPS Y1, (DI)")
	a.P("ADDQ $32, SI")
	a.P("ADDQ $32, DI")
	a.P("SUBQ $8, CX")
	a.P("JMP loop")
	a.L("rest")
	a.P("TESTQ CX, CX")
	a.P("JLE done")
	a.P("VMULSS (SI), X0, X1")
	a.P("VMOVSS X1, (DI)")
	a.P("ADDQ $4, SI")
	a.P("ADDQ $4, DI")
	a.P("DECQ CX")
	a.P("JMP rest")
	a.L("done")
	ret(a)
}

// dots: func(q unsafe.Pointer, d int, k unsafe.Pointer, ldk, n int, s unsafe.Pointer):
// s[j] = Σ q[i]·k[j·ldk+i], ldk in bytes. Four rows of k at a time.
func dots(a *asm.File, v isa) {
	a.Func("dots"+v.suffix, 48)
	a.P("MOVQ k+16(FP), DI")
	a.P("MOVQ ldk+24(FP), R8")
	a.P("MOVQ n+32(FP), R9")
	a.P("MOVQ s+40(FP), DX")
	group := func(rows int, label string) {
		ptr := []string{"DI", "R10", "R11", "R12"}
		for i := 1; i < rows; i++ {
			a.P("LEAQ (%s)(R8*1), %s", ptr[i-1], ptr[i])
		}
		a.P("MOVQ q+0(FP), SI")
		a.P("MOVQ d+8(FP), CX")
		a.P("XORQ BX, BX")
		a.P("LEAQ (R8*8), R13") // what is prefetched
		for i := range rows {
			a.P("VXORPS Y%d, Y%d, Y%d", i, i, i)
			a.P("VXORPS Y%d, Y%d, Y%d", 4+i, 4+i, 4+i)
		}
		a.P("SUBQ $%d, CX", v.lanes())
		a.P("JLT tail%s", label)
		a.L("inner" + label)
		a.P("VMOVUPS (SI)(BX*1), %s", v.r(8))
		for i := range rows {
			a.P("VFMADD231PS (%s)(BX*1), %s, %s", ptr[i], v.r(8), v.r(i))
			a.P("PREFETCHT0 (%s)(R13*1)", ptr[i])
		}
		a.P("ADDQ $%d, R13", v.bytes)
		a.P("ADDQ $%d, BX", v.bytes)
		a.P("SUBQ $%d, CX", v.lanes())
		a.P("JGE inner%s", label)
		a.L("tail" + label)
		a.P("ADDQ $%d, CX", v.lanes())
		a.P("JZ sum%s", label)
		if v.wide {
			a.P("MOVQ $-1, AX")
			a.P("BZHIQ CX, AX, AX")
			a.P("KMOVW AX, K1")
			a.P("VMOVUPS.Z (SI)(BX*1), K1, Z8")
			for i := range rows {
				a.P("VMOVUPS.Z (%s)(BX*1), K1, Z9", ptr[i])
				a.P("VFMADD231PS Z9, Z8, Z%d", i)
			}
		} else {
			a.L("one" + label)
			a.P("VMOVSS (SI)(BX*1), X8")
			for i := range rows {
				a.P("VMOVSS (%s)(BX*1), X9", ptr[i])
				a.P("VFMADD231SS X9, X8, X%d", 4+i)
			}
			a.P("ADDQ $4, BX")
			a.P("DECQ CX")
			a.P("JNZ one%s", label)
		}
		a.L("sum" + label)
		if v.wide {
			for i := range rows {
				a.P("VEXTRACTF64X4 $1, Z%d, Y9", i)
				a.P("VADDPS Y9, Y%d, Y%d", i, i)
			}
		} else {
			for i := range rows {
				a.P("VADDPS Y%d, Y%d, Y%d", 4+i, i, i)
			}
		}
		if rows == 4 {
			a.P("VHADDPS Y1, Y0, Y0")
			a.P("VHADDPS Y3, Y2, Y2")
			a.P("VHADDPS Y2, Y0, Y0")
			a.P("VEXTRACTF128 $1, Y0, X1")
			a.P("VADDPS X1, X0, X0")
			a.P("VMOVUPS X0, (DX)")
			a.P("ADDQ $16, DX")
			a.P("LEAQ (DI)(R8*4), DI")
			return
		}
		a.P("VHADDPS Y0, Y0, Y0")
		a.P("VHADDPS Y0, Y0, Y0")
		a.P("VEXTRACTF128 $1, Y0, X1")
		a.P("VADDSS X1, X0, X0")
		a.P("VMOVSS X0, (DX)")
		a.P("ADDQ $4, DX")
		a.P("ADDQ R8, DI")
	}
	a.L("four")
	a.P("SUBQ $4, R9")
	a.P("JLT single")
	group(4, "4")
	a.P("JMP four")
	a.L("single")
	a.P("ADDQ $4, R9")
	a.L("next")
	a.P("SUBQ $1, R9")
	a.P("JLT done")
	group(1, "1")
	a.P("JMP next")
	a.L("done")
	ret(a)
}

// weigh: func(p unsafe.Pointer, n int, v unsafe.Pointer, ldv int, y unsafe.Pointer, w int):
// y[i] += Σ p[j]·v[j·ldv+i] for i < w, ldv in bytes. Four vectors of columns at
// a time.
func weigh(a *asm.File, v isa) {
	a.Func("weigh"+v.suffix, 48)
	a.P("MOVQ v+16(FP), DI")
	a.P("MOVQ ldv+24(FP), R8")
	a.P("MOVQ y+32(FP), DX")
	a.P("MOVQ w+40(FP), R9")
	start := func() {
		a.P("MOVQ p+0(FP), SI")
		a.P("MOVQ n+8(FP), CX")
		a.P("MOVQ DI, R10")
	}
	next := func(label string, bytes int) {
		a.P("ADDQ $4, SI")
		a.P("ADDQ R8, R10")
		a.P("DECQ CX")
		a.P("JNZ %s", label)
	}
	a.L("wide")
	a.P("CMPQ R9, $%d", 4*v.lanes())
	a.P("JLT narrow")
	start()
	for i := range 4 {
		a.P("VMOVUPS %d(DX), %s", i*v.bytes, v.r(i))
	}
	for i := range 4 {
		a.P("VXORPS Y%d, Y%d, Y%d", 4+i, 4+i, 4+i)
	}
	a.P("SUBQ $2, CX")
	a.P("JLT odd4")
	a.L("rows4")
	a.P("VBROADCASTSS (SI), %s", v.r(8))
	a.P("VBROADCASTSS 4(SI), %s", v.r(9))
	a.P("LEAQ (R10)(R8*1), R11")
	for i := range 4 {
		a.P("VFMADD231PS %d(R10), %s, %s", i*v.bytes, v.r(8), v.r(i))
		a.P("PREFETCHT0 %d(R10)(R8*8)", i*v.bytes)
	}
	for i := range 4 {
		a.P("VFMADD231PS %d(R10)(R8*1), %s, %s", i*v.bytes, v.r(9), v.r(4+i))
		a.P("PREFETCHT0 %d(R11)(R8*8)", i*v.bytes)
	}
	a.P("ADDQ $8, SI")
	a.P("LEAQ (R10)(R8*2), R10")
	a.P("SUBQ $2, CX")
	a.P("JGE rows4")
	a.L("odd4")
	a.P("ADDQ $2, CX")
	a.P("JZ store4")
	a.P("VBROADCASTSS (SI), %s", v.r(8))
	for i := range 4 {
		a.P("VFMADD231PS %d(R10), %s, %s", i*v.bytes, v.r(8), v.r(i))
	}
	a.L("store4")
	for i := range 4 {
		a.P("VADDPS %s, %s, %s", v.r(4+i), v.r(i), v.r(i))
		a.P("VMOVUPS %s, %d(DX)", v.r(i), i*v.bytes)
	}
	a.P("ADDQ $%d, DI", 4*v.bytes)
	a.P("ADDQ $%d, DX", 4*v.bytes)
	a.P("SUBQ $%d, R9", 4*v.lanes())
	a.P("JMP wide")
	a.L("narrow")
	a.P("TESTQ R9, R9")
	a.P("JLE done")
	if v.wide {
		a.P("MOVQ $-1, AX")
		a.P("CMPQ R9, $16")
		a.P("JGE full")
		a.P("BZHIQ R9, AX, AX")
		a.L("full")
		a.P("KMOVW AX, K1")
		start()
		a.P("VMOVUPS.Z (DX), K1, Z0")
		a.L("rows1")
		a.P("VBROADCASTSS (SI), Z8")
		a.P("VFMADD231PS (R10), Z8, K1, Z0")
		next("rows1", v.bytes)
		a.P("VMOVUPS Z0, K1, (DX)")
	} else {
		a.P("CMPQ R9, $8")
		a.P("JLT ones")
		start()
		a.P("VMOVUPS (DX), Y0")
		a.L("rows1")
		a.P("VBROADCASTSS (SI), Y8")
		a.P("VFMADD231PS (R10), Y8, Y0")
		next("rows1", v.bytes)
		a.P("VMOVUPS Y0, (DX)")
	}
	a.P("ADDQ $%d, DI", v.bytes)
	a.P("ADDQ $%d, DX", v.bytes)
	a.P("SUBQ $%d, R9", v.lanes())
	a.P("JMP narrow")
	if !v.wide {
		a.L("ones")
		start()
		a.P("VMOVSS (DX), X0")
		a.L("rows0")
		a.P("VMOVSS (SI), X8")
		a.P("VFMADD231SS (R10), X8, X0")
		next("rows0", 4)
		a.P("VMOVSS X0, (DX)")
		a.P("ADDQ $4, DI")
		a.P("ADDQ $4, DX")
		a.P("DECQ R9")
		a.P("JNZ ones")
	}
	a.L("done")
	ret(a)
}

// rotate: func(dst, src unsafe.Pointer, half int, c, s unsafe.Pointer, n int):
// dst[i] = c[i]·src[i] - s[i]·src[half+i], dst[half+i] = s[i]·src[i] +
// c[i]·src[half+i] for i < n. half is in bytes; dst may be src.
func rotate(a *asm.File, v isa) {
	a.Func("rotate"+v.suffix, 48)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ half+16(FP), R8")
	a.P("MOVQ c+24(FP), R9")
	a.P("MOVQ s+32(FP), R10")
	a.P("MOVQ n+40(FP), CX")
	masked(a, v, func(string) {
		z, k := "", ""
		if v.wide {
			z, k = ".Z", "K1, "
		}
		for i, at := range []string{"(SI)", "(SI)(R8*1)", "(R9)", "(R10)"} {
			a.P("VMOVUPS%s %s, %s%s", z, at, k, v.r(i))
		}
		a.P("VMULPS %s, %s, %s", v.r(3), v.r(1), v.r(4))
		a.P("VMULPS %s, %s, %s", v.r(2), v.r(1), v.r(5))
		a.P("VFMSUB231PS %s, %s, %s", v.r(0), v.r(2), v.r(4))
		a.P("VFMADD231PS %s, %s, %s", v.r(0), v.r(3), v.r(5))
		a.P("VMOVUPS %s, %s(DI)", v.r(4), k)
		a.P("VMOVUPS %s, %s(DI)(R8*1)", v.r(5), k)
		for _, r := range []string{"DI", "R9", "R10"} {
			a.P("ADDQ $%d, %s", v.bytes, r)
		}
	})
	ret(a)
}

// rotatePairs: func(dst, src, c, s unsafe.Pointer, n int) is rotate for
// elements that are neighbours; n counts them, twice as many as c and s have.
func rotatePairs(a *asm.File, v isa) {
	a.Func("rotatePairs"+v.suffix, 40)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ c+16(FP), R9")
	a.P("MOVQ s+24(FP), R10")
	a.P("MOVQ n+32(FP), CX")
	a.P("VMOVUPS ·twice(SB), %s", v.r(6))
	masked(a, v, func(string) {
		if v.wide {
			a.P("MOVQ CX, BX")
			a.P("SHRQ $1, BX")
			a.P("MOVQ $0xff, AX")
			a.P("CMPQ BX, $8")
			a.P("JGE whole")
			a.P("BZHIQ BX, AX, AX")
			a.L("whole")
			a.P("KMOVW AX, K2")
			a.P("VMOVUPS.Z (SI), K1, Z0")
			a.P("VMOVUPS.Z (R9), K2, Z2")
			a.P("VMOVUPS.Z (R10), K2, Z3")
			a.P("MOVQ $-1, AX")
		} else {
			a.P("VMOVUPS (SI), Y0")
			a.P("VMOVUPS (R9), X2")
			a.P("VMOVUPS (R10), X3")
		}
		a.P("VPERMPS %s, %s, %s", v.r(2), v.r(6), v.r(2))
		a.P("VPERMPS %s, %s, %s", v.r(3), v.r(6), v.r(3))
		a.P("VPERMILPS $0xb1, %s, %s", v.r(0), v.r(1))
		a.P("VMULPS %s, %s, %s", v.r(3), v.r(1), v.r(1))
		a.P("VFMADDSUB213PS %s, %s, %s", v.r(1), v.r(2), v.r(0))
		if v.wide {
			a.P("VMOVUPS Z0, K1, (DI)")
		} else {
			a.P("VMOVUPS Y0, (DI)")
		}
		a.P("ADDQ $%d, DI", v.bytes)
		a.P("ADDQ $%d, R9", v.bytes/2)
		a.P("ADDQ $%d, R10", v.bytes/2)
	})
	ret(a)
}

// transpose512: func(dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds int)
// writes the 16x16 block at src to dst, its rows as columns. Strides in bytes.
func transpose512(a *asm.File) {
	a.Func("transpose512", 32)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ ldd+8(FP), R8")
	a.P("MOVQ src+16(FP), SI")
	a.P("MOVQ lds+24(FP), R9")
	for i := range 16 {
		a.P("VMOVUPS (SI), Z%d", i)
		a.P("ADDQ R9, SI")
	}
	// Pairs of rows, then fours: afterwards 128-bit lane l of register
	// 4g+c holds column 4l+c of rows 4g to 4g+3.
	for g := 0; g < 16; g += 2 {
		a.P("VUNPCKLPS Z%d, Z%d, Z%d", g+1, g, 16+g)
		a.P("VUNPCKHPS Z%d, Z%d, Z%d", g+1, g, 17+g)
	}
	for g := 0; g < 16; g += 4 {
		for h := range 2 {
			a.P("VUNPCKLPD Z%d, Z%d, Z%d", 16+g+2+h, 16+g+h, g+2*h)
			a.P("VUNPCKHPD Z%d, Z%d, Z%d", 16+g+2+h, 16+g+h, g+2*h+1)
		}
	}
	for c := range 4 {
		a.P("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 4+c, c, 16+c)    // lanes 0 and 2 of groups 0 and 1
		a.P("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 4+c, c, 20+c)    // lanes 1 and 3
		a.P("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 12+c, 8+c, 24+c) // groups 2 and 3
		a.P("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 12+c, 8+c, 28+c)
	}
	for c := range 4 {
		a.P("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 24+c, 16+c, c)    // column c
		a.P("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 28+c, 20+c, 4+c)  // column 4+c
		a.P("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 24+c, 16+c, 8+c)  // column 8+c
		a.P("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 28+c, 20+c, 12+c) // column 12+c
	}
	for i := range 16 {
		a.P("VMOVUPS Z%d, (DI)", i)
		a.P("ADDQ R8, DI")
	}
	ret(a)
}

// transpose2 is transpose512 for a block of 8x8.
func transpose2(a *asm.File) {
	a.Func("transpose2", 32)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ ldd+8(FP), R8")
	a.P("MOVQ src+16(FP), SI")
	a.P("MOVQ lds+24(FP), R9")
	for i := range 8 {
		a.P("VMOVUPS (SI), Y%d", i)
		a.P("ADDQ R9, SI")
	}
	for g := 0; g < 8; g += 2 {
		a.P("VUNPCKLPS Y%d, Y%d, Y%d", g+1, g, 8+g)
		a.P("VUNPCKHPS Y%d, Y%d, Y%d", g+1, g, 9+g)
	}
	for g := 0; g < 8; g += 4 {
		for h := range 2 {
			a.P("VUNPCKLPD Y%d, Y%d, Y%d", 8+g+2+h, 8+g+h, g+2*h)
			a.P("VUNPCKHPD Y%d, Y%d, Y%d", 8+g+2+h, 8+g+h, g+2*h+1)
		}
	}
	for c := range 4 {
		a.P("VPERM2F128 $0x20, Y%d, Y%d, Y%d", 4+c, c, 8+c)
		a.P("VPERM2F128 $0x31, Y%d, Y%d, Y%d", 4+c, c, 12+c)
	}
	for i := range 8 {
		a.P("VMOVUPS Y%d, (DI)", 8+i)
		a.P("ADDQ R8, DI")
	}
	ret(a)
}
