//go:build !noasm

package nhwc

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in nhwc_arm64.s does what the routines of generic.go do, with
// fused multiply-adds. It checks nothing and asks for no alignment. neonV4x…
// take up to 16 columns, neonV2x… up to 8, and write the first w of them.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-nhwc ./nhwc && cd ../nhwc && /tmp/gneiss-gen-nhwc && rm /tmp/gneiss-gen-nhwc"

func archTables() []*Table {
	if !cpu.Found.NEON {
		return nil
	}
	return []*Table{{Name: cpu.NEON, MR32: 6, Tile32: tileNEON,
		Lanes: []int{8, 4}, Row32: rowNEON, Taps32: tapsNEON,
		Max32: neonMax, MaxInt8: neonMaxS, MaxUint8: neonMaxU, Mean32: neonMean,
		WinIn: neonWinIn, WinOut: neonWinOut, WinWeights: neonWinWeights, Bytes: 16}}
}

func tileNEON(rows, w, segs, kc int, a unsafe.Pointer, aseg, aoff int, b, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer, next uintptr) {
	for j := 0; j < w; j += 16 {
		f := neonV4x[rows]
		if w-j <= 8 {
			f = neonV2x[rows]
		}
		f(segs, kc, a, aseg, aoff, b, c, z, coff, bias, min(16, w-j), mode, lim)
		if j+16 < w {
			b, bias, coff = after(b, 64), after(bias, 64), coff+64
		}
	}
}

func rowNEON(lanes, k, s, p int) Row {
	if lanes == 8 {
		return neon8rows[[3]int{k, s, p}]
	}
	return neon4rows[[3]int{k, s, p}]
}

func tapsNEON(lanes int) Taps {
	if lanes == 8 {
		return neon8taps
	}
	return neon4taps
}
