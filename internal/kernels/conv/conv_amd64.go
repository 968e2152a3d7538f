//go:build !noasm

package conv

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-conv ./conv && cd ../conv && /tmp/gneiss-gen-conv && rm /tmp/gneiss-gen-conv"

// taps512 and taps2 do what tapsGo does for n >= 1, with fused multiply-adds.
// They read and write exactly n elements per tap and check nothing.
//
//go:noescape
func taps512(y unsafe.Pointer, n int, x, off, w unsafe.Pointer, taps int, bias float32)

//go:noescape
func taps2(y unsafe.Pointer, n int, x, off, w unsafe.Pointer, taps int, bias float32, lanes unsafe.Pointer)

// pack512 fills rows of 32 columns: zeros, and for each run the elements at
// src+offset+4·column under its mask; packStrided512 those at 4·lanes[column].
// Steps and offsets are in bytes; only elements under a mask are read.
//
//go:noescape
func pack512(dst unsafe.Pointer, dstStep int, src unsafe.Pointer, srcStep, rows int, runs unsafe.Pointer, n int)

//go:noescape
func packStrided512(dst unsafe.Pointer, dstStep int, src unsafe.Pointer, srcStep, rows int, runs unsafe.Pointer, n int, lanes unsafe.Pointer)

// packRows512 is Table.Pack32 on AVX-512.
func packRows512(dst []float32, dstStep int, src []float32, srcStep, rows int, spans []span, stride int) {
	var runs [32]struct {
		offset int
		mask   uint64
	}
	for i, s := range spans {
		runs[i].offset = (s.src - s.dst*stride) * 4
		runs[i].mask = (1<<s.n - 1) << s.dst
	}
	const most = 512 // rows of one call
	var lanes [32]int32
	for i := range lanes {
		lanes[i] = int32(i * stride)
	}
	for r := 0; r < rows; r += most {
		n := min(most, rows-r)
		d, s := unsafe.Pointer(&dst[r*dstStep]), unsafe.Pointer(&src[r*srcStep])
		if stride == 1 {
			pack512(d, dstStep*4, s, srcStep*4, n, unsafe.Pointer(&runs), len(spans))
		} else {
			packStrided512(d, dstStep*4, s, srcStep*4, n, unsafe.Pointer(&runs), len(spans), unsafe.Pointer(&lanes))
		}
	}
}

// lanes[8-n:] masks n of 8 lanes.
var lanes = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, &Table{Name: cpu.AVX2, Taps32: func(y unsafe.Pointer, n int, x, off, w unsafe.Pointer, taps int, bias float32) {
			taps2(y, n, x, off, w, taps, bias, unsafe.Pointer(&lanes[8-n%8]))
		}})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 {
		l = append(l, &Table{Name: cpu.AVX512, Taps32: taps512, Pack32: packRows512})
	}
	return l
}
