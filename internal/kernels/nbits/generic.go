package nbits

import (
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// tile is the product of some rows of bytes with one panel. lda is in bytes,
// lds in elements.
type tile struct {
	rows, blocks, groups int            // groups of four k in a block
	a                    unsafe.Pointer // int8
	lda                  int
	// [block][lds] of the rows: scales, and what integer sums begin with if all
	// zero points are the same, else the sums of the bytes.
	sums, scales      unsafe.Pointer
	lds               int
	b, zeros, bscales unsafe.Pointer
	y                 unsafe.Pointer // rows of Width float32
	ldb               int            // of a pair: bytes from one panel to the next
}

type (
	tileFunc func(g *tile)
	// rowFunc sets y[0:Width] to the product of the row x with a panel; sums is
	// as in tile, for floats.
	rowFunc func(blocks, groups int, x, sums, b, zeros, bscales, y unsafe.Pointer)
	// expandFunc writes blocks of a panel as floats, (code - zero)·scale, one k
	// of Width columns each 2·Width floats.
	expandFunc func(blocks, groups int, b, zeros, bscales unsafe.Pointer, zero float32, dst unsafe.Pointer)
)

// table is one implementation. Indices: codes of 4 or 8 bits; zero points all
// the same, bytes, or floats.
type table struct {
	name string
	mr   int // rows of a tile at most
	tile [2][2]tileFunc
	// less is what tiles take from codes of 8 bits where zero points are all the
	// same: sums begin with less of them.
	less int32
	// pair does two panels at once, whose rows of y lie beside each other. pairMR
	// 0: none.
	pair   [2][2]tileFunc
	pairMR int
	row    [2][3]rowFunc
	expand [2][3]expandFunc
	// quantize turns whole blocks of x into bytes; scales and sums are lds bytes
	// apart.
	quantize func(blocks, block int, x, dst, scales, sums unsafe.Pointer, lds int)
}

var tables = append([]*table{genericTable()}, archTables()...)

func genericTable() *table {
	t := &table{name: cpu.Generic, mr: 4, quantize: quantizeGo}
	for w := range 2 {
		wide := w == 1
		for z := range 3 {
			if z < 2 {
				t.tile[w][z] = func(g *tile) { tileGo(g, wide, z) }
			}
			t.row[w][z] = func(blocks, groups int, x, sums, b, zeros, bscales, y unsafe.Pointer) {
				rowGo(blocks, groups, x, sums, b, zeros, bscales, y, wide, z)
			}
			t.expand[w][z] = func(blocks, groups int, b, zeros, bscales unsafe.Pointer, zero float32, dst unsafe.Pointer) {
				expandGo(blocks, groups, b, zeros, bscales, zero, dst, wide, z)
			}
		}
	}
	return t
}

// best returns the fastest table that may be used (see package cpu).
func best() *table {
	for i := len(tables) - 1; i > 0; i-- {
		if cpu.Has(tables[i].name) {
			return tables[i]
		}
	}
	return tables[0]
}

// eight writes the codes of eight k, those at b+at, as [k][Width] and returns
// the distance of the next from b.
func eight(b unsafe.Pointer, at int, wide bool, dst *[8 * Width]byte) int {
	n := 4 * Width
	if wide {
		n = 8 * Width
	}
	for i, v := range unsafe.Slice((*byte)(unsafe.Add(b, at)), n) {
		k, j := i%4+i/(4*Width)*4, i/4%Width
		if wide {
			dst[k*Width+j] = v
			continue
		}
		dst[k*Width+j], dst[(k+4)*Width+j] = v&15, v>>4
	}
	return at + n
}

// offset is what float routines take from codes and zero points.
func offset(wide bool) float32 {
	if wide {
		return 128
	}
	return 0
}

// zerosOf reads the zero points of block q.
func zerosOf(zeros unsafe.Pointer, q, kind int, dst *[Width]float32) {
	switch kind {
	case bytesKind:
		for j, v := range (*[Width]byte)(unsafe.Add(zeros, q*Width)) {
			dst[j] = float32(v)
		}
	case floatsKind:
		*dst = *(*[Width]float32)(unsafe.Add(zeros, q*Width*4))
	}
}

func tileGo(g *tile, wide bool, kind int) {
	var codes [8 * Width]byte
	var zeros [Width]float32
	sums := make([][Width]float32, g.rows)
	at := 0
	for q := range g.blocks {
		acc := make([][Width]int32, g.rows)
		for k := 0; k < g.groups*4; k += 8 {
			at = eight(g.b, at, wide, &codes)
			for i := range acc {
				row := unsafe.Slice((*int8)(unsafe.Add(g.a, i*g.lda+q*g.groups*4+k)), 8)
				for e, v := range row {
					for j, c := range codes[e*Width : (e+1)*Width] {
						acc[i][j] += int32(v) * int32(c)
					}
				}
			}
		}
		zerosOf(g.zeros, q, kind, &zeros)
		bs := (*[Width]float32)(unsafe.Add(g.bscales, q*Width*4))
		for i := range acc {
			s := *(*int32)(unsafe.Add(g.sums, (q*g.lds+i)*4))
			scale := *(*float32)(unsafe.Add(g.scales, (q*g.lds+i)*4))
			for j, v := range acc[i] {
				if kind == sameKind {
					v += s
				} else {
					v -= s * int32(zeros[j])
				}
				sums[i][j] += float32(v) * (scale * bs[j])
			}
		}
	}
	for i := range sums {
		*(*[Width]float32)(unsafe.Add(g.y, i*Width*4)) = sums[i]
	}
}

func rowGo(blocks, groups int, x, sums, b, zeros, bscales, y unsafe.Pointer, wide bool, kind int) {
	var codes [8 * Width]byte
	var z, sum [Width]float32
	off, at := offset(wide), 0
	for q := range blocks {
		var acc [Width]float32
		for k := 0; k < groups*4; k += 8 {
			at = eight(b, at, wide, &codes)
			for e, v := range (*[8]float32)(unsafe.Add(x, (q*groups*4+k)*4)) {
				for j, c := range codes[e*Width : (e+1)*Width] {
					acc[j] += v * (float32(c) - off)
				}
			}
		}
		zerosOf(zeros, q, kind, &z)
		bs := (*[Width]float32)(unsafe.Add(bscales, q*Width*4))
		s := *(*float32)(unsafe.Add(sums, q*4))
		for j, v := range acc {
			if kind == sameKind {
				v += s
			} else {
				v -= s * (z[j] - off)
			}
			sum[j] += v * bs[j]
		}
	}
	*(*[Width]float32)(y) = sum
}

func expandGo(blocks, groups int, b, zeros, bscales unsafe.Pointer, zero float32, dst unsafe.Pointer, wide bool, kind int) {
	var codes [8 * Width]byte
	var z [Width]float32
	off := offset(wide)
	for j := range z {
		z[j] = zero + off
	}
	at, to := 0, 0
	for q := range blocks {
		zerosOf(zeros, q, kind, &z)
		bs := (*[Width]float32)(unsafe.Add(bscales, q*Width*4))
		for range groups / 2 {
			at = eight(b, at, wide, &codes)
			for k := range 8 {
				out := (*[Width]float32)(unsafe.Add(dst, to))
				for j := range out {
					out[j] = (float32(codes[k*Width+j]) - z[j]) * bs[j]
				}
				to += 2 * Width * 4
			}
		}
	}
}

func quantizeGo(blocks, block int, x, dst, scales, sums unsafe.Pointer, lds int) {
	for q := range blocks {
		part := unsafe.Slice((*float32)(unsafe.Add(x, q*block*4)), block)
		*(*float32)(unsafe.Add(scales, q*lds)), *(*int32)(unsafe.Add(sums, q*lds)) = quantizeBlock(unsafe.Slice((*int8)(unsafe.Add(dst, q*block)), block), part)
	}
}

// quantizeBlock sets dst to x/scale rounded to the nearest integer, halves to
// even, with scale = max|x|/127, and returns the scale and the sum of dst.
func quantizeBlock(dst []int8, x []float32) (scale float32, sum int32) {
	top := uint32(0) // |x| as bits, which order like the numbers
	for _, v := range x {
		top = max(top, math.Float32bits(v)&^(1<<31))
	}
	most := math.Float32frombits(top)
	scale = most / 127
	inverse := float32(0)
	if most != 0 {
		inverse = 127 / most
	}
	const magic = 3 << 22 // adding it rounds a small float32 to an integer, halves to even
	for i, v := range x[:len(dst)] {
		r := float32(v*inverse) + magic
		n := int32(math.Float32bits(r)) - int32(math.Float32bits(magic))
		dst[i] = int8(n)
		sum += int32(int8(n))
	}
	return scale, sum
}
