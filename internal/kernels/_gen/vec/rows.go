package main

import (
	"math"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// binary writes func name(dst, a, b unsafe.Pointer, n, rows, sa, sb int): for
// each row of n elements dst = a op b. Rows of dst follow each other; those of
// a and b begin sa and sb bytes apart. Where scalar is "a" or "b" that operand
// is one element for each row. op has a in S(0), b in S(1) or R(0), and
// leaves the result in S(0). Elements have size bytes.
func (g *gen) binary(name, scalar string, size int, op func(a, b any)) {
	broadcast := "VBROADCASTSS"
	if size == 8 {
		broadcast = "VBROADCASTSD"
	}
	switch scalar {
	case "a":
		name += "SV"
	case "b":
		name += "VS"
	default:
		name += "VV"
	}
	g.fn(name, 56)
	g.step = 4
	g.a.P("MOVQ dst+0(FP), DI")
	g.a.P("MOVQ a+8(FP), R9")
	g.a.P("MOVQ b+16(FP), R10")
	g.a.P("MOVQ n+24(FP), R11")
	if size == 8 { // loads and stores count in halves
		g.a.P("ADDQ R11, R11")
	}
	g.a.P("MOVQ rows+32(FP), R12")
	g.a.P("MOVQ sa+40(FP), R13")
	g.a.P("MOVQ sb+48(FP), BX")
	row := g.label("row")
	g.a.L(row)
	g.a.P("MOVQ R11, CX")
	ptrs := []string{"DI"}
	if scalar == "a" {
		g.I(broadcast, "(R9)", R(0))
	} else {
		g.a.P("MOVQ R9, SI")
		ptrs = append(ptrs, "SI")
	}
	if scalar == "b" {
		g.I(broadcast, "(R10)", R(0))
	} else {
		g.a.P("MOVQ R10, DX")
		ptrs = append(ptrs, "DX")
	}
	g.loop(4, ptrs, func(masked bool) {
		var a, b any = S(0), S(1)
		if scalar == "a" {
			a = R(0)
		} else {
			g.load("SI", 0, masked)
		}
		if scalar == "b" {
			b = R(0)
		} else {
			g.load("DX", 1, masked)
		}
		op(a, b)
		g.store(0, "DI", masked)
	})
	// The last vector of a row may have moved DI beyond its end.
	g.a.P("ADDQ CX, CX")
	g.a.P("ADDQ CX, CX")
	g.a.P("ADDQ CX, DI")
	g.a.P("ADDQ R13, R9")
	g.a.P("ADDQ BX, R10")
	g.a.P("DECQ R12")
	g.a.P("JNZ %s", row)
	g.end()
}

// arithmetic writes the functions of two variables.
func (g *gen) arithmetic() {
	simple := func(op string) func(a, b any) {
		return func(a, b any) { g.I(op, b, a, S(0)) }
	}
	pick := func(op string) func(a, b any) { return g.pick(op, "PS") }
	for _, o := range []struct {
		name    string
		op      func(a, b any)
		commute bool
	}{
		{"add", simple("VADDPS"), true},
		{"sub", simple("VSUBPS"), false},
		{"mul", simple("VMULPS"), true},
		{"div", simple("VDIVPS"), false},
		{"max", pick("VMAXPS"), false},
		{"min", pick("VMINPS"), false},
	} {
		g.binary(o.name, "", 4, o.op)
		g.binary(o.name, "b", 4, o.op)
		if !o.commute {
			g.binary(o.name, "a", 4, o.op)
		}
	}
}

// doubles writes the functions of two variables of float64.
func (g *gen) doubles() {
	for _, name := range []string{"add", "sub", "mul", "div"} {
		op := func(a, b any) { g.I("V"+strings.ToUpper(name)+"PD", b, a, S(0)) }
		for _, scalar := range []string{"", "b", "a"} {
			g.binary(name+"64", scalar, 8, op)
		}
	}
	for _, name := range []string{"max", "min"} {
		for _, scalar := range []string{"", "b", "a"} {
			g.binary(name+"64", scalar, 8, g.pick("V"+strings.ToUpper(name)+"PD", "PD"))
		}
	}
}

// pick is the larger or smaller, of PS or PD; a NaN in either is the result.
func (g *gen) pick(op, kind string) func(a, b any) {
	return func(a, b any) {
		g.I(op, b, a, S(2))
		// What b decides is right unless a is NaN.
		for c := range g.chains {
			if g.wide {
				g.emit("VCMP"+kind, c, "$3", a, a, kmask(c))
				g.emit("VBLENDM"+kind, c, a, S(2), kmask(c), S(0))
			} else {
				g.emit("VCMP"+kind, c, "$3", a, a, R(1))
				g.emit("VBLENDV"+kind, c, R(1), a, S(2), S(0))
			}
		}
	}
}

// integers writes the functions of two integers, whose bits wrap around.
func (g *gen) integers() {
	for _, o := range []struct {
		name, op string
		size     int
		commute  bool
	}{
		{"addI32", "VPADDD", 4, true}, {"subI32", "VPSUBD", 4, false}, {"mulI32", "VPMULLD", 4, true}, {"maxI32", "VPMAXSD", 4, true}, {"minI32", "VPMINSD", 4, true},
		{"addI64", "VPADDQ", 8, true}, {"subI64", "VPSUBQ", 8, false},
	} {
		op := func(a, b any) { g.I(o.op, b, a, S(0)) }
		g.binary(o.name, "", o.size, op)
		g.binary(o.name, "b", o.size, op)
		if !o.commute {
			g.binary(o.name, "a", o.size, op)
		}
	}
}

func bitsOf(v float32) uint32 { return math.Float32bits(v) }
