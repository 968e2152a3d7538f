package main

// adam writes a step of Adam, in the order of x.AdamStep's vectors. It is written for AVX2
// alone: memory, divisions and roots are what it waits for.
func (g *gen) adam() {
	g.fn("adam", 76)
	g.step = 2
	for _, p := range []string{"n+0(FP), CX", "w2+8(FP), DI", "w+16(FP), BX", "grad+24(FP), SI", "m2+32(FP), R9", "m+40(FP), DX",
		"v2+48(FP), R11", "v+56(FP), R12", "rates+64(FP), R10"} {
		g.a.P("MOVQ %s", p)
	}
	const decay, b1, a1, b2, a2, correct, eps, rate, keep = 0, 4, 8, 12, 16, 20, 24, 28, 32
	g.a.P("MOVL %d(R10), R13", decay)
	g.a.P("ADDL R13, R13") // 0 for either zero
	g.a.P("VBROADCASTSS scale+72(FP), %s", g.shared(0))
	for i, at := range []int{b1, b2, rate} {
		g.a.P("VBROADCASTSS %d(R10), %s", at, g.shared(1+i))
	}
	times := func(at int, x S) {
		g.a.P("VBROADCASTSS %d(R10), %s", at, g.slot(5, 0))
		for c := range g.chains {
			g.emit("VMULPS", c, g.slot(5, 0), x, x)
		}
	}
	g.loop(2, []string{"DI", "BX", "SI", "R9", "DX", "R11", "R12"}, func(masked bool) {
		skip := g.label("skip")
		g.load("SI", 0, masked)
		g.load("BX", 3, masked)
		g.I("VMULPS", R(0), S(0), S(0))
		g.a.P("TESTL R13, R13")
		g.a.P("JZ %s", skip)
		g.I("VMOVAPS", S(3), S(4))
		times(decay, 4)
		g.I("VADDPS", S(4), S(0), S(0))
		g.a.L(skip)
		g.load("DX", 1, masked)
		g.I("VMULPS", R(1), S(1), S(1))
		g.I("VMOVAPS", S(0), S(4))
		times(a1, 4)
		g.I("VADDPS", S(4), S(1), S(1))
		g.store(1, "R9", masked)
		g.load("R12", 2, masked)
		g.I("VMULPS", R(2), S(2), S(2))
		g.I("VMULPS", S(0), S(0), S(0))
		times(a2, 0)
		g.I("VADDPS", S(0), S(2), S(2))
		g.store(2, "R11", masked)
		g.I("VSQRTPS", S(2), S(2))
		g.a.P("VBROADCASTSS %d(R10), %s", correct, g.slot(5, 0))
		g.a.P("VBROADCASTSS %d(R10), %s", eps, g.slot(4, 0))
		for c := range g.chains {
			g.emit("VFMADD213PS", c, g.slot(4, 0), g.slot(5, 0), S(2))
		}
		g.I("VDIVPS", S(2), S(1), S(1))
		g.I("VMULPS", R(3), S(1), S(1))
		times(keep, 3)
		g.I("VSUBPS", S(1), S(3), S(3))
		g.store(3, "DI", masked)
	})
	g.end()
}
