//go:build !noasm

package attn

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in attn_amd64.s does what the loops in generic.go do, with fused
// multiply-adds, sums of several lanes and a polynomial for e^x. It checks
// nothing and asks for no alignment; strides are in bytes. A call must be short:
// the collector waits for it.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-attn ./attn && cd ../attn && /tmp/gneiss-gen-attn && rm /tmp/gneiss-gen-attn"

//go:noescape
func largest2(s unsafe.Pointer, n int) float32

//go:noescape
func largest512(s unsafe.Pointer, n int) float32

//go:noescape
func addLargest2(s, add unsafe.Pointer, n int) float32

//go:noescape
func addLargest512(s, add unsafe.Pointer, n int) float32

//go:noescape
func keepLargest2(s, keep unsafe.Pointer, n int) float32

//go:noescape
func keepLargest512(s, keep unsafe.Pointer, n int) float32

//go:noescape
func expSum2(s unsafe.Pointer, n int, m float32) float32

//go:noescape
func expSum512(s unsafe.Pointer, n int, m float32) float32

//go:noescape
func scale2(dst, src unsafe.Pointer, n int, f float32)

//go:noescape
func scale512(dst, src unsafe.Pointer, n int, f float32)

//go:noescape
func dots2(q unsafe.Pointer, d int, k unsafe.Pointer, ldk, n int, s unsafe.Pointer)

//go:noescape
func dots512(q unsafe.Pointer, d int, k unsafe.Pointer, ldk, n int, s unsafe.Pointer)

//go:noescape
func weigh2(p unsafe.Pointer, n int, v unsafe.Pointer, ldv int, y unsafe.Pointer, w int)

//go:noescape
func weigh512(p unsafe.Pointer, n int, v unsafe.Pointer, ldv int, y unsafe.Pointer, w int)

//go:noescape
func rotate2(dst, src unsafe.Pointer, half int, c, s unsafe.Pointer, n int)

//go:noescape
func rotate512(dst, src unsafe.Pointer, half int, c, s unsafe.Pointer, n int)

//go:noescape
func rotatePairs2(dst, src, c, s unsafe.Pointer, n int)

//go:noescape
func rotatePairs512(dst, src, c, s unsafe.Pointer, n int)

//go:noescape
func transpose2(dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds int)

//go:noescape
func transpose512(dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds int)

func archTables() []*table {
	var l []*table
	if cpu.Found.AVX2 {
		l = append(l, &table{
			name: cpu.AVX2, largest: largest2, expSum: expSum2, scale: scale2, dots: dots2, weigh: weigh2,
			transpose: transpose2, side: 8,
			rotate: func(dst, src unsafe.Pointer, half int, c, s unsafe.Pointer, n int) {
				whole := n &^ 7
				rotate2(dst, src, half, c, s, whole)
				if whole < n {
					rotateGo(unsafe.Add(dst, 4*whole), unsafe.Add(src, 4*whole), half, unsafe.Add(c, 4*whole), unsafe.Add(s, 4*whole), n-whole)
				}
			},
			rotatePairs: func(dst, src, c, s unsafe.Pointer, n int) {
				whole := n &^ 7
				rotatePairs2(dst, src, c, s, whole)
				if whole < n {
					rotatePairsGo(unsafe.Add(dst, 4*whole), unsafe.Add(src, 4*whole), unsafe.Add(c, 2*whole), unsafe.Add(s, 2*whole), n-whole)
				}
			},
			addLargest: func(s, add unsafe.Pointer, n int) float32 {
				whole := n &^ 7
				m := addLargest2(s, add, whole)
				if whole < n {
					m = max(m, addLargestGo(unsafe.Add(s, 4*whole), unsafe.Add(add, 4*whole), n-whole))
				}
				return m
			},
			keepLargest: func(s, keep unsafe.Pointer, n int) float32 {
				whole := n &^ 7
				m := keepLargest2(s, keep, whole)
				if whole < n {
					m = max(m, keepLargestGo(unsafe.Add(s, 4*whole), unsafe.Add(keep, whole), n-whole))
				}
				return m
			},
		})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 {
		l = append(l, &table{
			name: cpu.AVX512, largest: largest512, addLargest: addLargest512, keepLargest: keepLargest512,
			expSum: expSum512, scale: scale512, dots: dots512, weigh: weigh512, transpose: transpose512, side: 16,
			rotate: rotate512, rotatePairs: rotatePairs512,
		})
	}
	return l
}
