//go:build !noasm

package attn

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in attn_arm64.s does what the loops in generic.go do, with fused
// multiply-adds, sums of several lanes and a polynomial for e^x. It checks
// nothing and asks for no alignment; strides are in bytes. A call must be short:
// the collector waits for it.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-attn ./attn && cd ../attn && /tmp/gneiss-gen-attn && rm /tmp/gneiss-gen-attn"

func archTables() []*table {
	if !cpu.Found.NEON {
		return nil
	}
	return []*table{{
		name: cpu.NEON, largest: largestNEON, expSum: expSumNEON, scale: scaleNEON, dots: dotsNEON, weigh: weighNEON,
		transpose: transposeNEON, side: 8,
		rotate: func(dst, src unsafe.Pointer, half int, c, s unsafe.Pointer, n int) {
			whole := n &^ 7
			rotateNEON(dst, src, half, c, s, whole)
			if whole < n {
				rotateGo(unsafe.Add(dst, 4*whole), unsafe.Add(src, 4*whole), half, unsafe.Add(c, 4*whole), unsafe.Add(s, 4*whole), n-whole)
			}
		},
		rotatePairs: func(dst, src, c, s unsafe.Pointer, n int) {
			whole := n &^ 7
			rotatePairsNEON(dst, src, c, s, whole)
			if whole < n {
				rotatePairsGo(unsafe.Add(dst, 4*whole), unsafe.Add(src, 4*whole), unsafe.Add(c, 2*whole), unsafe.Add(s, 2*whole), n-whole)
			}
		},
		addLargest: func(s, add unsafe.Pointer, n int) float32 {
			whole := n &^ 7
			m := addLargestNEON(s, add, whole)
			if whole < n {
				m = max(m, addLargestGo(unsafe.Add(s, 4*whole), unsafe.Add(add, 4*whole), n-whole))
			}
			return m
		},
		keepLargest: func(s, keep unsafe.Pointer, n int) float32 {
			whole := n &^ 7
			m := keepLargestNEON(s, keep, whole)
			if whole < n {
				m = max(m, keepLargestGo(unsafe.Add(s, 4*whole), unsafe.Add(keep, whole), n-whole))
			}
			return m
		},
	}}
}
