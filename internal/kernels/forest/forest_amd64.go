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

//go:noescape
func walk(steps unsafe.Pointer, root, twice uint32, keys, at unsafe.Pointer, groups int)

//go:noescape
func keys2(dst, x unsafe.Pointer, n int)

//go:noescape
func keys512(dst, x unsafe.Pointer, n int)

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, tableOf(cpu.AVX2, 8, add32_2, add64_2, keys2))
		if cpu.Found.AVX512 {
			l = append(l, tableOf(cpu.AVX512, 16, add32_512, add64_512, keys512))
		}
	}
	return l
}

// tableOf returns the table of routines for trees of up to 32 and 64 leaves that take rows by groups of lanes.
func tableOf(name string, lanes int, add32, add64 func(keys, nodes unsafe.Pointer, n int, values, sums unsafe.Pointer, groups int), keys func(dst, x unsafe.Pointer, n int)) *Table {
	sum := func(t *Tree, keys []uint32, sums []float32, rows int) {
		_, _ = sums[Rows-1], keys[:t.Keys]
		f := add64
		if t.Leaves <= MaxLeaves/2 {
			f = add32
		}
		f(unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Pointer(unsafe.SliceData(t.Nodes)), len(t.Nodes), unsafe.Pointer(&t.Values), unsafe.Pointer(unsafe.SliceData(sums)), (rows+lanes-1)/lanes)
	}
	return &Table{name, sum, walkGroups, func(dst []uint32, x []float32) {
		x = x[:len(dst)]
		const most = 8192 // the garbage collector waits for a call
		for n := len(dst) &^ (lanes - 1); n > 0; n = len(dst) &^ (lanes - 1) {
			n = min(n, most)
			keys(unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(x)), n)
			dst, x = dst[n:], x[n:]
		}
		keysOf(dst, x)
	}}
}

func walkGroups(steps []Step, root uint32, depth int, keys []uint32, at *[Rows]uint32, rows int) {
	if rows > 0 {
		walk(unsafe.Pointer(unsafe.SliceData(steps)), root, max(1, uint32(depth+1)/2), unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Pointer(at), (rows+7)/8)
	}
}
