//go:build !noasm

package peak

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-peak ./peak && cd ../peak && /tmp/gneiss-gen-peak && rm /tmp/gneiss-gen-peak"

//go:noescape
func fma2(n int, x, y, out unsafe.Pointer)

//go:noescape
func fma512(n int, x, y, out unsafe.Pointer)

//go:noescape
func dot2(n int, x, y, out unsafe.Pointer)

//go:noescape
func dot512(n int, x, y, out unsafe.Pointer)

//go:noescape
func read2(n int, src, out unsafe.Pointer)

//go:noescape
func read512(n int, src, out unsafe.Pointer)

func archTables() []*table {
	l := []*table{
		{name: cpu.AVX2, float: fma2, floatOps: chains * 8, bytes: dot2, bytesOps: chains * 32, read: read2, block: 16 * 32},
		{name: cpu.AVX512, float: fma512, floatOps: chains * 16, bytes: dot2, bytesOps: chains * 32, read: read512, block: 16 * 64},
		{name: cpu.VNNI, float: fma512, floatOps: chains * 16, bytes: dot512, bytesOps: chains * 64, read: read512, block: 16 * 64},
	}
	return l
}
