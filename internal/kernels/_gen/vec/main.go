// Command vec writes internal/kernels/vec/vec_amd64.s. It is run by go generate
// in that folder.
//
// Functions of one variable are computed in float64, eight elements to a
// register, four registers at a time, and rounded once.
package main

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

const chains = 4

func each(f func(i int)) {
	for i := range chains {
		f(i)
	}
}

func main() {
	a := asm.New("!noasm")
	unary(a, "exp512", nil, func(m consts) {
		expCore(a, m)
		each(func(i int) { a.P("VADDPD %s, Z%d, Z%d", m.one, 8+i, 8+i) })
		each(func(i int) { a.P("VSCALEFPD Z%d, Z%d, Z%d", 4+i, 8+i, i) })
	})
	unary(a, "sigmoid512", nil, func(m consts) {
		sigmoid(a, m)
	})
	unary(a, "tanh512", nil, func(m consts) {
		each(func(i int) { a.P("VMOVAPD Z%d, Z%d", i, 12+i) })
		each(func(i int) { a.P("VADDPD Z%d, Z%d, Z%d", i, i, i) })
		expCore(a, m) // e^2x = (1+q)·2^k
		each(func(i int) { a.P("VSCALEFPD Z%d, %s, Z%d", 4+i, m.one, 4+i) })
		each(func(i int) { a.P("VSUBPD %s, Z%d, Z%d", m.one, 4+i, i) })
		each(func(i int) { a.P("VFMADD231PD Z%d, Z%d, Z%d", 8+i, 4+i, i) }) // e^2x - 1
		each(func(i int) { a.P("VADDPD.BCST %s, Z%d, Z%d", a.Double(2), i, 4+i) })
		each(func(i int) { a.P("VDIVPD Z%d, Z%d, Z%d", 4+i, i, i) })
		each(func(i int) { a.P("VPANDQ.BCST %s, Z%d, Z%d", a.Double(math.Copysign(0, -1)), 12+i, 12+i) })
		each(func(i int) { a.P("VPORQ Z%d, Z%d, Z%d", 12+i, i, i) }) // the sign of 0
	})
	// x·P(x²/8-1) for |x| <= 4, beyond which erf rounds to ±1.
	unary(a, "erf512", nil, func(m consts) {
		clamp(a, 4)
		erfPoly(a, m, erf4, 8)
		each(func(i int) { a.P("VMULPD Z%d, Z%d, Z%d", 8+i, i, i) })
	})
	// x/2·(1+erf(x/√2)); -0 below -8.4, where the error of erf would show.
	unary(a, "gelu512", nil, func(m consts) {
		each(func(i int) { a.P("VMOVAPD Z%d, Z%d", i, 12+i) })
		each(func(i int) { a.P("VMULPD.BCST %s, Z%d, Z%d", a.Double(math.Sqrt2/2), i, i) })
		clamp(a, 6)
		erfPoly(a, m, erf6, 18)
		each(func(i int) { a.P("VFMADD213PD %s, Z%d, Z%d", m.one, i, 8+i) }) // 1 + z·P
		each(func(i int) { a.P("VMULPD.BCST %s, Z%d, Z%d", a.Double(0.5), 12+i, i) })
		each(func(i int) { a.P("VMULPD Z%d, Z%d, Z%d", 8+i, i, i) })
		each(func(i int) {
			a.P("VCMPPD.BCST $1, %s, Z%d, K5", a.Double(-8.4), 12+i)
			a.P("VBROADCASTSD %s, K5, Z%d", a.Double(math.Copysign(0, -1)), i)
		})
	})
	// x·sigmoid(alpha·x), alpha > 0.
	unary(a, "swish512", []string{"VBROADCASTSS alpha+24(FP), Y31", "VCVTPS2PD Y31, Z31"}, func(m consts) {
		keepProduct(a)
		each(func(i int) { a.P("VMULPD Z31, Z%d, Z%d", i, i) })
		sigmoid(a, m)
		each(func(i int) { a.P("VMULPD Z%d, Z%d, Z%d", 12+i, i, i) })
	})
	unary(a, "geluTanh512", nil, func(m consts) {
		s := 2 * math.Sqrt(2/math.Pi)
		keepProduct(a)
		each(func(i int) { a.P("VMULPD Z%d, Z%d, Z%d", i, i, 4+i) })
		each(func(i int) { a.P("VBROADCASTSD %s, Z%d", a.Double(s*0.044715), 8+i) })
		each(func(i int) { a.P("VFMADD213PD.BCST %s, Z%d, Z%d", a.Double(s), 4+i, 8+i) })
		each(func(i int) { a.P("VMULPD Z%d, Z%d, Z%d", 8+i, i, i) })
		sigmoid(a, m)
		each(func(i int) { a.P("VMULPD Z%d, Z%d, Z%d", 12+i, i, i) })
	})
	for _, op := range []string{"ADD", "SUB", "MUL", "DIV"} {
		arith(a, op, false)
		arith(a, op, true)
	}
	clip(a)
	a.Write("vec_amd64.s")
}

// consts are the registers of constants that expCore reads.
type consts struct{ one, lo, hi, l2e, ln2 string }

// unary writes func name(dst, x unsafe.Pointer, n int), plus what extra loads.
// body has x in Z0 to Z3 and leaves its result there; Z4 to Z15 are free.
func unary(a *asm.File, name string, extra []string, body func(m consts)) {
	args := 24
	if extra != nil {
		args = 28
	}
	a.Func(name, args)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	m := consts{"Z16", "Z17", "Z18", "Z19", "Z20"}
	for i, v := range []float64{1, -700, 700, math.Log2E, math.Ln2} {
		a.P("VBROADCASTSD %s, Z%d", a.Double(v), 16+i)
	}
	for _, s := range extra {
		a.P("%s", s)
	}
	a.P("TESTQ CX, CX")
	a.P("JLE done")
	a.P("PCALIGN $32")
	a.L("loop")
	a.P("MOVQ $-1, AX")
	a.P("CMPQ CX, $32")
	a.P("JGE full")
	a.P("BZHIQ CX, AX, AX")
	a.L("full")
	each(func(i int) {
		a.P("KMOVB AX, K%d", 1+i)
		a.P("SHRQ $8, AX")
		a.P("VCVTPS2PD.Z %d(SI), K%d, Z%d", i*32, 1+i, i)
	})
	body(m)
	each(func(i int) {
		a.P("VCVTPD2PS Z%d, Y%d", i, i)
		a.P("VMOVUPS Y%d, K%d, %d(DI)", i, 1+i, i*32)
	})
	a.P("ADDQ $%d, SI", chains*32)
	a.P("ADDQ $%d, DI", chains*32)
	a.P("SUBQ $%d, CX", chains*8)
	a.P("JG loop")
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}

// expCore: of x in Z0 to Z3 it leaves k in Z4 to Z7 and q in Z8 to Z11 with
// e^x = (1+q)·2^k and q exact relative to itself. NaN gives NaN.
func expCore(a *asm.File, m consts) {
	each(func(i int) { a.P("VMINPD Z%d, %s, Z%d", i, m.hi, i) })
	each(func(i int) { a.P("VMAXPD Z%d, %s, Z%d", i, m.lo, i) })
	each(func(i int) { a.P("VMULPD %s, Z%d, Z%d", m.l2e, i, 4+i) })
	each(func(i int) { a.P("VRNDSCALEPD $0, Z%d, Z%d", 4+i, 4+i) })
	each(func(i int) { a.P("VFNMADD231PD %s, Z%d, Z%d", m.ln2, 4+i, i) })
	const degree = 10
	f := 1.0
	var c [degree + 1]float64 // c[i] = 1/(i+1)!
	for i := range c {
		f *= float64(i + 1)
		c[i] = 1 / f
	}
	each(func(i int) { a.P("VBROADCASTSD %s, Z%d", a.Double(c[degree]), 8+i) })
	for k := degree - 1; k >= 0; k-- {
		each(func(i int) { a.P("VFMADD213PD.BCST %s, Z%d, Z%d", a.Double(c[k]), i, 8+i) })
	}
	each(func(i int) { a.P("VMULPD Z%d, Z%d, Z%d", i, 8+i, 8+i) })
}

// sigmoid: Z0 to Z3 become 1/(1+e^-x).
func sigmoid(a *asm.File, m consts) {
	each(func(i int) { a.P("VPXORQ.BCST %s, Z%d, Z%d", a.Double(math.Copysign(0, -1)), i, i) })
	expCore(a, m)
	each(func(i int) { a.P("VADDPD %s, Z%d, Z%d", m.one, 8+i, 8+i) })
	each(func(i int) { a.P("VSCALEFPD Z%d, Z%d, Z%d", 4+i, 8+i, i) })
	each(func(i int) { a.P("VADDPD %s, Z%d, Z%d", m.one, i, i) })
	each(func(i int) { a.P("VDIVPD Z%d, %s, Z%d", i, m.one, i) })
}

// keepProduct puts x in Z12 to Z15 with -Inf made finite, so that it may be
// multiplied with a sigmoid of 0.
func keepProduct(a *asm.File) {
	each(func(i int) {
		a.P("VBROADCASTSD %s, Z%d", a.Double(-math.MaxFloat32), 12+i)
		a.P("VMAXPD Z%d, Z%d, Z%d", i, 12+i, 12+i)
	})
}

// clamp bounds Z0 to Z3 by ±v. NaN stays NaN.
func clamp(a *asm.File, v float64) {
	for j, op := range []string{"VMINPD", "VMAXPD"} {
		a.P("VBROADCASTSD %s, Z4", a.Double(v*float64(1-2*j)))
		each(func(i int) { a.P("%s Z%d, Z4, Z%d", op, i, i) })
	}
}

// erfPoly leaves P(z²/half-1) in Z8 to Z11 for z in Z0 to Z3.
func erfPoly(a *asm.File, m consts, coef []float64, half float64) {
	each(func(i int) { a.P("VMULPD Z%d, Z%d, Z%d", i, i, 4+i) })
	each(func(i int) { a.P("VMULPD.BCST %s, Z%d, Z%d", a.Double(1/half), 4+i, 4+i) })
	each(func(i int) { a.P("VSUBPD %s, Z%d, Z%d", m.one, 4+i, 4+i) })
	each(func(i int) { a.P("VBROADCASTSD %s, Z%d", a.Double(coef[len(coef)-1]), 8+i) })
	for k := len(coef) - 2; k >= 0; k-- {
		each(func(i int) { a.P("VFMADD213PD.BCST %s, Z%d, Z%d", a.Double(coef[k]), 4+i, 8+i) })
	}
}

// masks sets K1 to K4 to the lanes of 64 float32 that are left of CX.
func masks(a *asm.File) {
	a.P("MOVQ $-1, AX")
	a.P("CMPQ CX, $64")
	a.P("JGE full")
	a.P("BZHIQ CX, AX, AX")
	a.L("full")
	each(func(i int) {
		a.P("KMOVW AX, K%d", 1+i)
		if i < chains-1 {
			a.P("SHRQ $16, AX")
		}
	})
}

// arith writes dst = a op b, or dst = a op s.
func arith(a *asm.File, op string, scalar bool) {
	name := map[string]string{"ADD": "add", "SUB": "sub", "MUL": "mul", "DIV": "div"}[op]
	if scalar {
		if op == "SUB" || op == "DIV" {
			return
		}
		a.Func(name+"Scalar512", 28)
	} else {
		a.Func(name+"512", 32)
	}
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ a+8(FP), SI")
	if scalar {
		a.P("MOVQ n+16(FP), CX")
		a.P("VBROADCASTSS s+24(FP), Z16")
	} else {
		a.P("MOVQ b+16(FP), DX")
		a.P("MOVQ n+24(FP), CX")
	}
	a.P("TESTQ CX, CX")
	a.P("JLE done")
	a.L("loop")
	masks(a)
	each(func(i int) { a.P("VMOVUPS.Z %d(SI), K%d, Z%d", i*64, 1+i, i) })
	each(func(i int) {
		if scalar {
			a.P("V%sPS Z16, Z%d, Z%d", op, i, i)
		} else {
			a.P("V%sPS.Z %d(DX), Z%d, K%d, Z%d", op, i*64, i, 1+i, i)
		}
	})
	each(func(i int) { a.P("VMOVUPS Z%d, K%d, %d(DI)", i, 1+i, i*64) })
	a.P("ADDQ $256, SI")
	a.P("ADDQ $256, DI")
	if !scalar {
		a.P("ADDQ $256, DX")
	}
	a.P("SUBQ $64, CX")
	a.P("JG loop")
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}

// clip writes dst = min(max(x, lo), hi); NaN stays NaN.
func clip(a *asm.File) {
	a.Func("clip512", 32)
	a.P("MOVQ dst+0(FP), DI")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ n+16(FP), CX")
	a.P("VBROADCASTSS lo+24(FP), Z16")
	a.P("VBROADCASTSS hi+28(FP), Z17")
	a.P("TESTQ CX, CX")
	a.P("JLE done")
	a.L("loop")
	masks(a)
	each(func(i int) { a.P("VMOVUPS.Z %d(SI), K%d, Z%d", i*64, 1+i, i) })
	each(func(i int) { a.P("VMAXPS Z%d, Z16, Z%d", i, i) })
	each(func(i int) { a.P("VMINPS Z%d, Z17, Z%d", i, i) })
	each(func(i int) { a.P("VMOVUPS Z%d, K%d, %d(DI)", i, 1+i, i*64) })
	a.P("ADDQ $256, SI")
	a.P("ADDQ $256, DI")
	a.P("SUBQ $64, CX")
	a.P("JG loop")
	a.L("done")
	a.P("VZEROUPPER")
	a.P("RET")
}
