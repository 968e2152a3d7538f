package main

import "fmt"

// sines writes what package vec says of sinesOf: numbers are turned into float64, as many as
// a register holds, and constants come from a table, each 32 bytes.
func (g *gen) sines() {
	g.fn("sines", 32)
	narrow := *g
	narrow.lanes /= 2
	for _, p := range []string{"dst+0(FP), DI", "x+8(FP), SI", "n+16(FP), CX", "numbers+24(FP), BX"} {
		g.a.P("MOVQ %s", p)
	}
	const byPi, half, magic, pi, rest, one, poly, terms = 0, 1, 2, 3, 4, 5, 6, 5
	chains := g.w2(4, 2)
	x, z, p, t := 0, chains, 2*chains, 3*chains
	op := func(name string, number int, regs ...int) {
		for c := range narrow.chains {
			s := ""
			for _, r := range regs {
				s += ", " + g.reg(r+c)
			}
			if number < 0 {
				g.a.P("%s %s", name, s[2:])
			} else {
				g.a.P("%s %d(BX)%s", name+g.w(".BCST", ""), 32*number, s)
			}
		}
	}
	// In AVX2, a constant that is not an operand of arithmetic is loaded as it is.
	set := func(number, to int) {
		for c := range narrow.chains {
			g.a.P("%s %d(BX), %s", g.w("VBROADCASTSD", "VMOVUPD"), 32*number, g.reg(to+c))
		}
	}
	low := func(r int) string { return g.w("Y", "X") + fmt.Sprint(r) }
	narrow.loop(chains, []string{"SI", "DI"}, func(masked bool) {
		for c := range narrow.chains {
			at := fmt.Sprintf("%d(SI)", c*narrow.lanes*4)
			switch {
			case !masked:
				g.a.P("VCVTPS2PD %s, %s", at, g.reg(x+c))
				continue
			case g.wide:
				g.a.P("VMOVUPS.Z %s, K1, %s", at, low(x))
			default:
				g.a.P("VMASKMOVPS %s, X11, %s", at, low(x))
			}
			g.a.P("VCVTPS2PD %s, %s", low(x), g.reg(x))
		}
		set(half, t)
		op("VFMADD231PD", byPi, x, t)
		op("VADDPD", magic, t, t) // the low bits are the half turns
		op("VSUBPD", magic, t, p)
		op("VSUBPD", half, p, p)
		op("VFNMADD231PD", pi, p, x)
		op("VFNMADD231PD", rest, p, x)
		op("VMULPD", -1, x, x, z)
		set(poly+terms-1, p)
		for i := terms - 2; i >= 0; i-- {
			op("VFMADD213PD", poly+i, z, p)
		}
		op("VFMADD213PD", one, z, p) // not x more than x times: -0 stays
		op("VMULPD", -1, p, x, x)
		op("VPSLLQ $63,", -1, t, t)
		op(g.w("VPXORQ", "VPXOR"), -1, t, x, x)
		for c := range narrow.chains {
			if g.wide {
				g.a.P("VCVTPD2PS %s, %s", g.reg(x+c), low(x+c))
			} else {
				g.a.P("VCVTPD2PSY %s, %s", g.reg(x+c), low(x+c))
			}
			at := fmt.Sprintf("%d(DI)", c*narrow.lanes*4)
			switch {
			case !masked:
				g.a.P("VMOVUPS %s, %s", low(x+c), at)
			case g.wide:
				g.a.P("VMOVUPS %s, K1, %s", low(x), at)
			default:
				g.a.P("VMASKMOVPS %s, X11, %s", low(x), at)
			}
		}
	})
	g.end()
}
