// Command vec writes vec_amd64.s, vec_arm64.s and stubs_arm64.go of
// internal/kernels/vec. It is run by go generate in that folder.
//
// Every routine is written twice from one description, for AVX2 and FMA and
// for AVX-512, functions of one variable a third time for NEON. All work is
// done in float32.
package main

import "github.com/gneiss-run/gneiss/internal/kernels/_gen/asm"

func main() {
	a := asm.New("!noasm")
	for _, g := range []*gen{{a: a, lanes: 8}, {a: a, wide: true, lanes: 16}} {
		g.functions()
		g.arithmetic()
		g.doubles()
		g.integers()
		g.comparisons()
		g.exponentials()
		g.logarithms()
		g.plain64()
		g.reductions()
		g.squares()
		g.gates()
		g.sines()
		if !g.wide {
			g.adam()
		}
	}
	a.Write("vec_amd64.s")
	neonAll()
}
