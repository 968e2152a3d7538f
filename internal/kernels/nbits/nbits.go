// Package nbits multiplies matrices of floats with weights that are codes of a
// few bits in blocks along K, each with a scale and a zero point: W[n, k] =
// (code - zero)·scale.
//
// The codes are packed once, in panels of 16 columns. Products are of floats, or
// of integers after the left matrix has been turned into bytes. A single row
// reads the packed codes only; for many rows a part of a panel at a time is
// written out as floats, which stay in the cache.
package nbits

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Width is the number of columns of a panel.
const Width = 16

// Weights is a matrix W [N, K] in blocks of Block values along K. It is not
// changed by products.
type Weights struct {
	N, K, Block int // Block is a multiple of 16

	Wide   bool      // a code is a byte, not half of one
	Data   []byte    // from Pack
	Scales []float32 // [N, blocks], from PackBlocks
	// Zeros or Reals are the zero points, likewise; without both all are Zero.
	Zeros []byte
	Reals []float32
	Zero  byte
}

const (
	sameKind = iota
	bytesKind
	floatsKind
)

func (w *Weights) blocks() int { return (w.K + w.Block - 1) / w.Block }

func (w *Weights) wide() int {
	if w.Wide {
		return 1
	}
	return 0
}

// zero returns Zero as float routines take it: they take 128 from codes of 8
// bits and from their zero points, so that sums stay small.
func (w *Weights) zero() float32 {
	if w.Wide {
		return float32(w.Zero) - 128
	}
	return float32(w.Zero)
}

// zeros returns of what kind zero points are, and those of panel p from block q on.
func (w *Weights) zeros(p, q int) (kind int, at unsafe.Pointer) {
	i := (p*w.blocks() + q) * Width
	switch {
	case w.Zeros != nil:
		return bytesKind, unsafe.Pointer(&w.Zeros[i])
	case w.Reals != nil:
		return floatsKind, unsafe.Pointer(&w.Reals[i])
	}
	return sameKind, nil
}

// Pack makes the Data of Weights for an n by k matrix. get writes the k codes of
// row i, at most 255 if wide, else 15. It is called from several goroutines.
func Pack(p par.P, n, k, block int, wide bool, get func(i int, row []byte)) []byte {
	panels, size := (n+Width-1)/Width, panelSize(k, block, wide)
	out := make([]byte, panels*size)
	p.For(panels, max(1, (1<<16)/(k*Width)), func(lo, hi int) {
		row := make([]byte, k)
		for q := lo; q < hi; q++ {
			data := out[q*size : (q+1)*size]
			for j := range min(Width, n-q*Width) {
				get(q*Width+j, row)
				// Eight k of all columns lie together, four and four; with
				// half bytes the first four are the low halves.
				if wide {
					for x, v := range row {
						data[x/4*4*Width+j*4+x%4] = v
					}
					continue
				}
				x := 0
				for ; x+8 <= k; x += 8 {
					s, d := row[x:x+8], data[x*4*Width/8+j*4:][:4]
					d[0], d[1], d[2], d[3] = s[0]|s[4]<<4, s[1]|s[5]<<4, s[2]|s[6]<<4, s[3]|s[7]<<4
				}
				for ; x < k; x++ {
					data[x/8*4*Width+j*4+x%4] |= row[x] << (x & 4)
				}
			}
		}
	})
	return out
}

// PackBlocks makes the Scales, Zeros or Reals of Weights from a value for each
// block of each row.
func PackBlocks[T float32 | byte](src []T, n, blocks int) []T {
	out := make([]T, (n+Width-1)/Width*Width*blocks)
	for i := range n {
		for q, v := range src[i*blocks : (i+1)*blocks] {
			out[(i/Width*blocks+q)*Width+i%Width] = v
		}
	}
	return out
}

// panelSize returns the number of bytes of a panel.
func panelSize(k, block int, wide bool) int {
	size := (k + block - 1) / block * block * Width
	if !wide {
		size /= 2
	}
	return size
}

// put writes a row of the products of panels, and the bias of their columns, to y.
func (w *Weights) put(y []float32, i, panel int, from, bias []float32) {
	j := panel * Width
	dst := y[i*w.N+j:][:min(len(from), w.N-j)]
	if bias == nil {
		copy(dst, from)
		return
	}
	for x, b := range bias[j:][:len(dst)] {
		dst[x] = from[x] + b
	}
}

// few is the number of rows up to which each reads the codes for itself.
const few = 3

// Mul computes y[i*N+n] = Σ_k x[i*K+k]·W[n, k] + bias[n] (nil: 0) for m rows.
func Mul(p par.P, x []float32, m int, w *Weights, bias, y []float32) {
	switch {
	case m <= 0:
	case m <= few:
		mulRows(p, x, m, w, bias, y)
	default:
		mulPanels(p, x, m, w, bias, y)
	}
}

// rows are the m rows of X in whole blocks of W, kb apart. free gives back what they borrowed.
type rows struct {
	x        []float32
	m, kb    int
	w        *Weights
	t        *table
	borrowed gemm.Buffer[float32]
	padded   bool
	bias, y  []float32
}

func rowsOf(x []float32, m int, w *Weights, bias, y []float32) rows {
	r := rows{x: x, m: m, kb: w.blocks() * w.Block, w: w, t: best(), bias: bias, y: y}
	if r.kb == w.K {
		return r
	}
	r.borrowed, r.padded = gemm.Borrow[float32](m*r.kb), true
	r.x = r.borrowed.S
	for i := range m {
		row := r.x[i*r.kb : (i+1)*r.kb]
		clear(row[copy(row, x[i*w.K:(i+1)*w.K]):])
	}
	return r
}

func (r *rows) free() {
	if r.padded {
		r.borrowed.Return()
	}
}

func mulRows(p par.P, x []float32, m int, w *Weights, bias, y []float32) {
	r := fewRun{rows: rowsOf(x, m, w, bias, y)}
	defer r.free()
	sums := gemm.Borrow[float32](m * w.blocks())
	defer sums.Return()
	r.sums = sums.S
	same := w.Zeros == nil && w.Reals == nil
	for q := range r.sums {
		s := float32(0)
		for _, v := range r.x[q*w.Block : (q+1)*w.Block] {
			s += v
		}
		if same {
			s *= -w.zero()
		}
		r.sums[q] = s
	}
	panels := (w.N + Width - 1) / Width
	par.Each(p, panels, max(1, (1<<17)/(Width*r.kb*m)), r, (*fewRun).run)
}

// fewRun is a product of few rows, with the sums of their blocks.
type fewRun struct {
	rows
	sums []float32
}

// run computes panels [lo, hi).
func (r *fewRun) run(lo, hi int) {
	w := r.w
	blocks, size := w.blocks(), panelSize(w.K, w.Block, w.Wide)
	out := gemm.Borrow[float32](Width)
	defer out.Return()
	for s := lo; s < hi; s++ {
		kind, zeros := w.zeros(s, 0)
		row := r.t.row[w.wide()][kind]
		for i := range r.m {
			row(blocks, w.Block/4, unsafe.Pointer(&r.x[i*r.kb]), unsafe.Pointer(&r.sums[i*blocks]), unsafe.Pointer(&w.Data[s*size]), zeros, unsafe.Pointer(&w.Scales[s*blocks*Width]), unsafe.Pointer(&out.S[0]))
			w.put(r.y, i, s, out.S, r.bias)
		}
	}
}

func mulPanels(p par.P, x []float32, m int, w *Weights, bias, y []float32) {
	r := rowsOf(x, m, w, bias, y)
	defer r.free()
	wide := (w.N + gemm.Panel - 1) / gemm.Panel
	par.Each(p, wide, max(1, (1<<18)/(gemm.Panel*r.kb*m)), r, (*rows).panels)
}

// panels computes panels of package gemm [lo, hi).
func (r *rows) panels(lo, hi int) {
	w, m, t, g := r.w, r.m, r.t, gemm.Best()
	blocks, size := w.blocks(), panelSize(w.K, w.Block, w.Wide)
	const most = 192 // k whose products one sum takes
	some := max(1, most/w.Block)
	tiles := (m + g.MR32 - 1) / g.MR32
	step := (m + tiles - 1) / tiles
	buf := gemm.Borrow[float32](some * w.Block * gemm.Panel)
	defer buf.Return()
	clear(buf.S) // columns that no panel writes
	for s := lo; s < hi; s++ {
		j := s * gemm.Panel
		cols := min(gemm.Panel, w.N-j)
		if r.bias != nil {
			for i := range m {
				copy(r.y[i*w.N+j:][:cols], r.bias[j:])
			}
		}
		for q := 0; q < blocks; q += some {
			n := min(some, blocks-q)
			for h := 0; h*Width < cols; h++ {
				panel := 2*s + h
				kind, zeros := w.zeros(panel, q)
				data := w.Data[panel*size+q*(size/blocks):][:n*(size/blocks)]
				t.expand[w.wide()][kind](n, w.Block/4, unsafe.Pointer(&data[0]), zeros, unsafe.Pointer(&w.Scales[(panel*blocks+q)*Width]), w.zero(), unsafe.Pointer(&buf.S[h*Width]))
			}
			for k := 0; k < n*w.Block; k += most {
				kc := min(most, n*w.Block-k)
				for i := 0; i < m; i += step {
					g.Tile32(min(step, m-i), kc, unsafe.Pointer(&r.x[i*r.kb+q*w.Block+k]), r.kb, unsafe.Pointer(&buf.S[k*gemm.Panel]), gemm.Panel, unsafe.Pointer(&r.y[i*w.N+j]), w.N, cols, r.bias != nil || q > 0 || k > 0)
				}
			}
		}
	}
}
