//go:build !noasm

package move

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-move ./move && cd ../move && /tmp/gneiss-gen-move && rm /tmp/gneiss-gen-move"

//go:noescape
func weave2(dst, src unsafe.Pointer, blocks, ds, s1, s2, s3 int)

//go:noescape
func unweave2(dst, src unsafe.Pointer, blocks, ss, d1, d2, d3 int)

//go:noescape
func weigh2(dst, src, at, w unsafe.Pointer, n, k, count int)

//go:noescape
func weigh512(dst, src, at, w unsafe.Pointer, n, k, count int)

func archTables() []*table {
	var l []*table
	if cpu.Found.AVX2 {
		l = append(l, &table{name: cpu.AVX2, weave: weave2, unweave: unweave2, weigh: weigh2})
		if cpu.Found.AVX512 {
			l = append(l, &table{name: cpu.AVX512, weave: weave2, unweave: unweave2, weigh: weigh512})
		}
	}
	return l
}
