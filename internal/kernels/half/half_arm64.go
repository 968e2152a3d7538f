//go:build !noasm

package half

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in half_arm64.s does what the loops in generic.go do. It checks
// nothing and asks for no alignment; neonWiden… and neonNarrow… convert
// multiples of 8.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-half ./half && cd ../half && /tmp/gneiss-gen-half && rm /tmp/gneiss-gen-half"

func archTables() []*table {
	if !cpu.Found.NEON {
		return nil
	}
	return []*table{{
		name: cpu.NEON, row: [2]rowFunc{neonRowF, neonRowB},
		widen:  [2]convertFunc{eights(neonWidenF, widenF, 2, 4), eights(neonWidenB, widenB, 2, 4)},
		narrow: [2]convertFunc{eights(neonNarrowF, narrowF, 4, 2), eights(neonNarrowB, narrowB, 4, 2)},
	}}
}

// eights has f convert a multiple of 8 elements, of the given sizes, and rest
// the others.
func eights(f, rest convertFunc, src, dst int) convertFunc {
	return func(d, s unsafe.Pointer, n int) {
		whole := n &^ 7
		f(d, s, whole)
		if whole < n {
			rest(unsafe.Add(d, dst*whole), unsafe.Add(s, src*whole), n-whole)
		}
	}
}
