package main

import "math"

const (
	ln2hi   = float32(math.Ln2)
	log2e   = float32(math.Log2E)
	signBit = U(1 << 31)
	absMask = U(1<<31 - 1)
)

var ln2lo = float32(math.Ln2 - float64(ln2hi))

var inf32 = float32(math.Inf(1))

// unary writes func name(dst, x unsafe.Pointer, n int, params ...float32): body
// has x in S(0) and leaves the result there. shared are the constants of
// registers R(0), R(1), … after those of params.
func (g *gen) unary(name string, params int, shared []float32, body func()) {
	if g.n != nil {
		g.neonUnary(name, params, shared, body)
		return
	}
	g.fn(name, 24+4*params)
	g.step = 2
	g.a.P("MOVQ dst+0(FP), DI")
	g.a.P("MOVQ x+8(FP), SI")
	g.a.P("MOVQ n+16(FP), CX")
	for i := range params {
		g.I("VBROADCASTSS", "p"+string(rune('0'+i))+"+"+itoa(24+4*i)+"(FP)", R(i))
	}
	for i, v := range shared {
		g.set(v, R(params+i))
	}
	g.loop(2, []string{"SI", "DI"}, func(masked bool) {
		g.load("SI", 0, masked)
		body()
		g.store(0, "DI", masked)
	})
	g.end()
}

// horner leaves the polynomial in t in S p.
func (g *gen) horner(coef []float64, t, p S) {
	if g.n != nil {
		g.neonHorner(coef, t, p)
		return
	}
	last := len(coef) - 1
	g.set(float32(coef[last]), p)
	for i := last - 1; i >= 0; i-- {
		g.I("VFMADD213PS", C(coef[i]), t, p)
	}
}

// clamp bounds x by the registers; NaN stays NaN.
func (g *gen) clamp(x S, lo, hi any) {
	if hi != nil {
		g.I("VMINPS", x, hi, x)
	}
	if lo != nil {
		g.I("VMAXPS", x, lo, x)
	}
}

// expCore leaves k in S k and q in S q, with e^x = (1+q)·2^k and q exact
// relative to itself. x, which must be bounded, is overwritten.
func (g *gen) expCore(x, k, q S) {
	g.I("VMULPS", C(log2e), x, k)
	g.I(g.w("VRNDSCALEPS", "VROUNDPS"), "$0", k, k)
	g.I("VFNMADD231PS", C(ln2hi), k, x)
	g.I("VFNMADD231PS", C(ln2lo), k, x)
	g.horner(expPoly, x, q)
	g.I("VMULPS", x, q, q)
	g.I("VFMADD213PS", x, x, q)
}

// scale sets to = p·2^k for k of at most 128; k and t are overwritten. A result
// below the normal numbers is rounded twice in AVX2.
func (g *gen) scale(p, k, to, t S) {
	if g.wide {
		g.I("VSCALEFPS", k, p, to)
		return
	}
	g.I("VCVTPS2DQ", k, k)
	g.I("VPSRAD", "$1", k, t)
	g.I("VPSUBD", t, k, k)
	for _, e := range []S{t, k} {
		g.I("VPSLLD", "$23", e, e)
		g.I("VPADDD", C(1), e, e)
		g.I("VMULPS", e, p, p)
	}
	if p != to {
		g.I("VMOVAPS", p, to)
	}
}

// scaleNormal is scale where p·2^k is a normal number.
func (g *gen) scaleNormal(p, k, to S) {
	if g.wide {
		g.I("VSCALEFPS", k, p, to)
		return
	}
	g.I("VCVTPS2DQ", k, k)
	g.I("VPSLLD", "$23", k, k)
	g.I("VPADDD", k, p, to)
}

// lowest is where an exponential that need not be exact below the normal
// numbers is cut off.
func (g *gen) lowest() float32 {
	if g.wide {
		return -104
	}
	return -87.33
}

// ratio sets S(0) to x·P(x²)/Q(x²), bounded by ±1; x is bounded by ±R(0) first.
// R(1) is -R(0), R(2) is 1 and R(3) is -1.
func (g *gen) ratio(p, q []float64) {
	g.clamp(0, R(1), R(0))
	g.I("VMULPS", S(0), S(0), S(1))
	g.horner(p, 1, 2)
	g.horner(q, 1, 3)
	g.I("VMULPS", S(2), S(0), S(0))
	g.I("VDIVPS", S(3), S(0), S(0))
	g.clamp(0, R(3), R(2))
}

// log1pOver sets S y to log(1+e) for e in [0, 1]: 2·artanh(e/(2+e)). t and u are overwritten.
func (g *gen) log1p(e, y, t S) {
	g.I("VADDPS", C(2), e, t)
	g.I("VDIVPS", t, e, e)
	g.I("VMULPS", e, e, t)
	g.horner(log1pPoly, t, y)
	g.I("VFMADD213PS", C(2), t, y)
	g.I("VMULPS", e, y, y)
}

// functions writes the functions of one variable.
func (g *gen) functions() {
	max32 := float32(math.MaxFloat32)
	g.unary("exp", 0, []float32{-104, 89}, func() {
		g.clamp(0, R(0), R(1))
		g.expCore(0, 1, 2)
		g.I("VADDPS", C(1), S(2), S(2))
		g.scale(2, 1, 0, 3)
	})
	// e^-|x| over or under 1 + e^-|x|.
	g.unary("sigmoid", 0, []float32{g.lowest(), 1}, func() {
		g.I("VMOVAPS", S(0), S(3))
		g.I("VORPS", signBit, S(0), S(0))
		g.clamp(0, R(0), nil)
		g.expCore(0, 1, 2)
		g.I("VADDPS", R(1), S(2), S(2))
		g.scaleNormal(2, 1, 0)
		g.I("VADDPS", R(1), S(0), S(1))
		g.I("VMOVAPS", R(1), S(2))
		g.negative(3, 0, 2)
		g.I("VDIVPS", S(1), S(2), S(0))
		if !g.wide { // what was cut off is 0
			g.emitCut(3, R(0), 0, 1)
		}
	})
	g.unary("tanh", 0, []float32{9, -9, 1, -1}, func() { g.ratio(tanhP, tanhQ) })
	g.unary("erf", 0, []float32{3.92, -3.92, 1, -1}, func() { g.ratio(erfP, erfQ) })
	// h + h·erf(x/√2), h = x/2. Where erf is -1 that is 0.
	g.unary("gelu", 0, []float32{3.92, -3.92, 1, -1}, func() {
		g.I("VMULPS", C(0.5), S(0), S(4))
		g.I("VMULPS", C(math.Sqrt2/2), S(0), S(0))
		g.ratio(erfP, erfQ)
		g.set(-max32/2, S(1))
		g.clamp(4, S(1), nil)
		g.I("VFMADD213PS", S(4), S(4), S(0))
	})
	// x / (1 + e^(-alpha·x)) for alpha > 0.
	timesSigmoid := func(negU, x S, lo, hi R) {
		g.clamp(negU, lo, hi)
		g.expCore(negU, 1, 2)
		g.I("VADDPS", C(1), S(2), S(2))
		g.scale(2, 1, negU, 4)
		g.I("VADDPS", C(1), negU, negU)
		g.I("VDIVPS", negU, x, S(0))
	}
	g.unary("swish", 1, []float32{-104, 89, -max32}, func() {
		g.I("VMAXPS", S(0), R(3), S(3))
		g.I("VMULPS", R(0), S(0), S(0))
		g.I("VXORPS", signBit, S(0), S(0))
		timesSigmoid(0, 3, 1, 2)
	})
	g.unary("geluTanh", 0, []float32{-104, 89, -max32}, func() {
		s := 2 * math.Sqrt(2/math.Pi)
		g.I("VMAXPS", S(0), R(2), S(3))
		g.I("VMULPS", S(0), S(0), S(1))
		g.set(float32(-s*0.044715), S(2))
		g.I("VFMADD213PS", C(-s), S(1), S(2))
		g.I("VMULPS", S(2), S(0), S(0))
		timesSigmoid(0, 3, 0, 1)
	})
	// max(x, 0) + log(1 + e^-|x|)
	g.unary("softplus", 0, []float32{g.lowest(), 0}, func() {
		g.I("VMAXPS", S(0), R(1), S(4))
		g.I("VMOVAPS", S(0), S(3))
		g.I("VORPS", signBit, S(0), S(0))
		g.clamp(0, R(0), nil)
		g.expCore(0, 1, 2)
		g.I("VADDPS", C(1), S(2), S(2))
		g.scaleNormal(2, 1, 0)
		g.log1p(0, 1, 2)
		g.I("VADDPS", S(1), S(4), S(0))
		if !g.wide { // what was cut off is 0
			g.emitCut(3, R(0), 0, 1)
		}
	})
	// tanh(log(1+e)) = n / (n + 2), n = e² + 2e.
	g.unary("mish", 0, []float32{g.lowest(), 30, -max32}, func() {
		g.I("VMAXPS", S(0), R(2), S(3))
		g.clamp(0, R(0), R(1))
		g.expCore(0, 1, 2)
		g.I("VADDPS", C(1), S(2), S(2))
		g.scaleNormal(2, 1, 0)
		if !g.wide { // what was cut off is 0
			g.emitCut(3, R(0), 0, 1)
		}
		g.I("VADDPS", C(2), S(0), S(1))
		g.I("VMULPS", S(1), S(0), S(0))
		g.I("VADDPS", C(2), S(0), S(1))
		g.I("VDIVPS", S(1), S(0), S(0))
		g.I("VMULPS", S(3), S(0), S(0))
	})
	g.unary("elu", 1, []float32{-87.33, 0}, func() {
		g.I("VMOVAPS", S(0), S(4))
		g.clamp(0, R(1), R(2))
		g.expCore(0, 1, 2)
		g.set(1, S(3))
		if g.wide {
			g.I("VSCALEFPS", S(1), S(3), S(1))
		} else {
			g.I("VCVTPS2DQ", S(1), S(1))
			g.I("VPSLLD", "$23", S(1), S(1))
			g.I("VPADDD", S(3), S(1), S(1))
		}
		g.I("VSUBPS", S(3), S(1), S(3)) // 2^k - 1
		g.I("VFMADD213PS", S(3), S(1), S(2))
		g.I("VMULPS", R(0), S(2), S(2))
		g.blend(lt, S(4), R(2), S(2), 4, 0)
		g.I("VMOVAPS", S(4), S(0))
	})
	g.log()
	g.arcs()
	g.unary("sqrt", 0, nil, func() { g.I("VSQRTPS", S(0), S(0)) })
	g.unary("abs", 0, nil, func() { g.I("VANDPS", absMask, S(0), S(0)) })
	g.unary("neg", 0, nil, func() { g.I("VXORPS", signBit, S(0), S(0)) })
	g.unary("square", 0, nil, func() { g.I("VMULPS", S(0), S(0), S(0)) })
	g.unary("reciprocal", 0, []float32{1}, func() { g.I("VDIVPS", S(0), R(0), S(0)) })
	for _, r := range []struct {
		name, mode string
	}{{"round", "$8"}, {"floor", "$9"}, {"ceil", "$10"}, {"trunc", "$11"}} {
		g.unary(r.name, 0, nil, func() { g.I(g.w("VRNDSCALEPS", "VROUNDPS"), r.mode, S(0), S(0)) })
	}
	// min(max(x, lo), hi)
	g.unary("clip", 2, nil, func() {
		g.I("VMAXPS", S(0), R(0), S(0))
		g.I("VMINPS", S(0), R(1), S(0))
	})
	g.unary("hardSigmoid", 2, []float32{0, 1}, func() {
		g.I("VFMADD213PS", R(1), R(0), S(0))
		g.clamp(0, R(2), R(3))
	})
	g.unary("hardSwish", 0, []float32{1.0 / 6, 0.5, 0, 1}, func() {
		g.I("VMOVAPS", S(0), S(1))
		g.I("VFMADD213PS", R(1), R(0), S(1))
		g.clamp(1, R(2), R(3))
		g.set(-max32, S(2)) // -Inf times 0
		g.clamp(0, S(2), nil)
		g.I("VMULPS", S(1), S(0), S(0))
	})
	// x, alpha·x where x < 0
	g.unary("leakyRelu", 1, []float32{0}, func() {
		g.I("VMULPS", R(0), S(0), S(1))
		g.blend(lt, S(0), R(1), S(1), 0, 2)
	})
	for _, o := range []struct {
		name, op string
		swap     bool
	}{{"addScalar", "VADDPS", false}, {"mulScalar", "VMULPS", false}, {"divScalar", "VDIVPS", false}, {"subFrom", "VSUBPS", true},
		{"divInto", "VDIVPS", true}, {"maxScalar", "VMAXPS", true}, {"minScalar", "VMINPS", true}} {
		g.unary(o.name, 1, nil, func() {
			if o.swap { // scalar op x; where that decides about NaN, x wins
				g.I(o.op, S(0), R(0), S(0))
			} else {
				g.I(o.op, R(0), S(0), S(0))
			}
		})
	}
	// x·p + q
	g.unary("affine", 2, nil, func() { g.I("VFMADD213PS", R(1), R(0), S(0)) })
}

// negative sets to = from where x has its sign bit.
func (g *gen) negative(x, from, to S) {
	for c := range g.chains {
		if g.n != nil {
			g.n.N("cmlt v%d.4s, v%d.4s, #0", temp+c, g.number(x, c))
			g.n.N("bit v%d.16b, v%d.16b, v%d.16b", g.number(to, c), g.number(from, c), temp+c)
		} else if g.wide {
			g.emit("VPMOVD2M", c, x, kmask(c))
			g.emit("VBLENDMPS", c, from, to, kmask(c), to)
		} else {
			g.emit("VBLENDVPS", c, x, from, to, to)
		}
	}
}

// emitCut sets y = 0 where x < lo.
func (g *gen) emitCut(x S, lo R, y, t S) {
	g.I("VCMPPS", "$21", lo, x, t) // x >= lo, or NaN
	g.I("VANDPS", t, y, y)
}

// log: x = m·2^k with m in [3/4, 3/2), log m = 2·artanh((m-1)/(m+1)).
func (g *gen) log() {
	g.unary("log", 0, []float32{1, 0, inf32}, func() {
		x, k, m, t, p := S(0), S(1), S(2), S(3), S(4)
		if g.wide {
			g.I("VGETEXPPS", x, k)
			g.I("VGETMANTPS", "$3", x, m)
			g.I("VGETEXPPS", m, t)
			g.I("VSUBPS", t, k, k)
		} else {
			// Numbers below the normal ones are multiplied by 2^23.
			g.I("VMULPS", C(1<<23), x, m)
			g.I("VCMPPS", "$17", U(1<<23), x, t)
			g.I("VBLENDVPS", t, m, x, m)
			g.I("VANDPS", C(23), t, p)
			g.I("VPSUBD", U(0x3f400000), m, k)
			g.I("VPSRAD", "$23", k, k)
			g.I("VPSLLD", "$23", k, t)
			g.I("VPSUBD", t, m, m)
			g.I("VCVTDQ2PS", k, k)
			g.I("VSUBPS", p, k, k)
		}
		g.I("VADDPS", R(0), m, t)
		g.I("VSUBPS", R(0), m, m)
		g.I("VDIVPS", t, m, m) // s
		g.I("VMULPS", m, m, t)
		g.horner(logPoly, t, p)
		g.I("VMULPS", t, p, p)
		g.I("VMULPS", m, p, p)             // s³·P
		g.I("VFMADD231PS", C(ln2lo), k, p) // + k·lo
		g.I("VADDPS", m, m, m)             // 2s
		g.I("VADDPS", m, p, p)             //
		g.I("VFMADD132PS", C(ln2hi), p, k) // k·hi + …
		g.blend(lt, x, R(1), U(0x7fc00000), k, t)
		g.blend(eq, x, R(1), U(0xff800000), k, t)
		g.blend(nlt, x, R(2), x, k, t)
		g.I("VMOVAPS", k, x)
	})
}
