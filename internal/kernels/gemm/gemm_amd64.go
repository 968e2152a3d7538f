//go:build !noasm

package gemm

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in gemm_amd64.s does what tileGo and dotGo do, with fused
// multiply-adds. Its strides are in bytes. It checks nothing and asks for no
// alignment. avx512… write exactly the columns of their mask (bit j: column
// j); avx2… take 16 (float64: 8) columns and a pointer to a vector mask for
// them, nil for all.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-gemm ./gemm && cd ../gemm && /tmp/gneiss-gen-gemm && rm /tmp/gneiss-gen-gemm"

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, &Table{
			Name: cpu.AVX2, MR32: 6, MR64: 6, Tile32: tile2f32, Tile64: tile2f64, Dot32: avx2dot,
			Axpy32: axpyOf(avx2axpy1, avx2axpy8), Dots32: dotsOf(avx2dots2, avx2dots3, avx2dots4),
			Ahead32: ahead2, Ahead: 4,
			Few32: fewOf(nil, avx2few1, avx2few2, avx2few3), One32: fewOf(nil, avx2one1, avx2few2, avx2few3), FewPanels: [8]int{0, 2, 1, 1}, Finish32: avx2finish, AddCol32: avx2addcol,
			Trans32: func(blocks int, src unsafe.Pointer, lds int, dst unsafe.Pointer, ldd int) {
				avx2trans(blocks, src, lds*4, dst, ldd*4)
			}, TransSide: 8,
			FMA32: avx2peak, FMAs: 12 * 8,
		})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 {
		l = append(l, &Table{
			Name: cpu.AVX512, MR32: 14, MR64: 14, Tile32: tile512f32, Tile64: tile512f64, Dot32: avx512dot,
			Axpy32: axpyOf(avx512axpy1, avx512axpy8), Dots32: dotsOf(avx512dots2, avx512dots3, avx512dots4),
			Ahead32:   ahead512,
			Ahead:     2,
			Stream32:  stream512,
			Few32:     fewOf(nil, avx512few1, avx512few2, avx512few3, avx512few4, avx512few5, avx512few6),
			One32:     fewOf(nil, avx512one1, avx512one2, avx512one3, avx512one4, avx512one5, avx512one6),
			FewPanels: [8]int{0, 4, 4, 4, 2, 2, 2}, Finish32: avx512finish, AddCol32: avx2addcol,
			Trans32: func(blocks int, src unsafe.Pointer, lds int, dst unsafe.Pointer, ldd int) {
				avx512trans(blocks, src, lds*4, dst, ldd*4)
			}, TransSide: 16,
			FMA32: avx512peak, FMAs: 12 * 16,
		})
		if cpu.Found.AVX512BF16 {
			l[len(l)-1].TilePairs = tile512b16
		}
	}
	return l
}

type fewFunc = func(kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldp int, c unsafe.Pointer, ldc int, acc bool)

// fewOf lets routines take strides in elements.
func fewOf(fs ...fewFunc) (out [8]fewFunc) {
	for i, f := range fs {
		if f != nil {
			out[i] = func(kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldp int, c unsafe.Pointer, ldc int, acc bool) {
				f(kc, a, lda*4, b, ldp*4, c, ldc*4, acc)
			}
		}
	}
	return out
}

func tile512f32(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	ahead512(rows, kc, a, lda, b, ldb, c, ldc, w, 8*ldb*4, acc)
}

func ahead512(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w, pf int, acc bool) {
	if w <= 16 {
		avx512f32h[rows](kc, a, lda*4, b, ldb*4, c, ldc*4, 1<<w-1, pf, acc)
		return
	}
	avx512f32x[rows](kc, a, lda*4, b, ldb*4, c, ldc*4, 1<<w-1, pf, acc)
}

func stream512(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	if w <= 16 || avx512f32s[rows] == nil {
		tile512f32(rows, kc, a, lda, b, ldb, c, ldc, w, acc)
		return
	}
	avx512f32s[rows](kc, a, lda*4, b, ldb*4, c, ldc*4, 1<<w-1, 0, acc)
}

func tile512b16(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	avx512b16x[rows](kc, a, lda*4, b, ldb*4, c, ldc*4, 1<<w-1, 8*ldb*4, acc)
}

func tile512f64(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	for j := 0; j < w; j += 16 {
		f, n := &avx512f64x, min(w-j, 16)
		if n <= 8 {
			f = &avx512f64h
		}
		f[rows](kc, a, lda*8, unsafe.Add(b, j*8), ldb*8, unsafe.Add(c, j*8), ldc*8, 1<<n-1, 8*ldb*8, acc)
	}
}

// lanes32[16-w:] masks w of 16 lanes of 4 bytes; lanes64 does for 8 of 8.
var (
	lanes32 = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}
	lanes64 = [16]int64{-1, -1, -1, -1, -1, -1, -1, -1}
)

func tile2f32(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	ahead2(rows, kc, a, lda, b, ldb, c, ldc, w, 8*ldb*4, acc)
}

func ahead2(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w, pf int, acc bool) {
	if w == Panel {
		avx2f32p[rows](kc, a, lda*4, b, ldb*4, c, ldc*4, 1, pf, acc)
		return
	}
	for j := 0; j < w; j += 16 {
		var mask unsafe.Pointer
		if w-j < 16 {
			mask = unsafe.Pointer(&lanes32[16-(w-j)])
		}
		avx2f32x[rows](kc, a, lda*4, unsafe.Add(b, j*4), ldb*4, unsafe.Add(c, j*4), ldc*4, mask, pf+j*(kc-4), acc)
	}
}

func tile2f64(rows, kc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb int, c unsafe.Pointer, ldc, w int, acc bool) {
	for j := 0; j < w; j += 8 {
		var mask unsafe.Pointer
		if w-j < 8 {
			mask = unsafe.Pointer(&lanes64[8-(w-j)])
		}
		avx2f64x[rows](kc, a, lda*8, unsafe.Add(b, j*8), ldb*8, unsafe.Add(c, j*8), ldc*8, mask, 8*ldb*8, acc)
	}
}

type axpyFunc = func(n int, x, b unsafe.Pointer, ldb int, y unsafe.Pointer)

// axpyOf joins a routine for one row and one for eight.
func axpyOf(one, eight axpyFunc) func(rows, n int, x, b unsafe.Pointer, ldb int, y unsafe.Pointer) {
	return func(rows, n int, x, b unsafe.Pointer, ldb int, y unsafe.Pointer) {
		i := 0
		for ; i+8 <= rows; i += 8 {
			eight(n, unsafe.Add(x, i*4), unsafe.Add(b, i*ldb*4), ldb*4, y)
		}
		for ; i < rows; i++ {
			one(n, unsafe.Add(x, i*4), unsafe.Add(b, i*ldb*4), ldb*4, y)
		}
	}
}

type dotsFunc = func(n int, x unsafe.Pointer, ldx int, y, out unsafe.Pointer)

// dotsOf lets routines for two to four rows take strides in elements.
func dotsOf(fs ...dotsFunc) (out [5]dotsFunc) {
	for i, f := range fs {
		out[2+i] = func(n int, x unsafe.Pointer, ldx int, y, out unsafe.Pointer) { f(n, x, ldx*4, y, out) }
	}
	return out
}
