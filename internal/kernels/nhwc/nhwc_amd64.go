//go:build !noasm

package nhwc

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in nhwc_amd64.s does what the routines of generic.go do, with
// fused multiply-adds. It checks nothing and asks for no alignment, but for C in mode stream. avx512…
// read and write exactly the columns of their mask (bit j: column j); avx2…
// take up to 16 columns and a vector mask, which counts for what they write if
// mode has avx2Masked.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-nhwc ./nhwc && cd ../nhwc && /tmp/gneiss-gen-nhwc && rm /tmp/gneiss-gen-nhwc"

const avx2Masked = 8

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, &Table{Name: cpu.AVX2, MR32: 6, Tile32: tile2, Ahead: 4, Fence: fence,
			Lanes: []int{8}, Row32: row2, Taps32: func(int) Taps { return avx2taps },
			Max32: avx2max, MaxInt8: avx2maxSB, MaxUint8: avx2maxUB, Mean32: avx2mean,
			WinIn: avx2winIn, WinOut: avx2winOut, WinWeights: avx2winWeights, Bytes: 32})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 {
		l = append(l, &Table{Name: cpu.AVX512, MR32: 12, Tile32: tile512, Fence: fence,
			Lanes: []int{16, 8}, Row32: row512, Taps32: taps512,
			Max32: avx512max, MaxInt8: avx512maxSB, MaxUint8: avx512maxUB, Mean32: avx512mean,
			WinIn: avx512winIn, WinOut: avx512winOut, WinWeights: avx512winWeights, Bytes: 64})
	}
	return l
}

func tile512(rows, w, segs, kc int, a unsafe.Pointer, aseg, aoff int, b, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer, next uintptr) {
	f := &avx512c32x
	switch { // half a vector takes half the time where the units are that wide, and never more
	case w <= 8:
		f = &avx512c8x
	case w <= 16:
		f = &avx512c16x
	case w <= 24:
		f = &avx512c24x
	}
	f[rows](segs, kc, a, aseg, aoff, b, c, z, coff, bias, 1<<w-1, mode, lim)
}

// lanes[16-w:] masks w of 16 lanes.
var lanes = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

func tile2(rows, w, segs, kc int, a unsafe.Pointer, aseg, aoff int, b, c, z unsafe.Pointer, coff int, bias unsafe.Pointer, mode int, lim unsafe.Pointer, next uintptr) {
	if w == Panel {
		avx2c32x[rows](segs, kc, a, aseg, aoff, b, c, z, coff, bias, nil, mode, lim, next)
		return
	}
	for j := 0; j < w; j += 16 {
		n, m, mask := min(16, w-j), mode, unsafe.Pointer(&lanes)
		if n != 16 && n != 8 {
			m |= avx2Masked
			mask = unsafe.Pointer(&lanes[16-n])
		}
		tiles := &avx2c16x
		if n <= 8 {
			tiles = &avx2c8x
		}
		tiles[rows](segs, kc, a, aseg, aoff, b, c, z, coff, bias, mask, m, lim, next)
		if j+16 < w {
			b, bias, coff = after(b, 64), after(bias, 64), coff+64
		}
	}
}

func row2(_, k, s, p int) Row { return avx2rows[[3]int{k, s, p}] }

func row512(lanes, k, s, p int) Row {
	if lanes == 8 {
		return avx2rows[[3]int{k, s, p}]
	}
	return avx512rows[[3]int{k, s, p}]
}

func taps512(lanes int) Taps {
	if lanes == 8 {
		return avx2taps
	}
	return avx512taps
}
