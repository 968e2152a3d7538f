package qgemm

import (
	"bytes"
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// CodesWidth is the number of columns of a panel of codes.
const CodesWidth = 16

// Codes is a matrix W [N, K] of codes in blocks of Block values along K:
// W[n, k] = (code - zero[n, q])·scale[n, q], q = k / Block. It is not changed
// by MulCodes.
type Codes struct {
	N, K, Block int // Block is a multiple of 16

	Wide   bool      // a code is a byte, not half of one
	Data   []byte    // from PackCodes
	Scales []float32 // [N, blocks], from PackBlocks
	Zeros  []byte    // likewise; nil: all are Zero
	Zero   byte
}

// PackCodes makes the Data of Codes for an n by k matrix. get writes the k
// codes of row i, at most 255 if wide, else 15. It is called from several
// goroutines.
func PackCodes(p par.P, n, k, block int, wide bool, get func(i int, row []byte)) []byte {
	panels, size := (n+CodesWidth-1)/CodesWidth, codesPanel(k, block, wide)
	out := make([]byte, panels*size)
	p.For(panels, max(1, (1<<16)/(k*CodesWidth)), func(lo, hi int) {
		row := make([]byte, k)
		for q := lo; q < hi; q++ {
			data := out[q*size : (q+1)*size]
			for j := range min(CodesWidth, n-q*CodesWidth) {
				get(q*CodesWidth+j, row)
				// Eight k of all columns lie together, four and four; with
				// half bytes the first four are the low halves.
				for x, v := range row {
					if wide {
						data[x/4*4*CodesWidth+j*4+x%4] = v
						continue
					}
					data[x/8*4*CodesWidth+j*4+x%4] |= v << (x & 4)
				}
			}
		}
	})
	return out
}

// PackBlocks makes the Scales or Zeros of Codes from a value for each block of
// each row.
func PackBlocks[T float32 | byte](src []T, n, blocks int) []T {
	out := make([]T, (n+CodesWidth-1)/CodesWidth*CodesWidth*blocks)
	for i := range n {
		for q, v := range src[i*blocks : (i+1)*blocks] {
			out[(i/CodesWidth*blocks+q)*CodesWidth+i%CodesWidth] = v
		}
	}
	return out
}

// codesPanel returns the number of bytes of a panel.
func codesPanel(k, block int, wide bool) int {
	size := (k + block - 1) / block * block * CodesWidth
	if !wide {
		size /= 2
	}
	return size
}

// codesTile is the product of some rows with one panel. Strides are in
// elements.
type codesTile struct {
	rows, blocks, groups int            // groups of four k in a block
	a                    unsafe.Pointer // int8
	lda                  int
	sums, scales         unsafe.Pointer // of the blocks of the rows: [block][lds] int32 and float32
	lds                  int
	b, zeros, bscales    unsafe.Pointer
	ldz                  int
	y                    unsafe.Pointer // rows of CodesWidth float32
	ldy                  int
}

// Activations are rows of floats as bytes: each block of a row has the scale
// max|x|/127, and x is the nearest integer to x/scale.
type Activations struct {
	M, K, Block, Blocks int

	data   []int8    // [M][Blocks*Block]
	scales []float32 // [Blocks][M]
	sums   []int32   // of the integers, likewise
}

// Quantize makes Activations of the m rows of k floats in x.
func Quantize(p par.P, x []float32, m, k, block int) *Activations {
	a := &Activations{M: m, K: k, Block: block, Blocks: (k + block - 1) / block}
	kb := a.Blocks * block
	a.data = make([]int8, m*kb)
	a.scales, a.sums = make([]float32, m*a.Blocks), make([]int32, m*a.Blocks)
	p.For(m, max(1, (1<<14)/kb), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row, dst := x[i*k:(i+1)*k], a.data[i*kb:(i+1)*kb]
			for q := range a.Blocks {
				part := row[q*block : min((q+1)*block, k)]
				a.scales[q*m+i], a.sums[q*m+i] = quantizeBlock(dst[q*block:][:len(part)], part)
			}
		}
	})
	return a
}

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

// MulCodes computes y[i*N+n] = Σ_k a[i, k]·W[n, k] + bias[n] (nil: 0): exact
// integers within a block, float32 across blocks, of which both have the same.
func MulCodes(p par.P, a *Activations, w *Codes, bias []float32, y []float32) {
	t := Best()
	tile := t.Codes4
	if w.Wide {
		tile = t.Codes8
	}
	kb, size := a.Blocks*w.Block, codesPanel(w.K, w.Block, w.Wide)
	panels := (w.N + CodesWidth - 1) / CodesWidth
	zeros, ldz := w.Zeros, CodesWidth
	if zeros == nil {
		zeros, ldz = bytes.Repeat([]byte{w.Zero}, CodesWidth), 0
	}
	const task = 1 << 19
	high := min(a.M, 8*12)
	if high == 0 {
		return
	}
	wide := max(1, min(panels, task/(high*CodesWidth*kb)))
	rowTasks, colTasks := (a.M+high-1)/high, (panels+wide-1)/wide
	p.For(rowTasks*colTasks, 1, func(lo, hi int) {
		var out [12 * CodesWidth]float32
		for q := lo; q < hi; q++ {
			i0, p0 := q%rowTasks*high, q/rowTasks*wide
			i1, p1 := min(i0+high, a.M), min(p0+wide, panels)
			tiles := (i1 - i0 + t.CodesMR - 1) / t.CodesMR
			step := (i1 - i0 + tiles - 1) / tiles
			for s := p0; s < p1; s++ {
				cols := min(CodesWidth, w.N-s*CodesWidth)
				g := codesTile{
					blocks: a.Blocks, groups: w.Block / 4, lda: kb, lds: a.M, ldz: ldz,
					b: unsafe.Pointer(&w.Data[s*size]), bscales: unsafe.Pointer(&w.Scales[s*a.Blocks*CodesWidth]),
					zeros: unsafe.Pointer(&zeros[s*a.Blocks*ldz]), y: unsafe.Pointer(&out[0]), ldy: CodesWidth,
				}
				for i := i0; i < i1; i += step {
					g.rows = min(step, i1-i)
					g.a = unsafe.Pointer(&a.data[i*kb])
					g.sums, g.scales = unsafe.Pointer(&a.sums[i]), unsafe.Pointer(&a.scales[i])
					tile(&g)
					for r := range g.rows {
						dst := y[(i+r)*w.N+s*CodesWidth:][:cols]
						copy(dst, out[r*CodesWidth:])
						if bias != nil {
							for j, v := range bias[s*CodesWidth:][:cols] {
								dst[j] += v
							}
						}
					}
				}
			}
		}
	})
}
