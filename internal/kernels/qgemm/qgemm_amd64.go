//go:build !noasm

package qgemm

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in qgemm_amd64.s does exactly what tileGo does. Its strides are in
// bytes. It checks nothing and asks for no alignment.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-qgemm ./qgemm && cd ../qgemm && /tmp/gneiss-gen-qgemm && rm /tmp/gneiss-gen-qgemm"

// avx2Pack writes groups of four rows of 32 bytes, stride apart, in the layout
// of Right.Data, combined with flip by exclusive or, and adds the sums of the
// 32 columns to sums.
//
//go:noescape
func avx2Pack(groups int, src unsafe.Pointer, stride int, dst, sums unsafe.Pointer, flip uint64)

// avx2RowSums is Table.RowSums, for k = 32·full and what mask adds to it; nil: nothing.
//
//go:noescape
func avx2RowSums(dst, src unsafe.Pointer, rows, stride, segments, step, full int, mask unsafe.Pointer)

// restMasks are those of avx2RowSums for 0 to 31 bytes.
var restMasks = func() (m [32][64]byte) {
	for n := range m {
		for i := range n {
			for j := range 4 {
				m[n][i&^3+j] = 0xff
			}
			m[n][32+i] = 0xff
		}
	}
	return m
}()

func rowSumsAVX2(dst, src unsafe.Pointer, rows, stride, segments, step, k int) {
	var mask unsafe.Pointer
	if k%32 != 0 {
		mask = unsafe.Pointer(&restMasks[k%32])
	}
	avx2RowSums(dst, src, rows, stride, segments, step, k/32, mask)
}

// avx2Widen is Many.Widen.
//
//go:noescape
func avx2Widen(dst, src unsafe.Pointer, rows, stride, segments, step, kg int)

// avx2Words writes kg groups of 16 columns of a panel as words, those of rows 0 and 2
// before those of rows 1 and 3.
//
//go:noescape
func avx2Words(dst, src unsafe.Pointer, kg int)

// avx2Mark, avx2Turn, avx2Fix and avx2Start are those of Thin.
//
//go:noescape
func avx2Mark(marks, panels unsafe.Pointer, n int)

//go:noescape
func avx2Turn(dst unsafe.Pointer, rows *[turnRows]unsafe.Pointer, at, blocks int)

//go:noescape
func avx2Fix(dst, turned, list, counts unsafe.Pointer)

//go:noescape
func avx2Start(dst, added, bias unsafe.Pointer)

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, &Table{Name: cpu.AVX2, MR: 5, Tile: tile2, Pack: avx2Pack, RowSums: rowSumsAVX2,
			Many: &Many{MR: len(manyBytes) - 1, Widen: avx2Widen, Words: avx2Words, Bytes: manyBytesAVX2, Floats: manyFloatsAVX2, Ints: manyIntsAVX2},
			Thin: &Thin{MR: len(thinBytes) - 1, Bytes: thinBytesAVX2, Floats: thinFloatsAVX2, Ints: thinIntsAVX2, Mark: avx2Mark, Turn: avx2Turn, Fix: avx2Fix, Start: avx2Start}})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 && cpu.Found.AVX512VNNI {
		l = append(l, &Table{Name: cpu.VNNI, MR: 14, Tile: tileVNNI, Bytes: bytesVNNI, Floats: floatsVNNI, Ints: intsVNNI, Pack: avx2Pack, RowSums: rowSumsAVX2})
	}
	if cpu.Found.AMX {
		t := *l[len(l)-1]
		t.Name, t.tiles = cpu.AMX, &amxTiles
		l = append(l, &t)
	}
	return l
}

func tileVNNI(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int) {
	vnnix[rows](kg, a, lda, b, c, ldc*4, 1<<w-1)
}

func bytesVNNI(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	vnniBytes[rows](kg, a, lda, b, c, ldc, 1<<w-1, e.Bias, e.Sums, e.Zeros, e.Scale, e.More, e.Segments, e.Step, e.Next)
}

func floatsVNNI(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	vnniFloats[rows](kg, a, lda, b, c, ldc*4, 1<<w-1, e.Bias, e.Sums, e.Zeros, e.Scale, e.More, e.Segments, e.Step, e.Next)
}

func intsVNNI(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	vnniInts[rows](kg, a, lda, b, c, ldc*4, 1<<w-1, e.Bias, e.Sums, e.Zeros, nil, nil, e.Segments, e.Step, e.Next)
}

// lanes[16-w:] masks w of 16 lanes.
var lanes = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

func tile2(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int) {
	if rows > 4 {
		tile2(rows-4, kg, unsafe.Add(a, 4*lda), lda, b, unsafe.Add(c, 4*ldc*4), ldc, w)
		rows = 4
	}
	for j := 0; j < w; j += 16 {
		var mask unsafe.Pointer
		if w-j < 16 {
			mask = unsafe.Pointer(&lanes[16-(w-j)])
		}
		avx2x[rows](kg, a, lda, unsafe.Add(b, j*4), unsafe.Add(c, j*4), ldc*4, mask)
	}
}

func manyBytesAVX2(tiles, rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	e.many(manyBytes[rows], tiles, rows, kg, a, lda, b, c, ldc, w, 1)
}

func manyFloatsAVX2(tiles, rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	e.many(manyFloats[rows], tiles, rows, kg, a, lda, b, c, ldc*4, w, 4)
}

func manyIntsAVX2(tiles, rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	e.many(manyInts[rows], tiles, rows, kg, a, lda, b, c, ldc*4, w, 4)
}

// many calls f for tiles of rows rows; those of fewer columns go by way of e.tail.
func (e *Ends) many(f func(kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc int, bias, sums, zeros, scale, more unsafe.Pointer, tiles int),
	tiles, rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w, size int) {
	if w == halfWidth {
		f(kg, a, lda, b, c, ldc, e.Bias, e.Sums, e.Zeros, e.Scale, e.More, tiles)
		return
	}
	sums, most := e.Sums, len(e.tail)*4/(rows*halfWidth*size)
	for t := 0; t < tiles; t += most {
		if e.Sums != nil {
			sums = unsafe.Add(e.Sums, t*rows*4)
		}
		n := min(most, tiles-t)
		f(kg, unsafe.Add(a, t*rows*lda), lda, b, unsafe.Pointer(&e.tail), halfWidth*size, e.Bias, sums, e.Zeros, e.Scale, e.More, n)
		for i := range n * rows {
			copy(unsafe.Slice((*byte)(unsafe.Add(c, (t*rows+i)*ldc)), w*size), unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&e.tail), i*halfWidth*size)), w*size))
		}
	}
}

func thinBytesAVX2(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	halves(rows, kg, a, lda, b, c, ldc, w, 1, e.thin(thinBytes[rows]), 0, e)
}

func thinFloatsAVX2(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	halves(rows, kg, a, lda, b, c, ldc*4, w, 4, e.thin(thinFloats[rows]), 4, e)
}

func thinIntsAVX2(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w int, e *Ends) {
	halves(rows, kg, a, lda, b, c, ldc*4, w, 4, e.thin(thinInts[rows]), 0, e)
}

// thin gives f what halves does not.
func (e *Ends) thin(f func(kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc int, bias unsafe.Pointer, apart int, sums, zeros, scale, more unsafe.Pointer, segments, step int)) halfTile {
	return func(kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc int, bias, sums, zeros, scale, more unsafe.Pointer) {
		f(kg, a, lda, b, c, ldc, bias, e.Apart, sums, zeros, scale, more, e.Segments, e.Step)
	}
}

// halfTile computes a tile of 16 columns.
type halfTile = func(kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc int, bias, sums, zeros, scale, more unsafe.Pointer)

// halves calls f for each 16 columns of a tile, elements of size bytes; More moves
// on by more bytes for each. What has fewer columns goes by way of e.tail.
func halves(rows, kg int, a unsafe.Pointer, lda int, b, c unsafe.Pointer, ldc, w, size int,
	f halfTile, more int, e *Ends) {
	at := func(p unsafe.Pointer, n int) unsafe.Pointer {
		if p == nil {
			return nil
		}
		return unsafe.Add(p, n)
	}
	for j := 0; j < w; j += 16 {
		to, ld := unsafe.Add(c, j*size), ldc
		if w-j < 16 {
			to, ld = unsafe.Pointer(&e.tail), 16*size
		}
		f(kg, a, lda, unsafe.Add(b, j*4), to, ld, unsafe.Add(e.Bias, j*4), e.Sums, at(e.Zeros, j*4), at(e.Scale, j*4), at(e.More, j*more))
		if w-j < 16 {
			for i := range rows {
				copy(unsafe.Slice((*byte)(unsafe.Add(c, i*ldc+j*size)), (w-j)*size), unsafe.Slice((*byte)(unsafe.Add(to, i*ld)), (w-j)*size))
			}
		}
	}
}
