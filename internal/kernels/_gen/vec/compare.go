package main

import (
	"fmt"
	"strings"
)

// Predicates of comparisons of floats (ordered, quiet) and of integers.
var predicates = []struct {
	name       string
	float, int int
	vv         bool // the others are these with the operands exchanged
}{{"lt", 17, 1, true}, {"le", 18, 2, true}, {"eq", 0, 0, true}, {"gt", 30, 6, false}, {"ge", 29, 5, false}}

// comparisons writes func name(dst, a, b unsafe.Pointer, n, rows, sa, sb int) for floats and signed
// integers of 4 and 8 bytes, as binary does. dst gets a byte of 0 or 1 for each element.
func (g *gen) comparisons() {
	for _, size := range []int{4, 8} {
		for _, float := range []bool{true, false} {
			for _, p := range predicates {
				if p.vv {
					g.compare(p.name, p.float, p.int, float, size, false)
				}
				g.compare(p.name, p.float, p.int, float, size, true)
			}
		}
	}
}

func (g *gen) compare(pred string, pf, pi int, float bool, size int, scalar bool) {
	kind, form := "I", "VV"
	if float {
		kind = "F"
	}
	if scalar {
		form = "VS"
	}
	g.fn(fmt.Sprint(pred, kind, size*8, form), 56)
	lanes := g.lanes * 4 / size
	suffix := map[int]string{4: "S", 8: "D"}[size] // of floats
	word := map[int]string{4: "D", 8: "Q"}[size]   // of integers
	g.a.P("MOVQ dst+0(FP), DI")
	g.a.P("MOVQ a+8(FP), R9")
	g.a.P("MOVQ b+16(FP), R10")
	g.a.P("MOVQ n+24(FP), R11")
	g.a.P("MOVQ rows+32(FP), R12")
	g.a.P("MOVQ sa+40(FP), R13")
	if g.wide {
		g.a.P("MOVL $0x01010101, AX")
		g.a.P("VMOVD AX, X31")
		g.a.P("VPBROADCASTD X31, X31")
	} else {
		g.onesTable()
		g.a.P("LEAQ ·ones(SB), R8")
	}
	g.a.L("row")
	g.a.P("MOVQ R11, CX")
	g.a.P("MOVQ R9, SI")
	g.a.P("MOVQ R10, DX")
	other := func(c int) string { return fmt.Sprintf("%d(DX)", c*lanes*size) }
	if scalar {
		g.a.P("VBROADCASTS%s (R10), %s", suffix, g.reg(15))
		other = func(int) string { return g.reg(15) }
	}
	const chains = 4
	next := func(n int) {
		g.a.P("ADDQ $%d, SI", n*size)
		if !scalar {
			g.a.P("ADDQ $%d, DX", n*size)
		}
	}
	// vector compares vector c of a, in register c, with b; the mask goes to Kc+1 or AX.
	vector := func(c int, b, under string) {
		a := g.reg(c)
		switch {
		case g.wide && float:
			g.a.P("VCMPP%s $%d, %s, %s, %sK%d", suffix, pf, b, a, under, c+1)
		case g.wide:
			g.a.P("VPCMP%s $%d, %s, %s, %sK%d", word, pi, b, a, under, c+1)
		case float:
			g.a.P("VCMPP%s $%d, %s, %s, %s", suffix, pf, b, a, a)
		case pred == "eq":
			g.a.P("VPCMPEQ%s %s, %s, %s", word, b, a, a)
		case pred == "gt" || pred == "le": // le: not greater
			g.a.P("VPCMPGT%s %s, %s, %s", word, b, a, a)
		default:
			if strings.HasSuffix(b, ")") {
				g.a.P("VMOVDQU %s, Y8", b)
				b = "Y8"
			}
			g.a.P("VPCMPGT%s %s, %s, %s", word, a, b, a)
		}
		if !g.wide {
			g.a.P("VMOVMSKP%s %s, AX", suffix, a)
			if !float && (pred == "le" || pred == "ge") {
				g.a.P("XORL $%d, AX", 1<<lanes-1)
			}
		}
	}
	g.a.P("SUBQ $%d, CX", chains*lanes)
	g.a.P("JLT prep")
	g.a.P("PCALIGN $32")
	g.a.L("main")
	for c := range chains {
		g.a.P("VMOVUPS %d(SI), %s", c*lanes*size, g.reg(c))
		vector(c, other(c), "")
		if g.wide {
			g.a.P("VMOVDQU8.Z X31, K%d, X%d", c+1, 8+c)
			g.a.P("%s X%d, %d(DI)", map[int]string{4: "VMOVDQU", 8: "VMOVQ"}[size], 8+c, c*lanes)
		} else {
			g.a.P("MOVQ (R8)(AX*8), BX")
			g.a.P("%s BX, %d(DI)", map[int]string{4: "MOVQ", 8: "MOVL"}[size], c*lanes)
		}
	}
	next(chains * lanes)
	g.a.P("ADDQ $%d, DI", chains*lanes)
	g.a.P("SUBQ $%d, CX", chains*lanes)
	g.a.P("JGE main")
	g.a.L("prep")
	g.a.P("ADDQ $%d, CX", chains*lanes)
	g.a.P("JZ done")
	if g.wide {
		g.a.L("rest")
		g.a.P("MOVQ $%d, AX", 1<<lanes-1)
		g.a.P("CMPQ CX, $%d", lanes)
		g.a.P("JGE full")
		g.a.P("BZHIQ CX, AX, AX")
		g.a.L("full")
		g.a.P("KMOVW AX, K5")
		g.a.P("VMOVUP%s.Z (SI), K5, Z0", suffix)
		b := g.reg(15)
		if !scalar {
			b = "Z1"
			g.a.P("VMOVUP%s.Z (DX), K5, Z1", suffix)
		}
		vector(0, b, "K5, ")
		g.a.P("VMOVDQU8.Z X31, K1, X8")
		g.a.P("VMOVDQU8 X8, K5, (DI)")
		g.a.P("CMPQ CX, $%d", lanes)
		g.a.P("JLE last")
		next(lanes)
		g.a.P("ADDQ $%d, DI", lanes)
		g.a.P("SUBQ $%d, CX", lanes)
		g.a.P("JMP rest")
		g.a.L("last")
		g.a.P("ADDQ CX, DI")
	} else {
		g.a.L("rest")
		g.a.P("CMPQ CX, $%d", lanes)
		g.a.P("JLT part")
		g.a.P("VMOVUPS (SI), Y0")
		vector(0, other(0), "")
		g.a.P("MOVQ (R8)(AX*8), BX")
		g.a.P("%s BX, (DI)", map[int]string{4: "MOVQ", 8: "MOVL"}[size])
		next(lanes)
		g.a.P("ADDQ $%d, DI", lanes)
		g.a.P("SUBQ $%d, CX", lanes)
		g.a.P("JNZ rest")
		g.a.P("JMP done")
		g.a.L("part")
		g.laneMask()
		g.a.P("LEAQ ·tailmask(SB), BX")
		g.a.P("MOVQ $%d, AX", lanes)
		g.a.P("SUBQ CX, AX")
		g.a.P("VMOVDQU (BX)(AX*%d), Y11", size)
		g.a.P("VMASKMOVPS (SI), Y11, Y0")
		b := g.reg(15)
		if !scalar {
			b = "Y1"
			g.a.P("VMASKMOVPS (DX), Y11, Y1")
		}
		vector(0, b, "")
		g.a.P("MOVQ (R8)(AX*8), BX")
		g.a.L("byte")
		g.a.P("MOVB BX, (DI)")
		g.a.P("SHRQ $8, BX")
		g.a.P("INCQ DI")
		g.a.P("DECQ CX")
		g.a.P("JNZ byte")
	}
	g.a.L("done")
	g.a.P("ADDQ R13, R9")
	g.a.P("ADDQ sb+48(FP), R10")
	g.a.P("DECQ R12")
	g.a.P("JNZ row")
	g.end()
}

// onesTable is of 256 rows of 8 bytes: bit i of the number of a row is byte i.
func (g *gen) onesTable() {
	var b strings.Builder
	for i := range 256 {
		v := uint64(0)
		for k := range 8 {
			v |= uint64(i>>k&1) << (8 * k)
		}
		fmt.Fprintf(&b, "\nDATA ·ones+%d(SB)/8, $0x%016x", 8*i, v)
	}
	b.WriteString("\nGLOBL ·ones(SB), RODATA|NOPTR, $2048\n")
	g.once("ones", b.String())
}
