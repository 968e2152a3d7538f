//go:build !noasm

package forest

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-forest ./forest && cd ../forest && /tmp/gneiss-gen-forest && rm /tmp/gneiss-gen-forest"

//go:noescape
func add32_2(keys, nodes unsafe.Pointer, n int, values, sums unsafe.Pointer, groups int)

//go:noescape
func add64_2(keys, nodes unsafe.Pointer, n int, values, sums unsafe.Pointer, groups int)

//go:noescape
func add32_512(keys, nodes unsafe.Pointer, n int, values, sums unsafe.Pointer, groups int)

//go:noescape
func add64_512(keys, nodes unsafe.Pointer, n int, values, sums unsafe.Pointer, groups int)

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, tableOf(cpu.AVX2, 8, add32_2, add64_2))
		if cpu.Found.AVX512 {
			l = append(l, tableOf(cpu.AVX512, 16, add32_512, add64_512))
		}
	}
	return l
}

// tableOf returns the table of routines for trees of up to 32 and 64 leaves that take rows by groups of lanes.
func tableOf(name string, lanes int, add32, add64 func(keys, nodes unsafe.Pointer, n int, values, sums unsafe.Pointer, groups int)) *Table {
	return &Table{name, func(t *Tree, keys []uint32, sums []float32, rows int) {
		_, _ = sums[Rows-1], keys[:t.Keys]
		f := add64
		if t.Leaves <= MaxLeaves/2 {
			f = add32
		}
		f(unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Pointer(unsafe.SliceData(t.Nodes)), len(t.Nodes), unsafe.Pointer(&t.Values), unsafe.Pointer(unsafe.SliceData(sums)), (rows+lanes-1)/lanes)
	}}
}
