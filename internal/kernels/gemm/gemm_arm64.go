//go:build !noasm

package gemm

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in gemm_arm64.s does what tileGo and dotGo do, with fused
// multiply-adds. Its strides are in bytes. It checks nothing and asks for no
// alignment. neonf32v4x… take up to 16 columns (float64: 8), neonf32v2x… up to half
// of that, and write the first w of them.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-gemm ./gemm && cd ../gemm && /tmp/gneiss-gen-gemm && rm /tmp/gneiss-gen-gemm"

func archTables() []*Table {
	if !cpu.Found.NEON {
		return nil
	}
	few := [8]fewFunc{nil, fewNEON(neonFew1), fewNEON(neonFew2), fewNEON(neonFew3)}
	return []*Table{{
		Name: cpu.NEON, MR32: 6, MR64: 6, Tile32: tileNEON32, Tile64: tileNEON64, Dot32: neonDot,
		Axpy32: axpyNEON, Dots32: [5]dotsFunc{nil, nil, dotsNEON(neonDots2), dotsNEON(neonDots3), dotsNEON(neonDots4)},
		Few32: few, One32: few, FewPanels: [8]int{0, 1, 1, 1}, Finish32: neonFinish,
		Trans32: func(blocks int, src unsafe.Pointer, lds int, dst unsafe.Pointer, ldd int) {
			neonTrans(blocks, src, lds*4, dst, ldd*4)
		}, TransSide: 8,
		FMA32: neonPeak, FMAs: 16 * 4,
	}}
}

type (
	fewFunc  = func(kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldp int, c unsafe.Pointer, ldc int, acc bool)
	dotsFunc = func(n int, x unsafe.Pointer, ldx int, y, out unsafe.Pointer)
)

// fewNEON lets a routine take strides in elements.
func fewNEON(f fewFunc) fewFunc {
	return func(kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldp int, c unsafe.Pointer, ldc int, acc bool) {
		f(kc, a, lda*4, b, ldp*4, c, ldc*4, acc)
	}
}

func dotsNEON(f dotsFunc) dotsFunc {
	return func(n int, x unsafe.Pointer, ldx int, y, out unsafe.Pointer) { f(n, x, ldx*4, y, out) }
}

func tileNEON32(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	for j := 0; j < w; j += 16 {
		f := neonf32v4x[rows]
		if w-j <= 8 {
			f = neonf32v2x[rows]
		}
		f(kc, a, lda*4, unsafe.Add(b, j*4), ldb*4, unsafe.Add(c, j*4), ldc*4, min(16, w-j), acc)
	}
}

func tileNEON64(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	for j := 0; j < w; j += 8 {
		f := neonf64v4x[rows]
		if w-j <= 4 {
			f = neonf64v2x[rows]
		}
		f(kc, a, lda*8, unsafe.Add(b, j*8), ldb*8, unsafe.Add(c, j*8), ldc*8, min(8, w-j), acc)
	}
}

func axpyNEON(rows, n int, x, b unsafe.Pointer, ldb int, y unsafe.Pointer) {
	i := 0
	for ; i+8 <= rows; i += 8 {
		neonAxpy8(n, unsafe.Add(x, i*4), unsafe.Add(b, i*ldb*4), ldb*4, y)
	}
	for ; i < rows; i++ {
		neonAxpy1(n, unsafe.Add(x, i*4), unsafe.Add(b, i*ldb*4), ldb*4, y)
	}
}
