package main

import "math"

const halfPi = float32(math.Pi / 2)

var halfPiRest = float32(math.Pi/2 - float64(halfPi))

// arcs writes the inverse functions of sine, cosine and tangent.
func (g *gen) arcs() {
	// Of t = |x|, or 1/|x| above 1, where it is π/2 less that of t.
	g.unary("atan", 0, []float32{1, halfPi}, func() {
		a, t, z, sign := S(1), S(2), S(3), S(4)
		g.I("VANDPS", absMask, S(0), a)
		g.I("VXORPS", S(0), a, sign)
		g.I("VDIVPS", a, R(0), t)
		g.I("VMINPS", a, t, t)
		g.I("VMULPS", t, t, z)
		g.horner(atanPoly, z, 0)
		g.I("VMULPS", z, S(0), S(0))
		g.I("VFMADD213PS", t, t, S(0))
		g.I("VSUBPS", S(0), R(1), t)
		g.I("VADDPS", C(halfPiRest), t, t)
		g.blend(nlt, a, R(0), t, 0, z)
		g.I("VORPS", sign, S(0), S(0))
	})
	g.unary("asin", 0, []float32{0.5, halfPi}, func() {
		g.arcCore()
		g.I("VMOVAPS", R(1), S(2))
		g.I("VFNMADD231PS", C(2), S(3), S(2))
		g.I("VADDPS", C(halfPiRest), S(2), S(2))
		g.blend(lt, S(1), R(0), S(3), 2, 5)
		g.I("VORPS", S(4), S(2), S(0))
	})
	// π/2 - asin x, where |x| is not below 1/2 twice the asin of the core, and of negative numbers π less that.
	g.unary("acos", 0, []float32{0.5, halfPi}, func() {
		g.arcCore()
		g.I("VXORPS", S(4), S(3), S(3))
		g.I("VSUBPS", S(3), R(1), S(2))
		g.I("VADDPS", C(halfPiRest), S(2), S(2))
		g.I("VPSRAD", "$31", S(4), S(4))
		g.I("VANDPS", C(2*halfPi), S(4), S(0))
		g.I("VANDPS", C(2*halfPiRest), S(4), S(4))
		g.I("VADDPS", S(3), S(3), S(3))
		g.I("VADDPS", S(4), S(3), S(3))
		g.I("VADDPS", S(0), S(3), S(3))
		g.blend(lt, S(1), R(0), S(2), 3, 5)
		g.I("VMOVAPS", S(3), S(0))
	})
}

// arcCore leaves |x| in S(1), the sign of x in S(4) and asin s in S(3), where s is |x| below R(0), which is
// 1/2, and the root of (1-|x|)/2 from there on: asin |x| is π/2 - 2·asin s then.
func (g *gen) arcCore() {
	s, a, z, p := S(0), S(1), S(2), S(3)
	g.I("VANDPS", absMask, S(0), a)
	g.I("VXORPS", S(0), a, S(4))
	g.I("VMOVAPS", R(0), z)
	g.I("VFNMADD231PS", R(0), a, z)
	g.I("VSQRTPS", z, s)
	g.I("VMULPS", a, a, p)
	g.blend(lt, a, R(0), p, z, 5)
	g.blend(lt, a, R(0), a, s, 5)
	g.horner(asinPoly, z, p)
	g.I("VMULPS", z, p, p)
	g.I("VFMADD213PS", s, s, p)
}
