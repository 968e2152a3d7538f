package main

import "math"

// exponentials writes exp64 and tanh64, func name(dst, x unsafe.Pointer, n int), of float64.
func (g *gen) exponentials() {
	g.function64("exp64", func() {
		g.clamp64(0, -746, 710)
		g.core64(0, 1, 2)
		g.I("VADDPD", D(1), S(2), S(2))
		if g.wide {
			g.I("VSCALEFPD", S(1), S(2), S(0))
			return
		}
		// in two steps: neither overflows, and the second rounds
		g.I("VMULPD", D(0.5), S(1), S(3))
		g.I("VROUNDPD", "$0", S(3), S(3))
		g.I("VSUBPD", S(3), S(1), S(1))
		for _, k := range []S{3, 1} {
			g.power64(k)
			g.I("VMULPD", k, S(2), S(2))
		}
		g.I("VMOVAPD", S(2), S(0))
	})
	// (e^2|x| - 1) / (e^2|x| + 1) with the sign of x
	g.function64("tanh64", func() {
		g.I("VANDPD", D(math.Float64frombits(1<<63-1)), S(0), S(4))
		g.I("VXORPD", S(0), S(4), S(5)) // the sign
		g.I("VADDPD", S(4), S(4), S(0))
		g.clamp64(0, 0, 40)
		g.core64(0, 1, 2)
		if g.wide {
			g.set64(1, S(3))
			g.I("VSCALEFPD", S(1), S(3), S(1))
		} else {
			g.power64(1)
		}
		g.I("VSUBPD", D(1), S(1), S(3))
		g.I("VFMADD213PD", S(3), S(1), S(2)) // q·2^k + (2^k - 1)
		g.I("VADDPD", D(2), S(2), S(3))
		g.I("VDIVPD", S(3), S(2), S(0))
		g.I("VORPD", S(5), S(0), S(0))
	})
}

// logarithms writes log64, as exponentials does, for positive normal numbers; of others it
// leaves anything. x = 2^k·m with m from the root of 1/2 to that of 2, f = m-1, s = f/(2+f):
// log m = f - (f²/2 - s·(f²/2 + R(s²))), with the coefficients of FreeBSD's e_log.c.
func (g *gen) logarithms() {
	bits := func(b uint64) D { return D(math.Float64frombits(b)) }
	g.function64("log64", func() {
		g.I("VPADDQ", bits(0x4000000000000000-0x3fe6a09e667f3bcd), S(0), S(1))
		g.I("VANDPD", bits(0xfff<<52), S(1), S(2))
		g.I("VPSUBQ", S(2), S(0), S(0))
		g.I("VPADDQ", D(2), S(0), S(0)) // m
		g.I("VPSRLQ", "$52", S(1), S(1))
		g.I("VORPD", D(1<<52), S(1), S(1))
		g.I("VSUBPD", D(1<<52+1024), S(1), S(1)) // k
		g.I("VSUBPD", D(1), S(0), S(0))          // f
		g.I("VADDPD", D(2), S(0), S(2))
		g.I("VDIVPD", S(2), S(0), S(2)) // s
		g.I("VMULPD", S(2), S(2), S(3))
		g.set64(1.479819860511658591e-01, 4)
		for _, c := range []float64{1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
			2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01} {
			g.I("VFMADD213PD", D(c), S(3), S(4))
		}
		g.I("VMULPD", S(3), S(4), S(4)) // R
		g.I("VMULPD", S(0), S(0), S(3))
		g.I("VMULPD", D(0.5), S(3), S(3))
		g.I("VADDPD", S(3), S(4), S(4))
		g.I("VMULPD", S(2), S(4), S(4))
		g.I("VFMADD231PD", D(1.90821492927058770002e-10), S(1), S(4))
		g.I("VSUBPD", S(4), S(3), S(3))
		g.I("VSUBPD", S(0), S(3), S(3))
		g.I("VMULPD", D(6.93147180369123816490e-01), S(1), S(1)) // exact
		g.I("VSUBPD", S(3), S(1), S(0))
	})
}

// plain64 writes the functions of float64 that are an instruction.
func (g *gen) plain64() {
	sign := D(math.Copysign(0, -1))
	g.function64("abs64", func() { g.I("VANDPD", D(math.Float64frombits(1<<63-1)), S(0), S(0)) })
	g.function64("neg64", func() { g.I("VXORPD", sign, S(0), S(0)) })
	g.function64("sqrt64", func() { g.I("VSQRTPD", S(0), S(0)) })
	g.function64("floor64", func() { g.I(g.w("VRNDSCALEPD", "VROUNDPD"), "$1", S(0), S(0)) })
	g.function64("reciprocal64", func() {
		g.set64(1, 1)
		g.I("VDIVPD", S(0), S(1), S(0))
	})
}

func (g *gen) function64(name string, body func()) {
	g.fn(name, 24)
	g.step = 2
	g.a.P("MOVQ dst+0(FP), DI")
	g.a.P("MOVQ x+8(FP), SI")
	g.a.P("MOVQ n+16(FP), CX")
	g.a.P("ADDQ CX, CX") // loads and stores count in halves
	g.loop(2, []string{"SI", "DI"}, func(masked bool) {
		g.load("SI", 0, masked)
		body()
		g.store(0, "DI", masked)
	})
	g.end()
}

func (g *gen) set64(v float64, to S) {
	g.I(g.w("VBROADCASTSD", "VMOVUPD"), g.double(v), to)
}

// clamp64 bounds x; NaN stays NaN.
func (g *gen) clamp64(x S, lo, hi float64) {
	g.set64(hi, 3)
	g.I("VMINPD", x, S(3), x)
	g.set64(lo, 3)
	g.I("VMAXPD", x, S(3), x)
}

// core64 leaves k in S k and q in S q, with e^x = (1+q)·2^k and q exact relative to itself. x is
// overwritten.
func (g *gen) core64(x, k, q S) {
	const hi = 0x1.62e42fefa38p-1 // k·hi is exact
	g.I("VMULPD", D(math.Log2E), x, k)
	g.I(g.w("VRNDSCALEPD", "VROUNDPD"), "$0", k, k)
	g.I("VFNMADD231PD", D(hi), k, x)
	g.I("VFNMADD231PD", D(0x1.ef35793c7673p-45), k, x)
	f := 1.0
	for i := 2.0; i <= 13; i++ {
		f *= i
	}
	g.set64(1/f, q)
	for i := 12.0; i >= 2; i-- {
		f /= i + 1
		g.I("VFMADD213PD", D(1/f), x, q)
	}
	g.I("VMULPD", x, q, q)
	g.I("VFMADD213PD", x, x, q)
}

// power64 makes 2^k of a whole k.
func (g *gen) power64(k S) {
	g.I("VADDPD", D(3<<51), k, k) // k in the lowest bits
	g.I("VPSLLQ", "$52", k, k)
	g.I("VPADDQ", D(1), k, k)
}
