// Command qconv writes qconv_amd64.s, qconv_arm64.s and stubs_arm64.go of
// internal/kernels/qconv. It is run by go generate in that folder.
package main

import "github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"

func main() {
	a := asm.New("!noasm")
	vnni(a, "vnniDepth", "Z", false, true, false)
	vnni(a, "vnniDepthHalf", "Y", false, true, false)
	vnni(a, "vnniDepth9", "Z", true, false, false)
	vnni(a, "vnniDepth9Masked", "Z", true, true, false)
	vnni(a, "vnniDepth9Half", "Y", true, false, false)
	vnni(a, "vnniDepth9HalfMasked", "Y", true, true, false)
	vnni(a, "vnniDepthFloats", "Z", false, true, true)
	vnni(a, "vnniDepthHalfFloats", "Y", false, true, true)
	vnni(a, "vnniDepth9Floats", "Z", true, true, true)
	vnni(a, "vnniDepth9HalfFloats", "Y", true, true, true)
	avx2(a, "avx2Depth", false, false)
	avx2(a, "avx2Depth9", true, false)
	avx2(a, "avx2DepthFloats", false, true)
	avx2(a, "avx2Depth9Floats", true, true)
	for _, op := range []string{"VPMAXUB", "VPMAXSB"} {
		maximum(a, "avx2Max"+op[5:6], op, false)
		maximum(a, "avx512Max"+op[5:6], op, true)
	}
	neonAll()
	a.Write("qconv_amd64.s")
}

// args loads what both routines take.
func args(a *asm.File) {
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ groups+8(FP), BX")
	a.P("MOVQ ptrs+16(FP), R8")
	a.P("MOVQ w+24(FP), R9")
	a.P("MOVQ y+32(FP), DI")
	a.P("MOVQ xstep+40(FP), R10")
	a.P("MOVQ ystep+48(FP), R11")
	a.P("MOVQ bias+56(FP), R12")
	a.P("MOVQ scale+64(FP), R13")
	a.P("MOVQ words+72(FP), DX")
}

// vnni sums four taps at once: the bytes of 64 channels (of 32 with r Y) are
// turned into a double word of four taps for each channel. Unpacking and packing
// take the channels apart in the same order. With nine, there are 9 taps and the
// weights stay in registers; without masked, all channels are there. With floats,
// words has what is added to the scaled sums, which are stored as they are.
func vnni(a *asm.File, name, r string, nine, masked, floats bool) {
	a.Func(name, 88)
	args(a)
	size := 64
	if r == "Y" {
		size = 32
	}
	load, store := func(z int) { a.P("VMOVDQU32 (DX)(AX*1), %s%d", r, z) }, "VMOVDQU32 %s0, (DI)"
	if masked {
		a.P("MOVQ mask+80(FP), AX")
		a.P("KMOVQ AX, K1")
		load, store = func(z int) { a.P("VMOVDQU8.Z (DX)(AX*1), K1, %s%d", r, z) }, "VMOVDQU8 %s0, K1, (DI)"
	}
	if floats {
		for i := range 4 {
			a.P("VMOVUPS %d(DX), %s%d", size*i, r, 28+i)
			a.P("KMOVD AX, K%d", 2+i) // of the channels that a store has
			a.P("SHRQ $%d, AX", size/4)
		}
	} else {
		for i := range 4 {
			a.P("VPBROADCASTD %d(DX), %s%d", 4*i, r, 28+i)
		}
	}
	if nine {
		for i := range 12 {
			a.P("VMOVDQU32 %d(R9), %s%d", size*i, r, 16+i)
		}
	}
	a.P("XORQ AX, AX")
	a.P("PCALIGN $32")
	a.L("position")
	for i := range 4 {
		a.P("VMOVDQU32 %d(R12), %s%d", size*i, r, i)
	}
	unpack := func(op string, x, y, z int) { a.P("%s %s%d, %s%d, %s%d", op, r, y, r, x, r, z) }
	four := func(disp int) {
		for t := range 4 {
			a.P("MOVQ %d(SI), DX", disp+8*t)
			load(4 + t)
		}
		unpack("VPUNPCKLBW", 4, 5, 8)
		unpack("VPUNPCKHBW", 4, 5, 9)
		unpack("VPUNPCKLBW", 6, 7, 10)
		unpack("VPUNPCKHBW", 6, 7, 11)
		unpack("VPUNPCKLWD", 8, 10, 12)
		unpack("VPUNPCKHWD", 8, 10, 13)
		unpack("VPUNPCKLWD", 9, 11, 14)
		unpack("VPUNPCKHWD", 9, 11, 15)
	}
	if nine {
		a.P("MOVQ R8, SI")
		for g := range 2 {
			four(32 * g)
			for i := range 4 {
				a.P("VPDPBUSD %s%d, %s%d, %s%d", r, 16+4*g+i, r, 12+i, r, i)
			}
		}
		a.P("MOVQ 64(SI), DX")
		load(4)
		a.P("VPXORD %s5, %s5, %s5", r, r, r)
		unpack("VPUNPCKLBW", 4, 5, 8)
		unpack("VPUNPCKHBW", 4, 5, 9)
		unpack("VPUNPCKLWD", 8, 5, 12)
		unpack("VPUNPCKHWD", 8, 5, 13)
		unpack("VPUNPCKLWD", 9, 5, 14)
		unpack("VPUNPCKHWD", 9, 5, 15)
		for i := range 4 {
			a.P("VPDPBUSD %s%d, %s%d, %s%d", r, 24+i, r, 12+i, r, i)
		}
	} else {
		a.P("MOVQ BX, R15")
		a.P("MOVQ R8, SI")
		a.P("MOVQ R9, R14")
		a.L("group")
		four(0)
		for i := range 4 {
			a.P("VPDPBUSD %d(R14), %s%d, %s%d", size*i, r, 12+i, r, i)
		}
		a.P("ADDQ $32, SI")
		a.P("ADDQ $%d, R14", 4*size)
		a.P("DECQ R15")
		a.P("JNZ group")
	}
	for i := range 4 {
		a.P("VCVTDQ2PS %s%d, %s%d", r, i, r, i)
		a.P("VMULPS %d(R13), %s%d, %s%d", size*i, r, i, r, i)
		if floats {
			a.P("VADDPS %s%d, %s%d, %s%d", r, 28+i, r, i, r, i)
		} else {
			a.P("VCVTPS2DQ %s%d, %s%d", r, i, r, i)
		}
	}
	switch {
	case floats && r == "Y": // quarters 4i+16l of the channels are in lane l of register i
		for i, v := range []int{0x20, 0x20, 0x31, 0x31} {
			a.P("VPERM2I128 $%d, Y%d, Y%d, Y%d", v, i%2*2+1, i%2*2, 4+i)
			a.P("VMOVUPS Y%d, K%d, %d(DI)", 4+i, 2+i, 32*i)
		}
	case floats:
		for i, v := range []int{0x44, 0xee, 0x44, 0xee} {
			a.P("VSHUFF32X4 $%d, Z%d, Z%d, Z%d", v, i/2*2+1, i/2*2, 4+i)
		}
		for i, v := range []int{0x88, 0xdd, 0x88, 0xdd} {
			a.P("VSHUFF32X4 $%d, Z%d, Z%d, Z%d", v, 6+i/2, 4+i/2, i)
			a.P("VMOVUPS Z%d, K%d, %d(DI)", i, 2+i, 64*i)
		}
	default:
		a.P("VPACKSSDW %s1, %s0, %s0", r, r, r)
		a.P("VPACKSSDW %s3, %s2, %s2", r, r, r)
		for i := 0; i < 4; i += 2 {
			a.P("VPADDSW %s28, %s%d, %s%d", r, r, i, r, i)
			a.P("VPMAXSW %s29, %s%d, %s%d", r, r, i, r, i)
			a.P("VPMINSW %s30, %s%d, %s%d", r, r, i, r, i)
		}
		a.P("VPACKUSWB %s2, %s0, %s0", r, r, r)
		a.P("VPXORD %s31, %s0, %s0", r, r, r)
		a.P(store, r)
	}
	a.P("ADDQ R10, AX")
	a.P("ADDQ R11, DI")
	a.P("DECQ CX")
	a.P("JNZ position")
	a.P("VZEROUPPER")
	a.P("RET")
}

// avx2 sums two taps at once, as words, for 16 channels. With nine and floats, it does as vnni.
func avx2(a *asm.File, name string, nine, floats bool) {
	a.Func(name, 80)
	args(a)
	if floats {
		a.P("VMOVUPS (DX), Y12")
		a.P("VMOVUPS 32(DX), Y13")
	} else {
		for i := range 4 {
			a.P("VPBROADCASTD %d(DX), Y%d", 4*i, 12+i)
		}
	}
	a.P("XORQ AX, AX")
	if nine {
		a.P("MOVQ R8, SI")
		a.P("MOVQ R9, R14")
	}
	a.P("PCALIGN $32")
	a.L("position")
	a.P("VMOVDQU (R12), Y0")
	a.P("VMOVDQU 32(R12), Y1")
	pair := func(taps, g int) {
		for t := range taps {
			a.P("MOVQ %d(SI), DX", 16*g+8*t)
			a.P("VPMOVZXBW (DX)(AX*1), Y%d", 4+t)
		}
		a.P("VPUNPCKHWD Y%d, Y4, Y7", 3+taps)
		a.P("VPUNPCKLWD Y%d, Y4, Y6", 3+taps)
		for i := range 2 {
			a.P("VPMADDWD %d(R14), Y%d, Y%d", 64*g+32*i, 6+i, 6+i)
			a.P("VPADDD Y%d, Y%d, Y%d", 6+i, i, i)
		}
	}
	if nine {
		for g := range 5 {
			pair(min(2, 9-2*g), g)
		}
	} else {
		a.P("MOVQ BX, R15")
		a.P("MOVQ R8, SI")
		a.P("MOVQ R9, R14")
		a.L("group")
		pair(2, 0)
		a.P("ADDQ $16, SI")
		a.P("ADDQ $64, R14")
		a.P("DECQ R15")
		a.P("JNZ group")
	}
	for i := range 2 {
		a.P("VCVTDQ2PS Y%d, Y%d", i, i)
		a.P("VMULPS %d(R13), Y%d, Y%d", 32*i, i, i)
		if floats {
			a.P("VADDPS Y%d, Y%d, Y%d", 12+i, i, i)
		} else {
			a.P("VCVTPS2DQ Y%d, Y%d", i, i)
		}
	}
	if floats { // in the order of channels
		a.P("VPERM2I128 $0x20, Y1, Y0, Y2")
		a.P("VPERM2I128 $0x31, Y1, Y0, Y3")
		a.P("VMOVUPS Y2, (DI)")
		a.P("VMOVUPS Y3, 32(DI)")
	} else { // which packing leaves
		a.P("VPACKSSDW Y1, Y0, Y0")
		a.P("VPADDSW Y12, Y0, Y0")
		a.P("VPMAXSW Y13, Y0, Y0")
		a.P("VPMINSW Y14, Y0, Y0")
		a.P("VEXTRACTI128 $1, Y0, X1")
		a.P("VPACKUSWB X1, X0, X0")
		a.P("VPXOR X15, X0, X0")
		a.P("VMOVDQU X0, (DI)")
	}
	a.P("ADDQ R10, AX")
	a.P("ADDQ R11, DI")
	a.P("DECQ CX")
	a.P("JNZ position")
	a.P("VZEROUPPER")
	a.P("RET")
}

// maximum takes the largest of the taps for 32 channels, or 64 under a mask.
func maximum(a *asm.File, name, op string, masked bool) {
	size := 48
	if masked {
		size = 56
	}
	a.Func(name, size)
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ taps+8(FP), BX")
	a.P("MOVQ ptrs+16(FP), R8")
	a.P("MOVQ y+24(FP), DI")
	a.P("MOVQ xstep+32(FP), R10")
	a.P("MOVQ ystep+40(FP), R11")
	load, store, r := "VMOVDQU (DX)(AX*1), Y%d", "VMOVDQU Y0, (DI)", "Y"
	if masked {
		a.P("MOVQ mask+48(FP), AX")
		a.P("KMOVQ AX, K1")
		load, store, r = "VMOVDQU8.Z (DX)(AX*1), K1, Z%d", "VMOVDQU8 Z0, K1, (DI)", "Z"
	}
	a.P("XORQ AX, AX")
	a.P("PCALIGN $32")
	a.L("position")
	a.P("MOVQ (R8), DX")
	a.P(load, 0)
	a.P("LEAQ 8(R8), SI")
	a.P("MOVQ BX, R15")
	a.P("DECQ R15")
	a.P("JZ store")
	a.L("tap")
	a.P("MOVQ (SI), DX")
	a.P(load, 1)
	a.P("%s %s1, %s0, %s0", op, r, r, r)
	a.P("ADDQ $8, SI")
	a.P("DECQ R15")
	a.P("JNZ tap")
	a.L("store")
	a.P(store)
	a.P("ADDQ R10, AX")
	a.P("ADDQ R11, DI")
	a.P("DECQ CX")
	a.P("JNZ position")
	a.P("VZEROUPPER")
	a.P("RET")
}
