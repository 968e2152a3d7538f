//go:build !noasm

package qgemm

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in qgemm_arm64.s does exactly what tileGo does, but that it takes
// 128 from the bytes of A. Its strides are in bytes. It checks nothing and asks
// for no alignment. dotV4x… take up to 16 columns, dotV2x… and neonx… up to 8.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-qgemm ./qgemm && cd ../qgemm && /tmp/gneiss-gen-qgemm && rm /tmp/gneiss-gen-qgemm"

func archTables() []*Table {
	var l []*Table
	if cpu.Found.NEON {
		l = append(l, &Table{Name: cpu.NEON, MR: 6, Tile: tileNEON, Less: 128, Pack: neonPack})
	}
	if cpu.Found.NEON && cpu.Found.DotProd {
		l = append(l, &Table{Name: cpu.DotProd, MR: 6, Tile: tileDot, Less: 128,
			Bytes: outDot(dotBytes[:], 1), Floats: outDot(dotFloats[:], 4), Ints: outDot(dotInts[:], 4), Pack: neonPack})
	}
	return l
}

func tileNEON(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int) {
	for j := 0; j < w; j += 8 {
		neonx[rows](kg, a, lda, unsafe.Add(b, j*4), unsafe.Add(c, j*4), ldc*4, min(8, w-j))
	}
}

func tileDot(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int) {
	for j := 0; j < w; j += 16 {
		f := dotV4x[rows]
		if w-j <= 8 {
			f = dotV2x[rows]
		}
		f(kg, a, lda, unsafe.Add(b, j*4), unsafe.Add(c, j*4), ldc*4, min(16, w-j))
	}
}

type outFunc = func(kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, bias, sums, zeros, scale, more unsafe.Pointer, segments, step int)

// outDot lets routines for up to 16 columns, whose results have size bytes, do a
// panel.
func outDot(f []outFunc, size int) func(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	return func(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
		f[rows](kg, a, lda, b, c, ldc*size, min(w, 16), e.Bias, e.Sums, e.Zeros, e.Scale, e.More, e.Segments, e.Step)
		if w <= 16 {
			return
		}
		second := func(p unsafe.Pointer) unsafe.Pointer {
			if p == nil {
				return nil
			}
			return unsafe.Add(p, 64)
		}
		more := e.More // of bytes it is not by columns
		if size == 4 {
			more = second(more)
		}
		f[rows](kg, a, lda, unsafe.Add(b, 64), unsafe.Add(c, 16*size), ldc*size, w-16, second(e.Bias), e.Sums, second(e.Zeros), second(e.Scale), more, e.Segments, e.Step)
	}
}
