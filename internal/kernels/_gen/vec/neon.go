package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/neon"
)

// The back end for NEON. Functions of one variable are written from the same
// description as for AVX2, four vectors at a time: V0 to V19 are the registers
// S of the chains, V20 to V23 one more for each chain, V24 to V28 the registers
// R, V29 a mask, V30 and V31 constants. R0 dst, R1 x, R2 elements left, R9
// constants.
type backend struct {
	*neon.File
	pool []uint32 // of ·consts, four lanes each
}

const (
	neonChains = 4 // but two in steps of recurrent networks
	temp       = 20
)

func neonAll() {
	g := &gen{n: &backend{File: neon.New("vec")}, lanes: 4}
	g.a = g.n.File.File
	g.functions()
	g.gates()
	g.neonArithmetic()
	g.neonReductions()
	var b strings.Builder
	fmt.Fprintf(&b, "\n")
	for i, v := range g.n.pool {
		for l := range 4 {
			fmt.Fprintf(&b, "DATA ·consts+%d(SB)/4, $0x%08x\n", i*16+l*4, v)
		}
	}
	fmt.Fprintf(&b, "GLOBL ·consts(SB), RODATA|NOPTR, $%d\n", len(g.n.pool)*16)
	for l := range 4 {
		fmt.Fprintf(&b, "DATA ·numbers+%d(SB)/4, $%d\n", l*4, l)
	}
	b.WriteString("GLOBL ·numbers(SB), RODATA|NOPTR, $16\n")
	g.a.Raw(b.String())
	g.n.Write()
}

// load makes v the constant.
func (n *backend) load(bits uint32, v int) {
	at := -1
	for i, b := range n.pool {
		if b == bits {
			at = i
		}
	}
	if at < 0 {
		at = len(n.pool)
		n.pool = append(n.pool, bits)
	}
	n.N("ldr q%d, [x9, #%d]", v, 16*at)
}

// number returns the register of an operand; constants are in V31.
func (g *gen) number(v any, c int) int {
	switch v := v.(type) {
	case S:
		if n := int(v)*g.step + c; n < temp {
			return n
		}
		panic("too many registers")
	case R:
		if v > 4 {
			panic("too many shared registers")
		}
		return 24 + int(v)
	case C, U:
		return 31
	}
	panic(fmt.Sprint("no operand of NEON: ", v))
}

// neonI is I: constants are loaded once for all chains.
func (g *gen) neonI(op string, args []any) {
	chains := 1
	for _, v := range args {
		switch v := v.(type) {
		case C:
			g.n.load(math.Float32bits(float32(v)), 31)
		case U:
			g.n.load(uint32(v), 31)
		case S:
			chains = g.chains
		}
	}
	for c := range chains {
		g.neonOp(op, c, args)
	}
}

// neonOp writes what an instruction of AVX2 does, but that of zeros of both
// signs the maximum is +0, and the minimum -0, and NaN is always kept.
func (g *gen) neonOp(op string, c int, args []any) {
	imm := ""
	if s, ok := args[0].(string); ok {
		imm, args = s[1:], args[1:]
	}
	r := make([]int, len(args))
	for i, v := range args {
		r[i] = g.number(v, c)
	}
	d, t := r[len(r)-1], temp+c
	same := func(name, arr string) { g.n.N("%s v%d.%s, v%d.%s, v%d.%s", name, d, arr, r[1], arr, r[0], arr) }
	one := func(name string) { g.n.N("%s v%d.4s, v%d.4s", name, d, r[0]) }
	mov := func(from, to int) { g.n.N("mov v%d.16b, v%d.16b", to, from) }
	switch op {
	case "VADDPS":
		same("fadd", "4s")
	case "VSUBPS":
		same("fsub", "4s")
	case "VMULPS":
		same("fmul", "4s")
	case "VDIVPS":
		same("fdiv", "4s")
	case "VMAXPS":
		same("fmax", "4s")
	case "VMINPS":
		same("fmin", "4s")
	case "VPADDD":
		same("add", "4s")
	case "VPSUBD":
		same("sub", "4s")
	case "VXORPS":
		same("eor", "16b")
	case "VORPS":
		same("orr", "16b")
	case "VANDPS":
		same("and", "16b")
	case "VSQRTPS":
		one("fsqrt")
	case "VCVTPS2DQ":
		one("fcvtns")
	case "VCVTDQ2PS":
		one("scvtf")
	case "VROUNDPS":
		one(map[string]string{"0": "frintn", "8": "frintn", "9": "frintm", "10": "frintp", "11": "frintz"}[imm])
	case "VMOVAPS":
		mov(r[0], d)
	case "VPSLLD":
		g.n.N("shl v%d.4s, v%d.4s, #%s", d, r[0], imm)
	case "VPSRAD":
		g.n.N("sshr v%d.4s, v%d.4s, #%s", d, r[0], imm)
	case "VFMADD231PS":
		g.n.N("fmla v%d.4s, v%d.4s, v%d.4s", d, r[1], r[0])
	case "VFNMADD231PS":
		g.n.N("fmls v%d.4s, v%d.4s, v%d.4s", d, r[1], r[0])
	case "VFMADD213PS", "VFMSUB213PS":
		if op == "VFMSUB213PS" {
			g.n.N("fneg v%d.4s, v%d.4s", t, r[0])
		} else {
			mov(r[0], t)
		}
		g.n.N("fmla v%d.4s, v%d.4s, v%d.4s", t, r[1], d)
		mov(t, d)
	case "VFMADD132PS":
		mov(r[1], t)
		g.n.N("fmla v%d.4s, v%d.4s, v%d.4s", t, d, r[0])
		mov(t, d)
	case "VCMPPS":
		g.neonCompare(imm, r[1], r[0], d)
	case "VBLENDVPS": // mask, from, to, result
		switch d {
		case r[1]:
			g.n.N("bif v%d.16b, v%d.16b, v%d.16b", d, r[2], r[0])
		case r[2]:
			g.n.N("bit v%d.16b, v%d.16b, v%d.16b", d, r[1], r[0])
		default:
			panic("blend of three registers")
		}
	default:
		panic("no instruction of NEON: " + op)
	}
}

// neonCompare sets d to a pred b.
func (g *gen) neonCompare(pred string, a, b, d int) {
	switch pred {
	case fmt.Sprint(lt):
		g.n.N("fcmgt v%d.4s, v%d.4s, v%d.4s", d, b, a)
	case fmt.Sprint(eq):
		g.n.N("fcmeq v%d.4s, v%d.4s, v%d.4s", d, a, b)
	case fmt.Sprint(nlt):
		g.n.N("fcmgt v%d.4s, v%d.4s, v%d.4s", d, b, a)
		g.n.N("mvn v%d.16b, v%d.16b", d, d)
	default:
		panic("no such predicate")
	}
}

func (g *gen) neonBlend(pred int, a, b, from any, to S) {
	if u, ok := from.(U); ok {
		g.n.load(uint32(u), 31)
	}
	for c := range g.chains {
		t := temp + c
		g.neonCompare(fmt.Sprint(pred), g.number(a, c), g.number(b, c), t)
		g.n.N("bit v%d.16b, v%d.16b, v%d.16b", g.number(to, c), g.number(from, c), t)
	}
}

// neonHorner is horner; the steps go to and fro between two registers.
func (g *gen) neonHorner(coef []float64, t, p S) {
	last := len(coef) - 1
	g.n.load(math.Float32bits(float32(coef[last])), 31)
	in := 31 // the number is the same in all chains at first
	for i := last - 1; i >= 0; i-- {
		g.n.load(math.Float32bits(float32(coef[i])), 31-(last-i)%2)
		for c := range g.chains {
			from, to := g.number(p, c), temp+c
			if i%2 == 0 { // the last step ends in p
				from, to = to, from
			}
			if i == last-1 {
				from = in
			}
			g.n.N("mov v%d.16b, v%d.16b", to, 31-(last-i)%2)
			g.n.N("fmla v%d.4s, v%d.4s, v%d.4s", to, from, g.number(t, c))
		}
	}
}

// neonLoad reads a vector for each chain from register x on, neonStore writes
// it; with part the low bits of R2 say how many lanes.
func (g *gen) neonLoad(x int, to S, part bool) {
	r := g.number(to, 0)
	switch {
	case part:
		g.n.LoadPart(r, x, 2)
	case g.chains == 1:
		g.n.N("ldr q%d, [x%d]", r, x)
	default:
		for c := 0; c < g.chains; c += 2 {
			g.n.N("ldp q%d, q%d, [x%d, #%d]", r+c, r+c+1, x, 16*c)
		}
	}
}

func (g *gen) neonStore(from S, x int, part bool) {
	r := g.number(from, 0)
	switch {
	case part:
		g.n.StorePart(r, x, 2)
	case g.chains == 1:
		g.n.N("str q%d, [x%d]", r, x)
	default:
		for c := 0; c < g.chains; c += 2 {
			g.n.N("stp q%d, q%d, [x%d, #%d]", r+c, r+c+1, x, 16*c)
		}
	}
}

// neonLoop writes the loop over R2 elements: body is written for chains vectors
// at a time, for one, and for a part of one.
func (g *gen) neonLoop(chains int, ptrs []int, body func(part bool)) {
	add := func(n int) {
		for _, p := range ptrs {
			g.a.P("ADD $%d, R%d", n*16, p)
		}
	}
	many, one, each, part, done := g.n.Label("many"), g.n.Label("one"), g.n.Label("each"), g.n.Label("part"), g.n.Label("done")
	g.a.P("SUBS $%d, R2", 4*chains)
	g.a.P("BLT %s", one)
	g.a.P("PCALIGN $16")
	g.a.L(many)
	g.chains = chains
	body(false)
	add(chains)
	g.a.P("SUBS $%d, R2", 4*chains)
	g.a.P("BGE %s", many)
	g.a.L(one)
	g.a.P("ADD $%d, R2", 4*chains)
	g.chains = 1
	g.a.L(each)
	g.a.P("SUBS $4, R2")
	g.a.P("BLT %s", part)
	body(false)
	add(1)
	g.a.P("B %s", each)
	g.a.L(part)
	g.a.P("ADDS $4, R2")
	g.a.P("BEQ %s", done)
	body(true)
	g.a.L(done)
	g.chains = chains
}

// param loads a float argument into all lanes of v.
func (g *gen) param(name string, off, v int) {
	g.a.P("MOVWU %s+%d(FP), R10", name, off)
	g.n.N("dup v%d.4s, w10", v)
}

func (g *gen) neonUnary(name string, params int, shared []float32, body func()) {
	g.step = neonChains
	sig := "dst, x unsafe.Pointer, n int"
	if params > 0 {
		sig += ", " + strings.Join([]string{"p0", "p1"}[:params], ", ") + " float32"
	}
	g.n.Func(name+g.suffix(), sig, 24+4*params)
	g.n.Args("R0", "dst+0", "R1", "x+8", "R2", "n+16")
	g.a.P("MOVD $·consts(SB), R9")
	for i := range params {
		g.param(fmt.Sprint("p", i), 24+4*i, 24+i)
	}
	for i, v := range shared {
		g.n.load(math.Float32bits(v), 24+params+i)
	}
	g.neonLoop(neonChains, []int{0, 1}, func(part bool) {
		g.neonLoad(1, 0, part)
		body()
		g.neonStore(0, 0, part)
	})
	g.a.P("RET")
}

// neonBinary is binary. R3 a, R4 b, R5 n, R6 rows left, R7 sa, R8 sb, R11 row of dst.
func (g *gen) neonBinary(name, scalar, op string) {
	name += map[string]string{"a": "SV", "b": "VS", "": "VV"}[scalar] + g.suffix()
	g.n.Func(name, "dst, a, b unsafe.Pointer, n, rows, sa, sb int", 56)
	g.n.Args("R11", "dst+0", "R3", "a+8", "R4", "b+16", "R5", "n+24", "R6", "rows+32", "R7", "sa+40", "R8", "sb+48")
	row := g.n.Label("row")
	g.a.L(row)
	g.a.P("MOVD R5, R2")
	g.a.P("MOVD R11, R0")
	ptrs := []int{0}
	for i, s := range []string{"a", "b"} {
		if scalar == s {
			g.n.N("ld1r {v24.4s}, [x%d]", 3+i)
			continue
		}
		x := []int{1, 10}[i]
		g.a.P("MOVD R%d, R%d", 3+i, x)
		ptrs = append(ptrs, x)
	}
	g.neonLoop(neonChains, ptrs, func(part bool) {
		var a, b any = S(0), S(1)
		if scalar == "a" {
			a = R(0)
		} else {
			g.neonLoad(1, 0, part)
		}
		if scalar == "b" {
			b = R(0)
		} else {
			g.neonLoad(10, 1, part)
		}
		for c := range g.chains {
			g.n.N("%s v%d.4s, v%d.4s, v%d.4s", op, g.number(S(0), c), g.number(a, c), g.number(b, c))
		}
		g.neonStore(0, 0, part)
	})
	g.a.P("ADD R5<<2, R11")
	g.a.P("ADD R7, R3")
	g.a.P("ADD R8, R4")
	g.a.P("SUBS $1, R6")
	g.a.P("BNE %s", row)
	g.a.P("RET")
}

func (g *gen) neonArithmetic() {
	g.step = neonChains
	for _, o := range []string{"add", "sub", "mul", "div", "max", "min"} {
		g.neonBinary(o, "", "f"+o)
		g.neonBinary(o, "b", "f"+o)
		if o != "add" && o != "mul" {
			g.neonBinary(o, "a", "f"+o)
		}
	}
}

// neonReduce writes a reduction with sums V0 to V<chains-1>; body adds vectors to
// them. With part, V29 has ones in the lanes that count.
func (g *gen) neonReduce(name, sig string, ret, chains int, begin func(), join string, ptrs []int, body func(part bool)) {
	g.n.Func(name+g.suffix(), sig+") (ret float32)", ret+4)
	g.a.P("MOVD $·consts(SB), R9")
	g.chains = chains
	begin()
	g.neonLoop(chains, ptrs, func(part bool) {
		if part {
			g.a.P("MOVD $·numbers(SB), R10")
			g.n.N("ldr q30, [x10]")
			g.n.N("dup v29.4s, w2")
			g.n.N("cmgt v29.4s, v29.4s, v30.4s")
		}
		body(part)
	})
	for n := chains / 2; n > 0; n /= 2 {
		for c := range n {
			g.n.N("%s v%d.4s, v%d.4s, v%d.4s", join, c, c, c+n)
		}
	}
	if join == "fadd" {
		g.n.N("faddp v0.4s, v0.4s, v0.4s")
		g.n.N("faddp s0, v0.2s")
	} else {
		g.n.N("%sv s0, v0.4s", join)
	}
	g.a.P("FMOVS F0, ret+%d(FP)", ret)
	g.a.P("RET")
}

func (g *gen) neonReductions() {
	g.step = neonChains
	const vector = "x unsafe.Pointer, n int"
	args := func() { g.n.Args("R1", "x+0", "R2", "n+8") }
	zero := func() {
		for c := range g.chains {
			g.n.Zero(c)
		}
	}
	// in reads vectors into V8 on.
	in := func(part bool) {
		switch {
		case part:
			g.n.LoadPart(8, 1, 2)
		case g.chains == 1:
			g.n.N("ldr q8, [x1]")
		default:
			for c := 0; c < g.chains; c += 2 {
				g.n.N("ldp q%d, q%d, [x1, #%d]", 8+c, 9+c, 16*c)
			}
		}
	}
	each := func(format string, v ...any) {
		for c := range g.chains {
			var args []any
			for _, x := range v {
				args = append(args, x.(int)+c)
			}
			g.n.N(format, args...)
		}
	}
	g.neonReduce("sum", vector, 16, 8, func() { args(); zero() }, "fadd", []int{1}, func(part bool) {
		in(part)
		each("fadd v%d.4s, v%d.4s, v%d.4s", 0, 0, 8)
	})
	g.neonReduce("sumAbs", vector, 16, 8, func() { args(); zero() }, "fadd", []int{1}, func(part bool) {
		in(part)
		each("fabs v%d.4s, v%d.4s", 8, 8)
		each("fadd v%d.4s, v%d.4s, v%d.4s", 0, 0, 8)
	})
	g.neonReduce("sumSquares", vector+", m float32", 24, 8, func() {
		args()
		zero()
		g.param("m", 16, 24)
	}, "fadd", []int{1}, func(part bool) {
		in(part)
		each("fsub v%d.4s, v%d.4s, v24.4s", 8, 8)
		if part {
			g.n.N("and v8.16b, v8.16b, v29.16b")
		}
		each("fmla v%d.4s, v%d.4s, v%d.4s", 0, 8, 8)
	})
	for _, o := range []struct {
		name, op string
		init     float32
	}{{"largest", "fmax", -inf32}, {"smallest", "fmin", inf32}} {
		g.neonReduce(o.name, vector, 16, 8, func() {
			args()
			for c := range g.chains {
				g.n.load(bitsOf(o.init), c)
			}
			g.n.load(bitsOf(o.init), 24)
		}, o.op, []int{1}, func(part bool) {
			in(part)
			if part {
				g.n.N("bif v8.16b, v24.16b, v29.16b")
			}
			each(o.op+" v%d.4s, v%d.4s, v%d.4s", 0, 0, 8)
		})
	}
	// dst = e^(x·scale - shift), which is at most 1; the sum of dst.
	g.neonReduce("expSum", "dst, x unsafe.Pointer, n int, scale, shift float32", 32, neonChains, func() {
		g.n.Args("R0", "dst+0", "R1", "x+8", "R2", "n+16")
		zero()
		g.param("scale", 24, 24)
		g.param("shift", 28, 25)
		g.n.load(bitsOf(g.lowest()), 26)
	}, "fadd", []int{0, 1}, func(part bool) {
		g.neonLoad(1, 1, part)
		g.I("VFMSUB213PS", R(1), R(0), S(1))
		g.I("VMOVAPS", S(1), S(4))
		g.clamp(1, R(2), nil)
		g.expCore(1, 2, 3)
		g.I("VADDPS", C(1), S(3), S(3))
		g.scaleNormal(3, 2, 1)
		g.emitCut(4, R(2), 1, 2)
		g.neonStore(1, 0, part)
		if part {
			g.n.N("and v4.16b, v4.16b, v29.16b")
		}
		g.I("VADDPS", S(1), S(0), S(0))
	})
	for i, name := range []string{"norm", "normScale", "normScaleBias"} {
		sig := "y, x unsafe.Pointer, n int, mean, inv float32" + []string{"", ", scale unsafe.Pointer", ", scale, bias unsafe.Pointer"}[i]
		g.n.Func(name+g.suffix(), sig, 32+8*i)
		g.n.Args("R0", "y+0", "R1", "x+8", "R2", "n+16")
		g.param("mean", 24, 24)
		g.param("inv", 28, 25)
		ptrs := []int{0, 1}
		for j, s := range []string{"scale+32", "bias+40"}[:i] {
			g.n.Args(fmt.Sprint("R", 3+j), s)
			ptrs = append(ptrs, 3+j)
		}
		g.neonLoop(neonChains, ptrs, func(part bool) {
			g.neonLoad(1, 0, part)
			g.I("VSUBPS", R(0), S(0), S(0))
			g.I("VMULPS", R(1), S(0), S(0))
			if i > 0 {
				g.neonLoad(3, 1, part)
			}
			to := S(0)
			switch i {
			case 1:
				g.I("VMULPS", S(1), S(0), S(0))
			case 2:
				to = 2
				g.neonLoad(4, 2, part)
				g.I("VFMADD231PS", S(1), S(0), S(2))
			}
			g.neonStore(to, 0, part)
		})
		g.a.P("RET")
	}
	// acc with rows that begin stride bytes apart.
	for _, o := range []struct{ name, op string }{{"addRows", "VADDPS"}, {"maxRows", "VMAXPS"}, {"minRows", "VMINPS"}} {
		g.n.Func(o.name+g.suffix(), "acc, x unsafe.Pointer, n, rows, stride int", 40)
		g.n.Args("R0", "acc+0", "R1", "x+8", "R2", "n+16", "R3", "rows+24", "R4", "stride+32")
		g.neonLoop(neonChains, []int{0, 1}, func(part bool) {
			row := g.n.Label("row")
			g.neonLoad(0, 0, part)
			g.a.P("MOVD R1, R5")
			g.a.P("MOVD R3, R6")
			g.a.L(row)
			g.neonLoad(5, 1, part)
			g.I(o.op, S(1), S(0), S(0))
			g.a.P("ADD R4, R5")
			g.a.P("SUBS $1, R6")
			g.a.P("BNE %s", row)
			g.neonStore(0, 0, part)
		})
		g.a.P("RET")
	}
	// acc with the squares of what rows differ by from an element of v for each.
	g.n.Func("addSquares"+g.suffix(), "acc, x, v unsafe.Pointer, n, rows, stride int", 48)
	g.n.Args("R0", "acc+0", "R1", "x+8", "R7", "v+16", "R2", "n+24", "R3", "rows+32", "R4", "stride+40")
	g.neonLoop(neonChains, []int{0, 1}, func(part bool) {
		row := g.n.Label("row")
		g.neonLoad(0, 0, part)
		g.a.P("MOVD R1, R5")
		g.a.P("MOVD R3, R6")
		g.a.P("MOVD R7, R8")
		g.a.L(row)
		g.n.N("ld1r {v24.4s}, [x8]")
		g.neonLoad(5, 1, part)
		g.I("VSUBPS", R(0), S(1), S(1))
		g.I("VFMADD231PS", S(1), S(1), S(0))
		g.a.P("ADD R4, R5")
		g.a.P("ADD $4, R8")
		g.a.P("SUBS $1, R6")
		g.a.P("BNE %s", row)
		g.neonStore(0, 0, part)
	})
	g.a.P("RET")
}

// neonNames are the registers of arm64 in the place of those of the descriptions
// for amd64.
var neonNames = map[string]int{"DI": 0, "SI": 1, "CX": 2, "DX": 3, "BX": 4, "R9": 5, "R10": 6, "R11": 7, "R12": 8, "R13": 11}

// neonAddress returns the register with the address that load is given; one that
// is a sum is made in R13.
func (g *gen) neonAddress(ptr string) int {
	base, index, sum := strings.Cut(ptr, ")(")
	if !sum {
		return neonNames[base]
	}
	reg, scale, _ := strings.Cut(index, "*")
	g.a.P("ADD R%d<<%s, R%d, R13", neonNames[reg], map[string]string{"1": "0", "2": "1"}[scale], neonNames[base])
	return 13
}

// neonStep begins a function of n and pointers, of which params say "name+offset(FP), register".
func (g *gen) neonStep(name string, args int, params []string) {
	g.step = 2
	var sig, pairs []string
	for _, p := range params {
		arg, reg, _ := strings.Cut(p, "(FP), ")
		stem, _, _ := strings.Cut(arg, "+")
		kind := " unsafe.Pointer"
		if stem == "n" || stem == "stride" {
			kind = " int"
		}
		sig, pairs = append(sig, stem+kind), append(pairs, fmt.Sprint("R", neonNames[reg]), arg)
	}
	g.n.Func(name+g.suffix(), strings.Join(sig, ", "), args)
	g.n.Args(pairs...)
	g.a.P("MOVD $·consts(SB), R9")
	g.chains = 1
}
