//go:build !noasm

package half

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in half_amd64.s does what the loops in generic.go do. It checks
// nothing and asks for no alignment. …2 convert multiples of 8.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-half ./half && cd ../half && /tmp/gneiss-gen-half && rm /tmp/gneiss-gen-half"

//go:noescape
func widenF2(dst, src unsafe.Pointer, n int)

//go:noescape
func narrowF2(dst, src unsafe.Pointer, n int)

//go:noescape
func rowF2(kc int, x, b, y unsafe.Pointer)

//go:noescape
func widenF512(dst, src unsafe.Pointer, n int)

//go:noescape
func narrowF512(dst, src unsafe.Pointer, n int)

//go:noescape
func rowF512(kc int, x, b, y unsafe.Pointer)

//go:noescape
func widenB2(dst, src unsafe.Pointer, n int)

//go:noescape
func narrowB2(dst, src unsafe.Pointer, n int)

//go:noescape
func rowB2(kc int, x, b, y unsafe.Pointer)

//go:noescape
func widenB512(dst, src unsafe.Pointer, n int)

//go:noescape
func narrowB512(dst, src unsafe.Pointer, n int)

//go:noescape
func rowB512(kc int, x, b, y unsafe.Pointer)

func archTables() []*table {
	var l []*table
	if cpu.Found.AVX2 { // with which there is always F16C
		l = append(l, &table{
			name: cpu.AVX2, row: [2]rowFunc{rowF2, rowB2},
			widen:  [2]convertFunc{eights(widenF2, widenF, 2, 4), eights(widenB2, widenB, 2, 4)},
			narrow: [2]convertFunc{eights(narrowF2, narrowF, 4, 2), eights(narrowB2, narrowB, 4, 2)},
		})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 {
		l = append(l, &table{
			name: cpu.AVX512, row: [2]rowFunc{rowF512, rowB512},
			widen: [2]convertFunc{widenF512, widenB512}, narrow: [2]convertFunc{narrowF512, narrowB512},
		})
	}
	return l
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
