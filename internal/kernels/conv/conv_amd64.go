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
		l = append(l, &Table{Name: cpu.AVX512, Taps32: taps512})
	}
	return l
}
