//go:build !noasm

package qconv

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in qconv_arm64.s does what rowGo does for scales within (-1, 1),
// and maxGo, for 16 channels. It checks nothing.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-qconv ./qconv && cd ../qconv && /tmp/gneiss-gen-qconv && rm /tmp/gneiss-gen-qconv"

func archTables() []*Table {
	if !cpu.Found.NEON {
		return nil
	}
	return []*Table{{Name: cpu.NEON, Width: 16, Taps: 1, Whole: true, Words: true, Pack: packWhole, Order: inOrder, Row: rowNEON, Floats: floatsNEON, MaxWidth: 64, Max: maxNEON}}
}

// packWhole is packGo of 16 channels.
func packWhole(w []int16, taps, channels, width int) []byte {
	out := make([]byte, 0, taps*32)
	for t := range taps {
		out = append(out, packGo(w[t*channels:], 1, channels, width)...)
		out = append(out, make([]byte, 2*(16-width))...)
	}
	return out
}

func rowNEON(r *rowArgs) {
	neonDepth(r.n, r.taps, unsafe.Pointer(&r.ptrs[0]), unsafe.Pointer(&r.w[0]), r.y, r.xstep, r.ystep,
		unsafe.Pointer(&r.bias[0]), unsafe.Pointer(&r.scale[0]), unsafe.Pointer(&r.words))
}

func floatsNEON(r *rowArgs) {
	neonDepthFloats(r.n, r.taps, unsafe.Pointer(&r.ptrs[0]), unsafe.Pointer(&r.w[0]), r.y, r.xstep, r.ystep,
		unsafe.Pointer(&r.bias[0]), unsafe.Pointer(&r.scale[0]), unsafe.Pointer(&r.shift[0]))
}

func maxNEON(r *rowArgs, signed bool) {
	if r.width < 16 {
		maxGo(r, signed)
		return
	}
	f := neonMaxU
	if signed {
		f = neonMaxS
	}
	for c := 0; c < r.width; c += 16 {
		f(r.n, len(r.ptrs), unsafe.Pointer(&r.ptrs[0]), r.y, r.xstep, r.ystep, min(c, r.width-16))
	}
}
