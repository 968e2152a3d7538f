// Command forest writes forest_amd64.s of internal/kernels/forest. It is run by go
// generate in that folder.
package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

func main() {
	a := asm.New("!noasm")
	for words := 1; words <= 2; words++ {
		g := &gen{a, words}
		g.function("512", 64, g.compare512, g.leaf512)
		g.function("2", 32, g.compare2, g.leaf2)
	}
	walk(a)
	keys(a)
	a.Write("forest_amd64.s")
}

// gen writes the functions for trees of up to 32 leaves a word. Masks of the leaves that the rows
// of group g cannot reach are taken from vector 4w+g.
type gen struct {
	*asm.File
	words int
}

// function writes func addN_isa(keys, nodes unsafe.Pointer, n int, values, sums unsafe.Pointer,
// groups int): four groups of rows at a time, then one; a vector has size bytes.
func (g *gen) function(isa string, size int, compare, leaf func(groups int)) {
	reg := map[string]string{"512": "Z", "2": "Y"}[isa]
	g.Func(fmt.Sprintf("add%d_%s", 32*g.words, isa), 48)
	g.P("MOVQ keys+0(FP), SI")
	g.P("MOVQ values+24(FP), DX")
	g.P("MOVQ sums+32(FP), DI")
	g.P("MOVQ groups+40(FP), BX")
	if isa == "512" {
		for w := range 2 * g.words { // the values of the leaves
			g.P("VMOVUPS %d(DX), Z%d", 64*w, 28+w)
		}
		g.broadcast(31, "Z11")
	} else {
		g.broadcast(1<<31, "Y11")
	}
	for _, groups := range []int{4, 1} {
		loop, node, done := fmt.Sprint("rows", groups), fmt.Sprint("node", groups), fmt.Sprint("done", groups)
		g.L(loop)
		g.P("SUBQ $%d, BX", groups)
		g.P("JLT %s", done)
		g.P("MOVQ nodes+8(FP), R8")
		g.P("MOVQ n+16(FP), CX")
		for w := range g.words {
			for i := range groups {
				r := fmt.Sprint(reg, 4*w+i)
				if isa == "512" {
					g.P("VPTERNLOGD $0xff, %[1]s, %[1]s, %[1]s", r)
				} else {
					g.P("VPCMPEQD %[1]s, %[1]s, %[1]s", r)
				}
			}
		}
		g.P("TESTQ CX, CX")
		g.P("JZ leaf%d", groups)
		g.L(node)
		g.P("MOVL 4(R8), R9")
		g.P("VPBROADCASTD (R8), %s8", reg)
		for w := range g.words {
			g.P("VPBROADCASTD %d(R8), %s%d", 8+4*w, reg, 9+w)
		}
		compare(groups)
		g.P("ADDQ $16, R8")
		g.P("DECQ CX")
		g.P("JNZ %s", node)
		g.L(fmt.Sprint("leaf", groups))
		leaf(groups)
		g.P("ADDQ $%d, SI", size*groups)
		g.P("ADDQ $%d, DI", size*groups)
		g.P("JMP %s", loop)
		g.L(done)
		g.P("ADDQ $%d, BX", groups)
	}
	g.P("VZEROUPPER")
	g.P("RET")
}

func (g *gen) broadcast(v uint32, to string) {
	g.P("MOVL $%#x, R9", v)
	g.P("VMOVD R9, X%s", to[1:])
	g.P("VPBROADCASTD X%s, %s", to[1:], to)
}

func (g *gen) compare512(groups int) {
	for i := range groups {
		g.P("VMOVDQU32 %d(SI)(R9*1), Z%d", 64*i, 16+i)
	}
	for i := range groups {
		g.P("VPCMPUD $6, Z8, Z%d, K%d", 16+i, 1+i)
	}
	for w := range g.words {
		for i := range groups {
			g.P("VPANDND Z%d, Z%d, K%d, Z%d", 4*w+i, 9+w, 1+i, 4*w+i)
		}
	}
}

func (g *gen) leaf512(groups int) {
	place := func(word, to int) { // of the lowest bit
		g.P("VPXORD Z%[1]d, Z%[1]d, Z%[1]d", to)
		g.P("VPSUBD Z%d, Z%d, Z%d", word, to, to)
		g.P("VPANDD Z%d, Z%d, Z%d", word, to, to)
		g.P("VPLZCNTD Z%d, Z%d", to, to)
		g.P("VPSUBD Z%d, Z11, Z%d", to, to)
	}
	for i := range groups {
		place(i, 16+i)
		g.P("VPERMI2PS Z29, Z28, Z%d", 16+i)
		if g.words == 2 { // the second word counts where the first is empty
			g.P("VPTESTNMD Z%d, Z%d, K1", i, i)
			place(4+i, 20+i)
			g.P("VPERMI2PS Z31, Z30, Z%d", 20+i)
			g.P("VBLENDMPS Z%d, Z%d, K1, Z%d", 20+i, 16+i, 16+i)
		}
		g.P("VADDPS %d(DI), Z%d, Z%d", 64*i, 16+i, 16+i)
		g.P("VMOVUPS Z%d, %d(DI)", 16+i, 64*i)
	}
}

// compare2 compares as signed numbers, whose first bits are turned.
func (g *gen) compare2(groups int) {
	g.P("VPXOR Y11, Y8, Y8")
	for i := range groups {
		t := 12 + i%2*2
		g.P("VPXOR %d(SI)(R9*1), Y11, Y%d", 32*i, t)
		g.P("VPCMPGTD Y8, Y%d, Y%d", t, t)
		for w := range g.words {
			g.P("VPAND Y%d, Y%d, Y%d", 9+w, t, t+1)
			g.P("VPANDN Y%d, Y%d, Y%d", 4*w+i, t+1, 4*w+i)
		}
	}
}

func (g *gen) leaf2(groups int) {
	g.broadcast(127, "Y8")
	g.broadcast(127-32, "Y9")
	place := func(word, bias, to int) { // of the lowest bit: the exponent of the number that it is
		g.P("VPXOR Y%[1]d, Y%[1]d, Y%[1]d", to)
		g.P("VPSUBD Y%d, Y%d, Y%d", word, to, to)
		g.P("VPAND Y%d, Y%d, Y%d", word, to, to)
		g.P("VCVTDQ2PS Y%d, Y%d", to, to)
		g.P("VPSLLD $1, Y%d, Y%d", to, to) // bit 31 is a negative number
		g.P("VPSRLD $24, Y%d, Y%d", to, to)
		g.P("VPSUBD Y%d, Y%d, Y%d", bias, to, to)
	}
	for i := range groups {
		place(i, 8, 12)
		if g.words == 2 { // the second word counts where the first is empty
			place(4+i, 9, 13)
			g.P("VPXOR Y14, Y14, Y14")
			g.P("VPCMPEQD Y%d, Y14, Y14", i)
			g.P("VPBLENDVB Y14, Y13, Y12, Y12")
		}
		g.P("VPCMPEQD Y15, Y15, Y15")
		g.P("VGATHERDPS Y15, (DX)(Y12*4), Y13")
		g.P("VADDPS %d(DI), Y13, Y13", 32*i)
		g.P("VMOVUPS Y13, %d(DI)", 32*i)
	}
}
