package conv

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// placed reports whether byPlaces computes g: channels are the rows of its products,
// and what a tap sees of one line of some images is a piece.
func (g *weightGrad[T]) placed() bool {
	last := len(g.Out) - 1
	return g.taps > 1 && g.cg >= 16 && g.Out[last]*g.images() >= 64
}

// images is how many images are taken at a time: some thousand positions.
func (g *weightGrad[T]) images() int {
	const positions = 2048
	return min(g.N, max(1, positions/g.out))
}

// byPlaces is WeightGrad by products of matrices without their columns: with the
// images innermost, [c, position, image], what a tap sees are stretches of the rows of
// X, and of Y the same positions. What a tap sees of padding is left out, which is half
// of all products for images of 2x2. Of a stride along the last dimension, the columns
// of X that it visits are made neighbours.
func (g *weightGrad[T]) byPlaces(p par.P) {
	images, panels := g.images(), gemm.Panels(g.mg)
	once := images == g.N
	lda := padded[T](g.in * images)
	x, packed := gemm.Borrow[T](g.C*lda), gemm.Borrow[T](g.Group*gemm.PackedLen(g.out*images, g.mg))
	defer x.Return()
	defer packed.Return()
	var sums gemm.Buffer[T]
	if !once {
		sums = gemm.Borrow[T](g.Group * panels * g.k * gemm.Panel)
		defer sums.Return()
	}
	const cache, tasks = 1 << 18, 16
	rows := min(max(cache/(lda*int(unsafe.Sizeof(*new(T)))), 32), max((g.cg*panels*g.Group+tasks-1)/tasks, 16), g.cg)
	parts := (g.cg + rows - 1) / rows
	rows = (g.cg + parts - 1) / parts
	for n0 := 0; n0 < g.N; n0 += images {
		n := min(images, g.N-n0)
		q := n * g.out
		p.For(g.C, max(1, (1<<14)/max(1, g.in*n)), func(lo, hi int) {
			for c := lo; c < hi; c++ {
				g.places(x.S[c*lda:], g.X[(n0*g.C+c)*g.in:], n)
			}
		})
		p.For(g.Group*panels, max(1, (1<<15)/(q*gemm.Panel)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				gr, j := i/panels, i%panels
				w := min(gemm.Panel, g.mg-j*gemm.Panel)
				for b := range n {
					Transpose(packed.S[(i*q+b)*gemm.Panel:], g.Y[((n0+b)*g.M+gr*g.mg+j*gemm.Panel)*g.out:], g.out, w, n*gemm.Panel, g.out)
				}
			}
		})
		pieces := g.pieces(n)
		p.For(g.Group*panels*parts, 1, func(lo, hi int) {
			room := 0
			if once {
				room = rows * g.taps * gemm.Panel
			}
			gemm.Scratch(room, func(tmp []T) {
				for i := lo; i < hi; i++ {
					gj, c0 := i/parts, i%parts*rows
					gr, j := gj/panels, gj%panels*gemm.Panel
					m, w := min(rows, g.cg-c0), min(gemm.Panel, g.mg-j)
					sum := tmp
					if !once {
						sum = sums.S[(gj*g.k+c0*g.taps)*gemm.Panel:]
					}
					for t, l := range pieces {
						gemm.Pieces(g.table(), sum[t*gemm.Panel:], g.taps*gemm.Panel, m, w, x.S[(gr*g.cg+c0)*lda:], lda, packed.S[gj*q*gemm.Panel:], l, n0 > 0)
					}
					if n0+n == g.N {
						Transpose(g.W[(gr*g.mg+j)*g.k+c0*g.taps:], sum, w, m*g.taps, g.k, gemm.Panel)
					}
				}
			})
		})
	}
}

func (g *weightGrad[T]) table() *gemm.Table {
	if g.Gemm == nil {
		return gemm.Best()
	}
	return g.Gemm
}

// places sets dst [positions, n] to a plane of n images; where the last dimension has a
// stride s, column x of a line comes to x%s·⌈width/s⌉ + x/s, as far as there are such.
func (g *weightGrad[T]) places(dst, src []T, n int) {
	last := len(g.In) - 1
	s, iw := g.Strides[last], g.In[last]
	if s == 1 {
		Transpose(dst, src, g.in, n, n, g.C*g.in)
		return
	}
	for r := range g.in / max(iw, 1) {
		for x := range iw {
			d := dst[(r*iw+column(x, s, iw))*n:][:n]
			for b := range d {
				d[b] = src[b*g.C*g.in+r*iw+x]
			}
		}
	}
}

// column is where column x of a line of width columns comes when those that a stride s
// visits are neighbours: first those of remainder 0, then of 1….
func column(x, s, width int) int {
	rest := x % s
	return rest*(width/s) + min(rest, width%s) + x/s
}

// pieces lists for each tap what it sees of n images.
func (g *weightGrad[T]) pieces(n int) [][]gemm.Piece {
	last := len(g.In) - 1
	iw, ow, s := g.In[last], g.Out[last], g.Strides[last]
	all := make([][]gemm.Piece, g.taps)
	tap, pos := make([]int, last+1), make([]int, last+1)
	for t := range all {
		if at, lo, hi := g.sees(tap); lo < hi {
			clear(pos)
			for r := range g.out / ow {
				if row, ok := g.row(pos, tap); ok {
					p := gemm.Piece{A: (row*iw + column(at+lo*s, s, iw)) * n, B: (r*ow + lo) * n, K: (hi - lo) * n}
					if l := all[t]; len(l) > 0 && l[len(l)-1].A+l[len(l)-1].K == p.A && l[len(l)-1].B+l[len(l)-1].K == p.B {
						l[len(l)-1].K += p.K
					} else {
						all[t] = append(l, p)
					}
				}
				advance(pos[:last], g.Out[:last])
			}
		}
		advance(tap, g.Kernel)
	}
	return all
}
