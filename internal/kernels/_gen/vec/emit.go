package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// Operands of gen.I beside strings, which are taken as they are.
type (
	S int     // a register of the chain: one for each of the vectors in flight
	R int     // a register that all chains share
	C float32 // a constant in every lane
	U uint32  // the same by its bits
	H int     // the half register of S
	D float64 // a constant in every lane of 8 bytes
)

// gen writes a function for one instruction set.
type gen struct {
	a      *asm.File
	n      *backend // NEON, else nil
	wide   bool     // AVX-512, else AVX2
	chains int
	lanes  int // float32 in a register
	labels int
	step   int // registers between two slots of a chain: the most chains of the function
}

func (g *gen) suffix() string {
	if g.n != nil {
		return "NEON"
	}
	if g.wide {
		return "512"
	}
	return "256"
}

// w returns its first argument for AVX-512, the second for AVX2.
func (g *gen) w(wide, narrow string) string {
	if g.wide {
		return wide
	}
	return narrow
}

func (g *gen) reg(n int) string { return g.w("Z", "Y") + fmt.Sprint(n) }

// shared returns register R i. AVX2 has four of them beside six S for two chains.
func (g *gen) shared(i int) string {
	if g.wide {
		return g.reg(24 + i)
	}
	if i > 3 {
		panic("too many shared registers")
	}
	return g.reg(12 + i)
}

func (g *gen) slot(s S, chain int) string {
	n := int(s)*g.step + chain
	if n >= g.w2(24, 12) {
		panic("too many registers")
	}
	return g.reg(n)
}

func (g *gen) w2(wide, narrow int) int {
	if g.wide {
		return wide
	}
	return narrow
}

func (g *gen) constant(bits uint32) string {
	if g.wide {
		name := fmt.Sprintf("·f%08x(SB)", bits)
		g.once(name, fmt.Sprintf("\nDATA %s/4, $0x%08x\nGLOBL %s, RODATA|NOPTR, $4\n", name, bits, name))
		return name
	}
	name := fmt.Sprintf("·v%08x", bits)
	var b strings.Builder
	for i := 0; i < 32; i += 4 {
		fmt.Fprintf(&b, "\nDATA %s+%d(SB)/4, $0x%08x", name, i, bits)
	}
	fmt.Fprintf(&b, "\nGLOBL %s(SB), RODATA|NOPTR, $32\n", name)
	g.once(name, b.String())
	return name + "(SB)"
}

// double returns the symbol of a float64: in every lane for AVX2.
func (g *gen) double(v float64) string {
	bits := math.Float64bits(v)
	if g.wide {
		return g.a.Double(v)
	}
	name := fmt.Sprintf("·w%016x", bits)
	var b strings.Builder
	for i := 0; i < 32; i += 8 {
		fmt.Fprintf(&b, "\nDATA %s+%d(SB)/8, $0x%016x", name, i, bits)
	}
	fmt.Fprintf(&b, "\nGLOBL %s(SB), RODATA|NOPTR, $32\n", name)
	g.once(name, b.String())
	return name + "(SB)"
}

var written = map[string]bool{}

func (g *gen) once(name, text string) {
	if !written[name] {
		written[name] = true
		g.a.Raw(text)
	}
}

// I writes an instruction for each chain. Operands are in Go's order: the
// result last.
func (g *gen) I(op string, args ...any) {
	if g.n != nil {
		g.neonI(op, args)
		return
	}
	for c := range g.chains {
		if !g.emit(op, c, args...) {
			break
		}
	}
}

// emit writes it for one chain and reports whether it depends on the chain.
func (g *gen) emit(op string, c int, args ...any) bool {
	perChain := false
	var out []string
	for _, v := range args {
		switch v := v.(type) {
		case S:
			out = append(out, g.slot(v, c))
			perChain = true
		case H:
			out = append(out, g.w("Y", "X")+g.slot(S(v), c)[1:])
			perChain = true
		case R:
			out = append(out, g.shared(int(v)))
		case C, U:
			bits, ok := v.(U)
			if !ok {
				bits = U(math.Float32bits(float32(v.(C))))
			}
			if g.wide {
				if i := strings.Index(op, "."); i >= 0 {
					op = op[:i] + ".BCST" + op[i:]
				} else {
					op += ".BCST"
				}
			}
			out = append(out, g.constant(uint32(bits)))
		case D:
			if g.wide {
				if i := strings.Index(op, "."); i >= 0 {
					panic(op)
				}
				op += ".BCST"
			}
			out = append(out, g.double(float64(v)))
		case func(int) string:
			out = append(out, v(c))
			perChain = true
		default:
			out = append(out, fmt.Sprint(v))
		}
	}
	g.a.P("%s %s", op, strings.Join(out, ", "))
	return perChain
}

// set loads a constant into an S or R.
func (g *gen) set(v float32, to any) {
	if g.n != nil {
		g.neonI("VMOVAPS", []any{C(v), to})
		return
	}
	if g.wide {
		g.I("VBROADCASTSS", g.constant(math.Float32bits(v)), to)
	} else {
		g.I("VMOVUPS", g.constant(math.Float32bits(v)), to)
	}
}

// kmask is the mask register that blend uses in a chain; K1 to K4 are those of loads and stores.
func kmask(c int) string { return fmt.Sprintf("K%d", 5+c%2) }

// Predicates of VCMPPS: ordered, quiet where there is a choice.
const (
	lt, le, eq, unord, nlt = 17, 18, 0, 3, 21
)

// blend sets to = from in the lanes where a pred b; t is overwritten in AVX2.
func (g *gen) blend(pred int, a, b, from any, to, t S) {
	if g.n != nil {
		g.neonBlend(pred, a, b, from, to)
		return
	}
	for c := range g.chains {
		p := fmt.Sprintf("$%d", pred)
		if g.wide {
			g.emit("VCMPPS", c, p, b, a, kmask(c))
			g.emit("VBLENDMPS", c, from, to, kmask(c), to)
		} else {
			g.emit("VCMPPS", c, p, b, a, t)
			g.emit("VBLENDVPS", c, t, from, to, to)
		}
	}
}

func (g *gen) label(kind string) string {
	g.labels++
	return fmt.Sprintf("%s%d", kind, g.labels)
}

// fn begins a function and forgets the state of the last.
func (g *gen) fn(name string, args int) {
	g.labels, g.chains = 0, 1
	g.a.Func(name+g.suffix(), args)
}

// tailMask sets the mask of a single vector of min(CX, lanes) elements: K1, or
// Y11 in AVX2. AX and R8 are overwritten.
func (g *gen) tailMask() {
	full := g.label("full")
	if g.wide {
		g.a.P("MOVQ $-1, AX")
		g.a.P("CMPQ CX, $%d", g.lanes)
		g.a.P("JGE %s", full)
		g.a.P("BZHIQ CX, AX, AX")
		g.a.L(full)
		g.a.P("KMOVW AX, K1")
		return
	}
	g.laneMask()
	g.a.P("XORL AX, AX")
	g.a.P("CMPQ CX, $%d", g.lanes)
	g.a.P("JGE %s", full)
	g.a.P("MOVQ $8, AX")
	g.a.P("SUBQ CX, AX")
	g.a.L(full)
	g.a.P("LEAQ ·tailmask(SB), R8")
	g.a.P("VMOVDQU (R8)(AX*4), Y11")
}

// laneMask is of 8 words of ones and 8 of zeros.
func (g *gen) laneMask() {
	var b strings.Builder
	for i := range 16 {
		v := uint32(0)
		if i < 8 {
			v = 0xffffffff
		}
		fmt.Fprintf(&b, "\nDATA ·tailmask+%d(SB)/4, $0x%08x", i*4, v)
	}
	b.WriteString("\nGLOBL ·tailmask(SB), RODATA|NOPTR, $64\n")
	g.once("tailmask", b.String())
}

// load reads vector c of the pointer; masked: under the mask of tailMask, zeros elsewhere.
func (g *gen) load(ptr string, to S, masked bool) {
	if g.n != nil {
		g.neonLoad(g.neonAddress(ptr), to, masked)
		return
	}
	for c := range g.chains {
		at := fmt.Sprintf("%d(%s)", c*g.lanes*4, ptr)
		switch {
		case !masked:
			g.emit("VMOVUPS", c, at, to)
		case g.wide:
			g.emit("VMOVUPS.Z", c, at, "K1", to)
		default:
			g.emit("VMASKMOVPS", c, at, "Y11", to)
		}
	}
}

func (g *gen) store(from S, ptr string, masked bool) {
	if g.n != nil {
		g.neonStore(from, g.neonAddress(ptr), masked)
		return
	}
	for c := range g.chains {
		at := fmt.Sprintf("%d(%s)", c*g.lanes*4, ptr)
		switch {
		case !masked:
			g.emit("VMOVUPS", c, from, at)
		case g.wide:
			g.emit("VMOVUPS", c, from, "K1", at)
		default:
			g.emit("VMASKMOVPS", c, from, "Y11", at)
		}
	}
}

// loop writes the loop over CX elements: body is written for chains vectors at
// a time and once more for one vector under a mask.
func (g *gen) loop(chains int, ptrs []string, body func(masked bool)) {
	if g.n != nil {
		var regs []int
		for _, p := range ptrs {
			regs = append(regs, g.neonAddress(p))
		}
		g.neonLoop(chains, regs, body)
		return
	}
	step := chains * g.lanes
	main, tail, prep, done := g.label("main"), g.label("tail"), g.label("prep"), g.label("done")
	g.a.P("SUBQ $%d, CX", step)
	g.a.P("JLT %s", prep)
	g.a.P("PCALIGN $32")
	g.a.L(main)
	g.chains = chains
	body(false)
	for _, p := range ptrs {
		g.a.P("ADDQ $%d, %s", step*4, p)
	}
	g.a.P("SUBQ $%d, CX", step)
	g.a.P("JGE %s", main)
	g.a.L(prep)
	g.a.P("ADDQ $%d, CX", step)
	g.a.P("JLE %s", done)
	g.a.L(tail)
	g.chains = 1
	g.tailMask()
	body(true)
	for _, p := range ptrs {
		g.a.P("ADDQ $%d, %s", g.lanes*4, p)
	}
	g.a.P("SUBQ $%d, CX", g.lanes)
	g.a.P("JGT %s", tail)
	g.a.L(done)
	g.chains = chains
}

func (g *gen) end() {
	if g.n == nil {
		g.a.P("VZEROUPPER")
	}
	g.a.P("RET")
}
