//go:build !noasm

package qconv

import (
	"encoding/binary"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in qconv_amd64.s does what rowGo does for scales within (-1, 1).
// It reads and writes the bytes of a block's channels alone and checks nothing.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-qconv ./qconv && cd ../qconv && /tmp/gneiss-gen-qconv && rm /tmp/gneiss-gen-qconv"

//go:noescape
func vnniDepth(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func vnniDepthHalf(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func vnniDepth9(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func vnniDepth9Masked(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func vnniDepth9Half(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func vnniDepth9HalfMasked(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func avx2Depth(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer)

//go:noescape
func vnniDepthFloats(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func vnniDepthHalfFloats(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func vnniDepth9Floats(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func vnniDepth9HalfFloats(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer, mask uint64)

//go:noescape
func avx2Depth9(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer)

//go:noescape
func avx2Depth9Floats(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer)

//go:noescape
func avx2DepthFloats(n, groups int, ptrs, w, y unsafe.Pointer, xstep, ystep int, bias, scale, words unsafe.Pointer)

//go:noescape
func avx2MaxU(n, taps int, ptrs, y unsafe.Pointer, xstep, ystep int)

//go:noescape
func avx2MaxS(n, taps int, ptrs, y unsafe.Pointer, xstep, ystep int)

//go:noescape
func avx512MaxU(n, taps int, ptrs, y unsafe.Pointer, xstep, ystep int, mask uint64)

//go:noescape
func avx512MaxS(n, taps int, ptrs, y unsafe.Pointer, xstep, ystep int, mask uint64)

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, &Table{Name: cpu.AVX2, Width: 16, Taps: 2, Whole: true, Words: true, Pack: packWords, Order: wordOrder, Row: rowAVX2, Floats: floatsAVX2, MaxWidth: 32, MaxWhole: true, Max: maxAVX2})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 {
		t := *l[0]
		t.Name, t.MaxWidth, t.MaxWhole, t.Max = cpu.AVX512, 64, false, maxAVX512
		l = append(l, &t)
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 && cpu.Found.AVX512VNNI {
		l = append(l, &Table{Name: cpu.VNNI, Width: 64, Taps: 4, Pack: packBytes, Order: unpacked, Row: rowVNNI, Floats: floatsVNNI, MaxWidth: 64, Max: maxAVX512})
	}
	return l
}

// unpacked is where channel c of 64, or of 32, goes when bytes are unpacked to
// double words.
func unpacked(c, width int) int {
	if width <= 32 {
		return c%16/4*8 + c/16*4 + c%4
	}
	return c%16/4*16 + c/16*4 + c%4
}

// packBytes is [tap/4][unpacked(channel)][4] as bytes.
func packBytes(w []int16, taps, channels, width int) []byte {
	block := 64
	if width <= 32 {
		block = 32
	}
	out := make([]byte, taps*block)
	for t := range taps {
		for c, v := range w[t*channels : t*channels+width] {
			out[t/4*block*4+unpacked(c, width)*4+t%4] = byte(v)
		}
	}
	return out
}

func rowVNNI(r *rowArgs) {
	f := vnniDepth
	switch nine := r.real == 9; {
	case nine && r.width == 64:
		f = vnniDepth9
	case nine && r.width > 32:
		f = vnniDepth9Masked
	case nine && r.width == 32:
		f = vnniDepth9Half
	case nine:
		f = vnniDepth9HalfMasked
	case r.width <= 32:
		f = vnniDepthHalf
	}
	f(r.n, r.taps/4, unsafe.Pointer(&r.ptrs[0]), unsafe.Pointer(&r.w[0]), r.y, r.xstep, r.ystep,
		unsafe.Pointer(&r.bias[0]), unsafe.Pointer(&r.scale[0]), unsafe.Pointer(&r.words), ^uint64(0)>>(64-r.width))
}

func floatsVNNI(r *rowArgs) {
	f := vnniDepthFloats
	switch nine := r.real == 9; {
	case nine && r.width > 32:
		f = vnniDepth9Floats
	case nine:
		f = vnniDepth9HalfFloats
	case r.width <= 32:
		f = vnniDepthHalfFloats
	}
	f(r.n, r.taps/4, unsafe.Pointer(&r.ptrs[0]), unsafe.Pointer(&r.w[0]), r.y, r.xstep, r.ystep,
		unsafe.Pointer(&r.bias[0]), unsafe.Pointer(&r.scale[0]), unsafe.Pointer(&r.shift[0]), ^uint64(0)>>(64-r.width))
}

// wordOrder is where channel c of 16 goes when words are unpacked to double words.
func wordOrder(c, _ int) int {
	return c&8/2 | c&4*2 | c&3
}

// packWords is [tap/2][wordOrder(channel)][2] as words for 16 channels.
func packWords(w []int16, taps, channels, width int) []byte {
	out := make([]byte, taps*32)
	for t := range taps {
		for c, v := range w[t*channels : t*channels+width] {
			binary.LittleEndian.PutUint16(out[t/2*64+wordOrder(c, width)*4+t%2*2:], uint16(v))
		}
	}
	return out
}

func rowAVX2(r *rowArgs) {
	f := avx2Depth
	if r.real == 9 {
		f = avx2Depth9
	}
	f(r.n, r.taps/2, unsafe.Pointer(&r.ptrs[0]), unsafe.Pointer(&r.w[0]), r.y, r.xstep, r.ystep,
		unsafe.Pointer(&r.bias[0]), unsafe.Pointer(&r.scale[0]), unsafe.Pointer(&r.words))
}

func floatsAVX2(r *rowArgs) {
	f := avx2DepthFloats
	if r.real == 9 {
		f = avx2Depth9Floats
	}
	f(r.n, r.taps/2, unsafe.Pointer(&r.ptrs[0]), unsafe.Pointer(&r.w[0]), r.y, r.xstep, r.ystep,
		unsafe.Pointer(&r.bias[0]), unsafe.Pointer(&r.scale[0]), unsafe.Pointer(&r.shift[0]))
}

func maxAVX2(r *rowArgs, signed bool) {
	f := avx2MaxU
	if signed {
		f = avx2MaxS
	}
	f(r.n, len(r.ptrs), unsafe.Pointer(&r.ptrs[0]), r.y, r.xstep, r.ystep)
}

func maxAVX512(r *rowArgs, signed bool) {
	f := avx512MaxU
	if signed {
		f = avx512MaxS
	}
	f(r.n, len(r.ptrs), unsafe.Pointer(&r.ptrs[0]), r.y, r.xstep, r.ystep, ^uint64(0)>>(64-r.width))
}
