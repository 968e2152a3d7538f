package main

// Steps of recurrent networks: what follows the products of a step, for n
// hidden units. pre are the products of the inputs and rec those of the state;
// their gates lie stride bytes apart.

// gate leaves the sum of gate k of pre and rec in S(0); S(1) is overwritten.
func (g *gen) gate(k int, masked bool) {
	g.load(gateOf("SI", k), 0, masked)
	g.load(gateOf("DX", k), 1, masked)
	g.I("VADDPS", S(1), S(0), S(0))
}

// gateOf is the address of gate k, in the form that load wants.
func gateOf(ptr string, k int) string {
	return ptr + []string{"", ")(R10*1", ")(R10*2", ")(R11*1"}[k]
}

// sigmoidOf sets S(0) to its sigmoid, with 1 in R(2). S(1) to S(3) are overwritten.
func (g *gen) sigmoidOf() {
	g.I("VMOVAPS", S(0), S(3))
	g.I("VORPS", signBit, S(0), S(0))
	g.set(g.lowest(), S(1))
	g.clamp(0, S(1), nil)
	g.expCore(0, 1, 2)
	g.I("VADDPS", R(2), S(2), S(2))
	g.scaleNormal(2, 1, 0)
	g.I("VADDPS", R(2), S(0), S(1))
	g.I("VMOVAPS", R(2), S(2))
	g.negative(3, 0, 2)
	g.I("VDIVPS", S(1), S(2), S(0))
}

// stepFn begins a function of n and the pointers that params load.
func (g *gen) stepFn(name string, args int, params ...string) {
	if g.n != nil {
		g.neonStep(name, args, params)
	} else {
		g.fn(name, args)
		g.step = g.w2(2, 1)
		for _, p := range params {
			g.a.P("MOVQ %s", p)
		}
	}
	for i, v := range []float32{9, -9, 1, -1} {
		g.set(v, R(i))
	}
}

// blendState stores hh + z·(h-hh) for z in S(6) and hh in S(0).
func (g *gen) blendState(masked bool) {
	g.load("BX", 5, masked)
	g.I("VSUBPS", S(0), S(5), S(5))
	g.I("VFMADD231PS", S(5), S(6), S(0))
	g.store(0, "DI", masked)
}

func (g *gen) gates() {
	tanh := func() { g.ratio(tanhP, tanhQ) }
	chains := g.w2(2, 1)
	if g.n != nil {
		chains = 2
	}

	g.lstm(chains, false)
	g.lstm(chains, true)
	g.lstmBack(chains)

	// dst = (1-z)·tanh(ph + r·(rh + bias)) + z·h; gates in the order z, r, h.
	g.stepFn("gru", 56, "n+0(FP), CX", "dst+8(FP), DI", "h+16(FP), BX", "pre+24(FP), SI", "rec+32(FP), DX", "bias+40(FP), R9", "stride+48(FP), R10")
	g.loop(chains, []string{"DI", "BX", "SI", "DX", "R9"}, func(masked bool) {
		g.gate(0, masked)
		g.sigmoidOf()
		g.I("VMOVAPS", S(0), S(6))
		g.gate(1, masked)
		g.sigmoidOf()
		g.load(gateOf("DX", 2), 1, masked)
		g.load("R9", 2, masked)
		g.I("VADDPS", S(2), S(1), S(1))
		g.load(gateOf("SI", 2), 2, masked)
		g.I("VFMADD213PS", S(2), S(1), S(0))
		tanh()
		g.blendState(masked)
	})
	g.end()

	// dst = σ(pre + rec)·h
	g.stepFn("gruReset", 40, "n+0(FP), CX", "dst+8(FP), DI", "h+16(FP), BX", "pre+24(FP), SI", "rec+32(FP), DX")
	g.loop(chains, []string{"DI", "BX", "SI", "DX"}, func(masked bool) {
		g.gate(0, masked)
		g.sigmoidOf()
		g.load("BX", 1, masked)
		g.I("VMULPS", S(1), S(0), S(0))
		g.store(0, "DI", masked)
	})
	g.end()

	// dst = (1-z)·tanh(ph + rh) + z·h, with z from pre and rec, ph and rh at preH and recH.
	g.stepFn("gruBlend", 56, "n+0(FP), CX", "dst+8(FP), DI", "h+16(FP), BX", "pre+24(FP), SI", "rec+32(FP), DX", "preH+40(FP), R9", "recH+48(FP), R10")
	g.loop(chains, []string{"DI", "BX", "SI", "DX", "R9", "R10"}, func(masked bool) {
		g.gate(0, masked)
		g.sigmoidOf()
		g.I("VMOVAPS", S(0), S(6))
		g.load("R9", 0, masked)
		g.load("R10", 1, masked)
		g.I("VADDPS", S(1), S(0), S(0))
		tanh()
		g.blendState(masked)
	})
	g.end()
}

// lstm writes c = σ(f)·c + σ(i)·tanh(g), h = σ(o)·tanh(c); gates in the order i, o, f, g.
// With keep it leaves the gates, after their functions, in pre, and c in cells too.
func (g *gen) lstm(chains int, keep bool) {
	pointers := []string{"DI", "R9", "SI", "DX"}
	if keep {
		g.stepFn("lstmKeep", 56, "n+0(FP), CX", "h+8(FP), DI", "c+16(FP), R9", "cells+24(FP), BX", "pre+32(FP), SI", "rec+40(FP), DX", "stride+48(FP), R10")
		pointers = append(pointers, "BX")
	} else {
		g.stepFn("lstm", 48, "n+0(FP), CX", "h+8(FP), DI", "c+16(FP), R9", "pre+24(FP), SI", "rec+32(FP), DX", "stride+40(FP), R10")
	}
	g.thirdGate()
	g.loop(chains, pointers, func(masked bool) {
		kept := func(k int) {
			if keep {
				g.store(0, gateOf("SI", k), masked)
			}
		}
		g.gate(0, masked)
		g.sigmoidOf()
		kept(0)
		g.I("VMOVAPS", S(0), S(6))
		g.gate(3, masked)
		g.ratio(tanhP, tanhQ)
		kept(3)
		g.I("VMULPS", S(0), S(6), S(6))
		g.gate(2, masked)
		g.sigmoidOf()
		kept(2)
		g.load("R9", 5, masked)
		g.I("VFMADD231PS", S(5), S(0), S(6))
		g.store(6, "R9", masked)
		if keep {
			g.store(6, "BX", masked)
		}
		g.gate(1, masked)
		g.sigmoidOf()
		kept(1)
		g.I("VMOVAPS", S(0), S(5))
		g.I("VMOVAPS", S(6), S(0))
		g.ratio(tanhP, tanhQ)
		g.I("VMULPS", S(5), S(0), S(0))
		g.store(0, "DI", masked)
	})
	g.end()
}

// thirdGate sets R11 to three strides.
func (g *gen) thirdGate() {
	if g.n != nil {
		g.a.P("ADD R6<<1, R6, R7")
	} else {
		g.a.P("LEAQ (R10)(R10*2), R11")
	}
}

// lstmBack writes the step backwards, from the gates after their functions: with t = tanh(c)
// and d = dc + dh·o·(1 - t²),
//
//	i: d·g·i·(1-i)    o: dh·t·o·(1-o)    f: d·before·f·(1-f)    g: d·i·(1-g²)    dc = d·f
//
// of which the first four go to out and to copied.
func (g *gen) lstmBack(chains int) {
	g.stepFn("lstmBack", 72, "n+0(FP), CX", "out+8(FP), DX", "copied+16(FP), R13", "dc+24(FP), R9", "dh+32(FP), BX", "c+40(FP), DI",
		"before+48(FP), R12", "gates+56(FP), SI", "stride+64(FP), R10")
	g.thirdGate()
	const i, o, f, in = 0, 1, 2, 3
	g.loop(chains, []string{"DX", "R13", "R9", "BX", "DI", "R12", "SI"}, func(masked bool) {
		gateTo := func(k int, to S) { g.load(gateOf("SI", k), to, masked) }
		result := func(k int, from S) {
			g.store(from, gateOf("DX", k), masked)
			g.store(from, gateOf("R13", k), masked)
		}
		// S(x) *= 1 - y, or 1 - y²; S(4) is overwritten.
		rest := func(x, y S, square bool) {
			if square {
				g.I("VMULPS", y, y, S(4))
				g.I("VSUBPS", S(4), R(2), S(4))
			} else {
				g.I("VSUBPS", y, R(2), S(4))
			}
			g.I("VMULPS", S(4), x, x)
		}
		g.load("DI", 0, masked)
		g.ratio(tanhP, tanhQ)
		g.load("BX", 1, masked)
		gateTo(o, 2)
		g.I("VMULPS", S(2), S(1), S(1)) // dh·o
		g.I("VMULPS", S(0), S(1), S(3))
		rest(3, 2, false)
		result(o, 3)
		rest(1, 0, true)
		g.load("R9", 5, masked)
		g.I("VADDPS", S(1), S(5), S(5)) // d
		gateTo(f, 2)
		g.I("VMULPS", S(2), S(5), S(6))
		g.load("R12", 3, masked)
		g.I("VMULPS", S(6), S(3), S(3))
		rest(3, 2, false)
		result(f, 3)
		gateTo(i, 2)
		gateTo(in, 0)
		g.I("VMULPS", S(5), S(2), S(1)) // d·i
		g.I("VMULPS", S(0), S(1), S(3))
		rest(3, 2, false)
		rest(1, 0, true)
		result(i, 3)
		result(in, 1)
		g.store(6, "R9", masked)
	})
	g.end()
}
