package main

// reduction writes func name(…) (ret float32) whose frame of results is at ret
// bytes. Accumulators are S(0); body adds what it loads to them.
func (g *gen) reduce(name string, chains, ret int, params []string, init float32, join string, ptrs []string, body func(masked bool), nan bool) {
	g.fn(name, ret+4)
	g.step = chains
	for _, p := range params {
		g.a.P("%s", p)
	}
	g.chains = chains
	g.set(init, S(0))
	if nan {
		if g.wide {
			g.a.P("KXORW K7, K7, K7")
		} else {
			g.I("VXORPS", R(1), R(1), R(1))
		}
	}
	g.loop(chains, ptrs, body)
	for n := chains / 2; n > 0; n /= 2 {
		for c := range n {
			g.a.P("%s %s, %s, %s", join, g.slot(0, c+n), g.slot(0, c), g.slot(0, c))
		}
	}
	if g.wide {
		g.a.P("VEXTRACTF64X4 $1, Z0, Y1")
		g.a.P("%s Y1, Y0, Y0", join)
	}
	g.a.P("VEXTRACTF128 $1, Y0, X1")
	g.a.P("%s X1, X0, X0", join)
	g.a.P("VMOVHLPS X0, X0, X1")
	g.a.P("%s X1, X0, X0", join)
	g.a.P("VMOVSHDUP X0, X1")
	g.a.P("%s X1, X0, X0", join)
	if nan {
		ok := g.label("ok")
		if g.wide {
			g.a.P("KORTESTW K7, K7")
		} else {
			g.a.P("VMOVMSKPS %s, AX", g.shared(1))
			g.a.P("TESTL AX, AX")
		}
		g.a.P("JEQ %s", ok)
		g.a.P("VMOVSS %s, X0", g.constant(0x7fc00000))
		g.a.L(ok)
	}
	g.a.P("VMOVSS X0, ret+%d(FP)", ret)
	g.end()
}

// mask clears the lanes of s that the mask of the tail leaves out.
func (g *gen) mask(s S) {
	if g.wide {
		g.I("VMOVAPS.Z", s, "K1", s)
	} else {
		g.I("VANDPS", "Y11", s, s)
	}
}

func (g *gen) reductions() {
	vector := []string{"MOVQ x+0(FP), SI", "MOVQ n+8(FP), CX"}
	g.reduce("sum", 4, 16, vector, 0, "VADDPS", []string{"SI"}, func(masked bool) {
		if masked {
			g.load("SI", 1, true)
			g.I("VADDPS", S(1), S(0), S(0))
			return
		}
		for c := range g.chains {
			g.emit("VADDPS", c, itoa(c*g.lanes*4)+"(SI)", S(0), S(0))
		}
	}, false)
	g.reduce("sumAbs", 4, 16, vector, 0, "VADDPS", []string{"SI"}, func(masked bool) {
		g.load("SI", 1, masked)
		g.I("VANDPS", absMask, S(1), S(1))
		g.I("VADDPS", S(1), S(0), S(0))
	}, false)
	// Σ (x-m)²
	centered := append(append([]string{}, vector...), "VBROADCASTSS m+16(FP), "+g.shared(0))
	g.reduce("sumSquares", 4, 24, centered, 0, "VADDPS", []string{"SI"}, func(masked bool) {
		g.load("SI", 1, masked)
		g.I("VSUBPS", R(0), S(1), S(1))
		if masked {
			g.mask(1)
		}
		g.I("VFMADD231PS", S(1), S(1), S(0))
	}, false)
	for _, o := range []struct {
		name, op string
		init     float32
	}{{"largest", "VMAXPS", -inf32}, {"smallest", "VMINPS", inf32}} {
		params := append(append([]string{}, vector...), g.w("VBROADCASTSS", "VMOVUPS")+" "+g.constant(bitsOf(o.init))+", "+g.shared(0))
		g.reduce(o.name, 4, 16, params, o.init, o.op, []string{"SI"}, func(masked bool) {
			switch {
			case masked && g.wide:
				g.I("VMOVAPS", R(0), S(1))
				g.I("VMOVUPS", "(SI)", "K1", S(1))
			case masked:
				g.load("SI", 1, true)
				g.I("VBLENDVPS", "Y11", S(1), R(0), S(1))
			default:
				g.load("SI", 1, false)
			}
			for c := range g.chains {
				if g.wide {
					g.emit("VCMPPS", c, "$3", S(1), S(1), kmask(c))
					g.a.P("KORW %s, K7, K7", kmask(c))
				} else if masked {
					g.emit("VCMPPS", c, "$3", S(1), S(1), R(2))
					g.emit("VORPS", c, R(2), R(1), R(1))
				} else {
					g.emit("VCMPPS", c, "$3", S(1), S(1), S(2))
					g.emit("VORPS", c, S(2), R(1), R(1))
				}
			}
			g.I(o.op, S(1), S(0), S(0))
		}, true)
	}
	// dst = e^(x·scale - shift), which is at most 1; the sum of dst.
	g.reduce("expSum", 2, 32, []string{
		"MOVQ dst+0(FP), DI", "MOVQ x+8(FP), SI", "MOVQ n+16(FP), CX",
		"VBROADCASTSS scale+24(FP), " + g.shared(0), "VBROADCASTSS shift+28(FP), " + g.shared(1),
		g.w("VBROADCASTSS", "VMOVUPS") + " " + g.constant(bitsOf(g.lowest())) + ", " + g.shared(2),
	}, 0, "VADDPS", []string{"SI", "DI"}, func(masked bool) {
		g.load("SI", 1, masked)
		g.I("VFMSUB213PS", R(1), R(0), S(1))
		if !g.wide {
			g.I("VMOVAPS", S(1), S(4))
		}
		g.clamp(1, R(2), nil)
		g.expCore(1, 2, 3)
		g.I("VADDPS", C(1), S(3), S(3))
		g.scaleNormal(3, 2, 1)
		if !g.wide {
			g.emitCut(4, R(2), 1, 2)
		}
		g.store(1, "DI", masked)
		if masked {
			g.mask(1)
		}
		g.I("VADDPS", S(1), S(0), S(0))
	}, false)
	g.normalize()
	g.columns()
	g.argColumns()
}

// normalize writes y = (x - mean)·inv, and the same times scale, and that plus bias.
func (g *gen) normalize() {
	for i, name := range []string{"norm", "normScale", "normScaleBias"} {
		g.fn(name, 32+8*i)
		g.step = 4
		g.a.P("MOVQ y+0(FP), DI")
		g.a.P("MOVQ x+8(FP), SI")
		g.a.P("MOVQ n+16(FP), CX")
		g.I("VBROADCASTSS", "mean+24(FP)", R(0))
		g.I("VBROADCASTSS", "inv+28(FP)", R(1))
		ptrs := []string{"DI", "SI"}
		if i > 0 {
			g.a.P("MOVQ scale+32(FP), DX")
			ptrs = append(ptrs, "DX")
		}
		if i > 1 {
			g.a.P("MOVQ bias+40(FP), BX")
			ptrs = append(ptrs, "BX")
		}
		g.loop(4, ptrs, func(masked bool) {
			g.load("SI", 0, masked)
			g.I("VSUBPS", R(0), S(0), S(0))
			g.I("VMULPS", R(1), S(0), S(0))
			switch i {
			case 1:
				g.load("DX", 1, masked)
				g.I("VMULPS", S(1), S(0), S(0))
			case 2:
				g.load("DX", 1, masked)
				g.load("BX", 2, masked)
				g.I("VFMADD213PS", S(2), S(1), S(0))
			}
			g.store(0, "DI", masked)
		})
		g.end()
	}
}

// columns writes func addRows(acc, x unsafe.Pointer, n, rows, stride int): acc
// plus the sum of rows that begin stride bytes apart; and maxRows and minRows, which
// give NaN where there is one.
func (g *gen) columns() {
	for _, o := range []struct{ name, op string }{{"addRows", "VADDPS"}, {"maxRows", "VMAXPS"}, {"minRows", "VMINPS"}} {
		extreme := o.name != "addRows"
		g.fn(o.name, 40)
		g.step = 4
		g.a.P("MOVQ acc+0(FP), DI")
		g.a.P("MOVQ x+8(FP), SI")
		g.a.P("MOVQ n+16(FP), CX")
		g.a.P("MOVQ rows+24(FP), R9")
		g.a.P("MOVQ stride+32(FP), R10")
		if extreme && g.wide {
			g.a.P("VBROADCASTSS %s, %s", g.constant(0x7fc00000), g.shared(0))
		}
		g.loop(4, []string{"SI", "DI"}, func(masked bool) {
			row := g.label("row")
			g.load("DI", 0, masked)
			g.a.P("MOVQ SI, DX")
			g.a.P("MOVQ R9, BX")
			g.a.L(row)
			if masked {
				g.load("DX", 1, true)
			}
			for c := range g.chains {
				var x any = S(1)
				if !masked {
					x = itoa(c*g.lanes*4) + "(DX)"
				}
				switch {
				case !extreme:
					g.emit(o.op, c, x, S(0), S(0))
				case g.wide:
					g.emit("VCMPPS", c, "$3", x, S(0), kmask(c))
					g.emit(o.op, c, x, S(0), S(0))
					g.emit("VMOVAPS", c, R(0), kmask(c), S(0))
				default:
					var nan any = S(2)
					if masked {
						nan = R(2)
					}
					g.emit("VCMPPS", c, "$3", x, S(0), nan)
					g.emit(o.op, c, x, S(0), S(0))
					g.emit("VORPS", c, nan, S(0), S(0))
				}
			}
			g.a.P("ADDQ R10, DX")
			g.a.P("DECQ BX")
			g.a.P("JNZ %s", row)
			g.store(0, "DI", masked)
		})
		g.end()
	}
}

// argColumns writes func argMax(at, best, x unsafe.Pointer, n, rows, stride, first int): where one of
// rows that begin stride bytes apart is larger than best, that becomes best, and at the row's
// number, the first's being first; argMin for smaller ones, argMaxLast and argMinLast for equal ones, too.
func (g *gen) argColumns() {
	for _, o := range []struct {
		name string
		pred int
	}{{"argMax", 17}, {"argMin", 30}, {"argMaxLast", 18}, {"argMinLast", 29}} {
		g.fn(o.name, 56)
		g.step = 4
		g.a.P("MOVQ at+0(FP), R11")
		g.a.P("MOVQ best+8(FP), DI")
		g.a.P("MOVQ x+16(FP), SI")
		g.a.P("MOVQ n+24(FP), CX")
		g.a.P("MOVQ rows+32(FP), R9")
		g.a.P("MOVQ stride+40(FP), R10")
		if g.wide {
			g.a.P("VPTERNLOGD $255, %[1]s, %[1]s, %[1]s", g.shared(1))
		} else {
			g.a.P("VPCMPEQD %[1]s, %[1]s, %[1]s", g.shared(1))
		}
		g.loop(4, []string{"SI", "DI", "R11"}, func(masked bool) {
			row := g.label("row")
			g.load("DI", 0, masked)
			g.load("R11", 1, masked)
			g.a.P("VPBROADCASTD first+48(FP), %s", g.shared(0))
			g.a.P("MOVQ SI, DX")
			g.a.P("MOVQ R9, BX")
			g.a.L(row)
			if masked {
				g.load("DX", 2, true)
			}
			for c := range g.chains {
				x, k := any(itoa(c*g.lanes*4)+"(DX)"), any(kmask(c))
				if masked {
					x = S(2)
				}
				if g.wide {
					g.emit("VCMPPS", c, "$"+itoa(o.pred), x, S(0), k)
					g.emit("VBLENDMPS", c, x, S(0), k, S(0))
					g.emit("VBLENDMPS", c, R(0), S(1), k, S(1))
					continue
				}
				if k = S(2); masked {
					k = R(2)
				}
				g.emit("VCMPPS", c, "$"+itoa(o.pred), x, S(0), k)
				g.emit("VBLENDVPS", c, k, x, S(0), S(0))
				g.emit("VBLENDVPS", c, k, R(0), S(1), S(1))
			}
			g.a.P("VPSUBD %s, %[2]s, %[2]s", g.shared(1), g.shared(0))
			g.a.P("ADDQ R10, DX")
			g.a.P("DECQ BX")
			g.a.P("JNZ %s", row)
			g.store(0, "DI", masked)
			g.store(1, "R11", masked)
		})
		g.end()
	}
}

// squares writes func addSquares(acc, x, v unsafe.Pointer, n, rows, stride int): acc
// plus the squares of what rows that begin stride bytes apart differ by from one element
// of v for each.
func (g *gen) squares() {
	g.fn("addSquares", 48)
	g.step = 4
	g.a.P("MOVQ acc+0(FP), DI")
	g.a.P("MOVQ x+8(FP), SI")
	g.a.P("MOVQ v+16(FP), R11")
	g.a.P("MOVQ n+24(FP), CX")
	g.a.P("MOVQ rows+32(FP), R9")
	g.a.P("MOVQ stride+40(FP), R10")
	g.loop(4, []string{"SI", "DI"}, func(masked bool) {
		row := g.label("row")
		g.load("DI", 0, masked)
		g.a.P("MOVQ SI, DX")
		g.a.P("XORQ BX, BX")
		g.a.L(row)
		g.a.P("VBROADCASTSS (R11)(BX*4), %s", g.shared(0))
		g.load("DX", 1, masked)
		g.I("VSUBPS", R(0), S(1), S(1))
		g.I("VFMADD231PS", S(1), S(1), S(0))
		g.a.P("ADDQ R10, DX")
		g.a.P("INCQ BX")
		g.a.P("CMPQ BX, R9")
		g.a.P("JLT %s", row)
		g.store(0, "DI", masked)
	})
	g.end()
}
