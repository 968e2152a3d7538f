package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// amx writes amx_amd64.s: routines that multiply blocks of up to 32 rows with a
// panel of 32 columns. Their argument is a tileArgs. No tile outlives a call.
func amx() {
	a := asm.New("!noasm", "go_asm.h")
	tiles(a, "amxSums", nil, nil)
	tiles(a, "amxBytes", func() {
		a.P("MOVQ %s, AX", arg("scale"))
		a.P("VMOVUPS (AX), Z24")
		a.P("VMOVUPS 64(AX), Z25")
		a.P("MOVQ %s, AX", arg("more"))
		a.P("VPBROADCASTD (AX), Z28")
		a.P("VPBROADCASTB 4(AX), Z29")
		a.P("VPBROADCASTB 8(AX), Z30")
		a.P("VPBROADCASTD 16(AX), Z27")
		a.P("VMOVDQU32 ·packed(SB), Z31")
	}, func() {
		// Two rows at a time, in one register at last.
		round := func(regs ...int) {
			for _, z := range regs {
				a.P("VCVTDQ2PS %d(R12), Z%d", 64*z, z)
			}
			for _, z := range regs {
				a.P("VMULPS Z%d, Z%d, Z%d", 24+z%2, z, z)
			}
			for _, z := range regs {
				a.P("VCVTPS2DQ Z%d, Z%d", z, z)
			}
			for _, z := range regs {
				if z%2 == 0 {
					a.P("VPACKSSDW Z%d, Z%d, Z%d", z+1, z, z)
					a.P("VPADDSW Z28, Z%d, Z%d", z, z)
				}
			}
			a.P("VPACKUSWB Z%d, Z0, Z0", regs[len(regs)-2])
			a.P("VPERMD Z0, Z31, Z0")
			a.P("VPMAXUB Z29, Z0, Z0")
			a.P("VPMINUB Z30, Z0, Z0")
			a.P("VPXORD Z27, Z0, Z0")
			a.P("VMOVDQU8 Y0, K1, (DX)")
		}
		a.P("SHRQ $1, CX")
		a.P("JZ single")
		a.L("pair")
		round(0, 1, 2, 3)
		a.P("VEXTRACTI64X4 $1, Z0, Y0")
		a.P("VMOVDQU8 Y0, K1, (DX)(R13*1)")
		a.P("LEAQ (DX)(R13*2), DX")
		a.P("ADDQ $256, R12")
		a.P("DECQ CX")
		a.P("JNZ pair")
		a.L("single")
		a.P("MOVQ %s, CX", arg("rows"))
		a.P("TESTQ $1, CX")
		a.P("JZ done")
		round(0, 1)
		a.P("ADDQ R13, DX")
		a.L("done")
	})
	tiles(a, "amxFloats", func() {
		a.P("MOVQ %s, AX", arg("scale"))
		a.P("VMOVUPS (AX), Z24")
		a.P("VMOVUPS 64(AX), Z25")
		a.P("VPXORD Z26, Z26, Z26")
		a.P("VPXORD Z27, Z27, Z27")
		a.P("MOVQ %s, AX", arg("more"))
		a.P("TESTQ AX, AX")
		a.P("JZ block")
		a.P("VMOVUPS (AX), Z26")
		a.P("VMOVUPS 64(AX), Z27")
	}, func() {
		eachRow(a, func() {
			for h := range 2 {
				a.P("VCVTDQ2PS %d(R12), Z%d", 64*h, h)
				a.P("VMULPS Z%d, Z%d, Z%d", 24+h, h, h)
				a.P("VADDPS Z%d, Z%d, Z%d", 26+h, h, h)
				a.P("VMOVUPS Z%d, K%d, %d(DX)", h, 1+h, 64*h)
			}
		})
	})
	tiles(a, "amxInts", nil, func() {
		eachRow(a, func() {
			for h := range 2 {
				a.P("VMOVDQU32 %d(R12), Z%d", 64*h, h)
				a.P("VMOVDQU32 Z%d, K%d, %d(DX)", h, 1+h, 64*h)
			}
		})
	})
	tiles(a, "amxAdd", nil, func() {
		eachRow(a, func() {
			for h := range 2 {
				a.P("VMOVDQU32 %d(R12), Z%d", 64*h, h)
				a.P("VPADDD %d(DX), Z%d, K%d, Z%d", 64*h, h, 1+h, h)
				a.P("VMOVDQU32 Z%d, K%d, %d(DX)", h, 1+h, 64*h)
			}
		})
	})
	a.Write("amx_amd64.s")
}

// arg addresses a field of the argument.
func arg(name string) string { return fmt.Sprintf("tileArgs_%s(BX)", name) }

// eachRow writes a loop over CX rows of sums at R12 and of results at DX.
func eachRow(a *asm.File, row func()) {
	a.L("row")
	row()
	a.P("ADDQ $128, R12")
	a.P("ADDQ R13, DX")
	a.P("DECQ CX")
	a.P("JNZ row")
}

// tiles writes a routine. consts loads what finish, which may use K1 (K1 and K2
// for double words), Z0 to Z3 and what consts loads, writes the rows with.
//
// Sums are tiles 0 and 1 (the first 16 rows) and 2 and 3. Rows are tiles 4 and
// 5, columns 6 and 7. What is left of a run of k after whole tiles is copied to
// tiles of zeros, so that the bytes of the panel behind it do not count.
func tiles(a *asm.File, name string, consts, finish func()) {
	a.Func(name, 8)
	a.P("MOVQ x+0(FP), BX")
	// The collector must not see pointers that have moved beyond what they point to.
	moving := []string{"a", "from", "sums"}
	if finish != nil {
		moving = append(moving, "dst", "rowSums")
	}
	for _, v := range moving {
		a.P("MOVQ %s, AX", arg(v))
		a.P("MOVQ AX, %s", arg(v+"At"))
	}
	a.P("MOVQ %s, AX", arg("config"))
	a.TileConfig("AX")
	a.P("MOVQ %s, R8", arg("lda"))
	a.P("MOVQ $128, R9")
	a.P("MOVQ $64, R14")
	a.P("MOVQ %s, AX", arg("tailMask"))
	a.P("KMOVW AX, K3")
	if finish != nil {
		a.P("MOVQ %s, AX", arg("mask"))
		a.P("KMOVD AX, K1")
		if name != "amxBytes" {
			a.P("SHRQ $16, AX")
			a.P("KMOVW AX, K2")
		}
	}
	if consts != nil {
		consts()
	}
	dots := func() {
		a.TileDot(6, 4, 0)
		a.TileDot(7, 4, 1)
		a.TileDot(6, 5, 2)
		a.TileDot(7, 5, 3)
	}
	a.L("block")
	a.P("MOVQ %s, DX", arg("fromAt"))
	a.P("MOVQ %s, R11", arg("fromStride"))
	a.P("MOVQ R11, AX")
	a.P("SHLQ $4, AX")
	a.P("ADDQ DX, AX")
	a.TileLoad(0, "DX", "R11", 0)
	a.TileLoad(64, "DX", "R11", 1)
	a.TileLoad(0, "AX", "R11", 2)
	a.TileLoad(64, "AX", "R11", 3)
	a.P("MOVQ %s, SI", arg("aAt"))
	a.P("MOVQ SI, R10")
	a.P("ADDQ %s, R10", arg("a1"))
	a.P("MOVQ %s, DI", arg("b"))
	a.P("MOVQ %s, R13", arg("segments"))
	a.L("segment")
	a.P("MOVQ %s, CX", arg("steps"))
	a.P("TESTQ CX, CX")
	a.P("JZ tail")
	a.P("PCALIGN $32")
	a.L("loop")
	a.TileLoad(0, "DI", "R9", 6)
	a.TileLoad(0, "SI", "R8", 4)
	a.TileDot(6, 4, 0)
	a.TileLoad(64, "DI", "R9", 7)
	a.TileDot(7, 4, 1)
	a.TileLoad(0, "R10", "R8", 5)
	a.TileDot(6, 5, 2)
	a.TileDot(7, 5, 3)
	a.P("ADDQ $2048, DI")
	a.P("ADDQ $64, SI")
	a.P("ADDQ $64, R10")
	a.P("DECQ CX")
	a.P("JNZ loop")
	a.L("tail")
	a.P("MOVQ %s, DX", arg("tail"))
	a.P("TESTQ DX, DX")
	a.P("JZ next")
	for i, from := range []string{"SI", "R10"} {
		a.P("MOVQ %s, CX", arg(fmt.Sprintf("rows%d", i)))
		a.P("MOVQ %s, R15", arg("spare"))
		if i == 1 {
			a.P("TESTQ CX, CX")
			a.P("JZ dots")
			a.P("ADDQ $1024, R15")
		}
		a.P("MOVQ %s, AX", from)
		label := fmt.Sprintf("copy%d", i)
		a.L(label)
		a.P("VMOVDQU32.Z (AX), K3, Z0")
		a.P("VMOVDQU32 Z0, (R15)")
		a.P("ADDQ R8, AX")
		a.P("ADDQ $64, R15")
		a.P("DECQ CX")
		a.P("JNZ %s", label)
	}
	a.L("dots")
	a.P("MOVQ %s, R15", arg("spare"))
	a.TileLoad(0, "R15", "R14", 4)
	a.P("ADDQ %s, R15", arg("spare1"))
	a.TileLoad(0, "R15", "R14", 5)
	a.TileLoad(0, "DI", "R9", 6)
	a.TileLoad(64, "DI", "R9", 7)
	dots()
	a.P("LEAQ (SI)(DX*4), SI")
	a.P("LEAQ (R10)(DX*4), R10")
	a.P("SHLQ $7, DX")
	a.P("ADDQ DX, DI")
	a.L("next")
	a.P("DECQ R13")
	a.P("JZ sums")
	a.P("ADDQ %s, SI", arg("step"))
	a.P("ADDQ %s, R10", arg("step"))
	a.P("JMP segment")
	a.L("sums")
	a.P("MOVQ %s, R12", arg("sumsAt"))
	a.TileStore(0, 0, "R12", "R9")
	a.TileStore(1, 64, "R12", "R9")
	a.TileStore(2, 2048, "R12", "R9")
	a.TileStore(3, 2112, "R12", "R9")
	if finish != nil {
		a.P("MOVQ %s, DX", arg("dstAt"))
		a.P("MOVQ %s, R13", arg("ldd"))
		if name != "amxAdd" {
			// Sums of rows times zero points of columns.
			a.P("MOVQ %s, AX", arg("rowSumsAt"))
			a.P("TESTQ AX, AX")
			a.P("JZ finish")
			a.P("MOVQ %s, CX", arg("rows"))
			a.P("MOVQ %s, R15", arg("zeros"))
			a.P("VMOVDQU32 (R15), Z2")
			a.P("VMOVDQU32 64(R15), Z3")
			a.L("zero")
			for h := range 2 {
				a.P("VPMULLD.BCST (AX), Z%d, Z1", 2+h)
				a.P("VMOVDQU32 %d(R12), Z0", 64*h)
				a.P("VPSUBD Z1, Z0, Z0")
				a.P("VMOVDQU32 Z0, %d(R12)", 64*h)
			}
			a.P("ADDQ $4, AX")
			a.P("ADDQ $128, R12")
			a.P("DECQ CX")
			a.P("JNZ zero")
			a.P("MOVQ AX, %s", arg("rowSumsAt"))
			a.P("MOVQ %s, R12", arg("sumsAt"))
			a.L("finish")
		}
		a.P("MOVQ %s, CX", arg("rows"))
		finish()
		a.P("MOVQ DX, %s", arg("dstAt"))
	}
	a.P("MOVQ R8, AX")
	a.P("SHLQ $5, AX")
	a.P("ADDQ AX, %s", arg("aAt"))
	for _, v := range []string{"from", "sums"} {
		a.P("MOVQ %s, AX", arg(v+"Next"))
		a.P("ADDQ AX, %s", arg(v+"At"))
	}
	a.P("DECQ %s", arg("blocks"))
	a.P("JNZ block")
	a.TileRelease()
	a.P("VZEROUPPER")
	a.P("RET")
}
