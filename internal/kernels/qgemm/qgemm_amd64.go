//go:build !noasm

package qgemm

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in qgemm_amd64.s does exactly what tileGo and, but for the
// rounding of fused multiply-adds, codesGo do. Its strides are in bytes. It
// checks nothing and asks for no alignment.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-qgemm ./qgemm && cd ../qgemm && /tmp/gneiss-gen-qgemm && rm /tmp/gneiss-gen-qgemm"

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, &Table{Name: cpu.AVX2, MR: 4, Tile: tile2, CodesMR: 4, Codes4: codes2x4})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 && cpu.Found.AVX512VNNI {
		l = append(l, &Table{Name: cpu.VNNI, MR: 14, Tile: tileVNNI, Bytes: bytesVNNI, Floats: floatsVNNI,
			CodesMR: 12, Codes4: codesVNNIx4, Codes8: codesVNNIx8})
	}
	return l
}

func tileVNNI(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int) {
	vnnix[rows](kg, a, lda, b, c, ldc*4, 1<<w-1)
}

func bytesVNNI(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	vnniBytes[rows](kg, a, lda, b, c, ldc, 1<<w-1, e.Bias, e.Sums, e.Zeros, e.Scale, e.More, e.Segments, e.Step)
}

func floatsVNNI(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	vnniFloats[rows](kg, a, lda, b, c, ldc*4, 1<<w-1, e.Bias, e.Sums, e.Zeros, e.Scale, e.More, e.Segments, e.Step)
}

// lanes[16-w:] masks w of 16 lanes.
var lanes = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

func tile2(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int) {
	for j := 0; j < w; j += 16 {
		var mask unsafe.Pointer
		if w-j < 16 {
			mask = unsafe.Pointer(&lanes[16-(w-j)])
		}
		avx2x[rows](kg, a, lda, unsafe.Add(b, j*4), unsafe.Add(c, j*4), ldc*4, mask)
	}
}

func codesVNNIx4(g *codesTile) { callCodes(vnniCodes4x[g.rows], g) }
func codesVNNIx8(g *codesTile) { callCodes(vnniCodes8x[g.rows], g) }
func codes2x4(g *codesTile)    { callCodes(avx2Codes4x[g.rows], g) }

func callCodes(f func(blocks, groups int, a unsafe.Pointer, lda int, sums, scales unsafe.Pointer, lds int, b, zeros, bscales unsafe.Pointer, ldz int, y unsafe.Pointer, ldy int), g *codesTile) {
	f(g.blocks, g.groups, g.a, g.lda, g.sums, g.scales, g.lds*4, g.b, g.zeros, g.bscales, g.ldz, g.y, g.ldy*4)
}
