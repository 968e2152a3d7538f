// Command peak writes the loops that measure what a core can do at most.
package main

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"
)

// chains is how many sums run beside each other: more than the latency of an
// addition times the units that add, on all cores there are.
const chains = 12

func main() {
	a := asm.New("amd64 && !noasm")
	for _, v := range []struct{ name, reg string }{{"2", "Y"}, {"512", "Z"}} {
		sums(a, "fma"+v.name, v.reg, func(acc, x, y string) { a.P("VFMADD231PS %s, %s, %s", y, x, acc) }, "VADDPS")
	}
	sums(a, "dot512", "Z", func(acc, x, y string) { a.P("VPDPBUSD %s, %s, %s", y, x, acc) }, "VPADDD")
	// Bytes without VNNI: exact if no two products beside each other leave 16 bits.
	sums(a, "dot2", "Y", func(acc, x, y string) {
		a.P("VPMADDUBSW %s, %s, Y15", y, x)
		a.P("VPMADDWD Y12, Y15, Y15")
		a.P("VPADDD Y15, %s, %s", acc, acc)
	}, "VPADDD")
	read(a, "read2", "Y", 32)
	read(a, "read512", "Z", 64)
	neonAll()
	a.Write("peak_amd64.s")
}

// sums writes func(n int, x, y, out unsafe.Pointer): n times, every sum takes
// one more product of the vectors x and y; out becomes the total of the sums.
func sums(a *asm.File, name, reg string, step func(acc, x, y string), add string) {
	r := func(i int) string { return fmt.Sprint(reg, i) }
	a.Func(name, 32)
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ x+8(FP), SI")
	a.P("MOVQ y+16(FP), DI")
	a.P("MOVQ out+24(FP), DX")
	a.P("VMOVUPS (SI), %s", r(13))
	a.P("VMOVUPS (DI), %s", r(14))
	for i := range chains {
		a.P("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	a.P("VPCMPEQW Y12, Y12, Y12")
	a.P("VPSRLW $15, Y12, Y12") // words of 1
	a.P("PCALIGN $32")
	a.L("loop")
	for i := range chains {
		step(r(i), r(13), r(14))
	}
	a.P("SUBQ $1, CX")
	a.P("JNZ loop")
	for i := 1; i < chains; i++ {
		a.P("%s %s, %s, %s", add, r(i), r(0), r(0))
	}
	a.P("VMOVUPS %s, (DX)", r(0))
	a.P("VZEROUPPER")
	a.P("RET")
}

// read writes func(n int, src, out unsafe.Pointer): out becomes the sum of n
// times 16 vectors as words of 64 bits.
func read(a *asm.File, name, reg string, size int) {
	r := func(i int) string { return fmt.Sprint(reg, i) }
	a.Func(name, 24)
	a.P("MOVQ n+0(FP), CX")
	a.P("MOVQ src+8(FP), SI")
	a.P("MOVQ out+16(FP), DX")
	for i := range 8 {
		a.P("VPXOR Y%d, Y%d, Y%d", i, i, i)
	}
	a.P("PCALIGN $32")
	a.L("loop")
	for i := range 16 {
		a.P("VPADDQ %d(SI), %s, %s", i*size, r(i%8), r(i%8))
	}
	a.P("ADDQ $%d, SI", 16*size)
	a.P("SUBQ $1, CX")
	a.P("JNZ loop")
	for i := 1; i < 8; i++ {
		a.P("VPADDQ %s, %s, %s", r(i), r(0), r(0))
	}
	a.P("VMOVDQU%s %s, (DX)", map[string]string{"Y": "", "Z": "64"}[reg], r(0))
	a.P("VZEROUPPER")
	a.P("RET")
}
