package nhwc

import (
	"runtime"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Winograd's convolution F(4x4, 3x3): squares of 6x6 pixels are multiplied by a
// matrix from both sides, then element by element with kernels that have been
// treated alike (for all channels at once: 36 products of matrices), and
// another matrix turns the sums into 4x4 pixels. It takes a quarter of the
// multiplications. The matrices follow from the points 0, ±3/4, ±3/2 and
// infinity: with them errors are about twice those of the sums as they are
// written, against five times with the usual 0, ±1, ±2; every constant but
// those of the kernels is exact.
const (
	pointA = 0.75
	pointB = 1.5
)

type constants [7][16]float32

func constantsOf(v ...float64) *constants {
	c := new(constants)
	for i, x := range v {
		for j := range c[i] {
			c[i][j] = float32(x)
		}
	}
	return c
}

const (
	a2, b2 = pointA * pointA, pointB * pointB
	normA  = 2 * a2 * (a2 - b2)
	normB  = 2 * b2 * (b2 - a2)
)

var (
	inConstants     = constantsOf(a2*b2, -(a2 + b2), -b2, -a2, pointA, pointB)
	outConstants    = constantsOf(pointA, pointB, a2, b2, a2*pointA, b2*pointB)
	weightConstants = constantsOf(1/(a2*b2), 1/normA, a2/normA, pointA/normA, 1/normB, b2/normB, pointB/normB)
)

// Winograd reports whether a convolution of this kind is better done by
// Winograd's method.
func (t *Table) Winograd(m, c, group int, w *conv.Window) bool {
	const square = 4
	const least = 16 // that the transforms take
	if len(w.Kernel) != 2 || group != 1 || c < least || m < least || c*m > 1<<17 {
		return false
	}
	tiles, pixels := 1, 1
	for i := range 2 {
		if w.Kernel[i] != 3 || w.Strides[i] != 1 || w.Dilations[i] != 1 {
			return false
		}
		n := w.Out[i]
		tiles, pixels = tiles*((n+square-1)/square), pixels*n
	}
	if tiles < 12 { // too few rows for the weights, which grow to four times their size
		return false
	}
	return tiles*(36*c*m+4000*(c+m)/16) < pixels*9*c*m*3/4
}

// PackWinograd packs the weights w[m, c, 3, 3] of a convolution for which
// Winograd is true.
func PackWinograd(t *Table, w []float32, m, c int) *Weights[float32] {
	q := &Weights[float32]{M: m, C: c, Group: 1, Kernel: []int{3, 3}}
	panels := q.panels()
	q.winograd = aligned[float32](36 * panels * c * Panel)
	const block = 16 // channels at a time: of each kernel of W a piece of a few lines
	src := new([block][9][Panel]float32)
	var tmp [36 * 16]float32
	for j := range panels {
		n := min(Panel, m-j*Panel)
		if n < Panel {
			clear(src[:])
		}
		for i0 := 0; i0 < c; i0 += block {
			channels := src[:min(block, c-i0)]
			for o := range n {
				from := w[((j*Panel+o)*c+i0)*9:][:len(channels)*9]
				for i := range channels {
					k, to := from[i*9:i*9+9], &channels[i]
					for t := range to {
						to[t][o] = k[t]
					}
				}
			}
			for i := range channels {
				t.WinWeights(unsafe.Pointer(&channels[i]), unsafe.Pointer(&q.winograd[(j*c+i0+i)*Panel]), panels*c*Panel*4, unsafe.Pointer(&tmp), unsafe.Pointer(weightConstants))
			}
		}
	}
	return q
}

// winograd is one convolution by Winograd's method.
type winograd struct {
	*Args[float32]
	shape
	c, m, panels int
	high, wide   int // tiles of an image
	lim          [2]float32
	zero         unsafe.Pointer
	block        int      // tiles that one thread does from beginning to end
	all          winBlock // if the threads share each step instead

	blocks, shareSquares, shareProducts, shareFinish func(lo, hi int)
}

var winogradPool = sync.Pool{New: func() any {
	r := new(winograd)
	r.blocks = r.doBlocks
	share := func(f func(*winBlock, *lists, int, int)) func(lo, hi int) {
		return func(lo, hi int) {
			l := listPool.Get().(*lists)
			f(&r.all, l, lo, hi)
			listPool.Put(l)
		}
	}
	r.shareSquares, r.shareProducts, r.shareFinish = share(r.squares), share(r.products), share(r.finish)
	return r
}}

// winBlock is the working memory of some tiles.
type winBlock struct {
	first, n int
	v, sums  []float32 // [36][n][c] and [36][n][m]
}

func convWinograd(p par.P, a *Args[float32], s *shape) {
	if a.Z != nil && &a.Z[0] == &a.Y[0] && a.W.M%16 != 0 { // the last channels are written twice
		z := a.Scratch(len(a.Z))
		copy(z, a.Z)
		b := *a
		b.Z = z
		a = &b
	}
	r := winogradPool.Get().(*winograd)
	r.Args, r.shape, r.c, r.m, r.panels, r.high, r.wide, r.lim = a, *s, a.W.C, a.W.M, a.W.panels(), (s.out[1]+3)/4, (s.out[2]+3)/4, unlimited
	if a.Clamp {
		r.lim = [2]float32{a.Lo, a.Hi}
	}
	r.zero = zeros(max(r.c, r.m) * 4)
	tiles := r.tiles()
	each := 36 * (r.c + r.m)
	// A block's squares and sums should stay in the second-level cache.
	const cache, enough = 160 << 10, 12
	block := min(max(cache/each, 6), 36)
	if blocks := (tiles + block - 1) / block; blocks >= enough {
		r.block = (tiles + blocks - 1) / blocks
		p.For(blocks, 1, r.blocks)
	} else { // few tiles: the threads share each step
		buf := a.Scratch(tiles * each)
		r.all = winBlock{0, tiles, buf[:36*tiles*r.c], buf[36*tiles*r.c:]}
		p.For(tiles, max(1, 1024/r.c), r.shareSquares)
		p.For(36*r.panels, max(1, (1<<18)/(tiles*Panel*r.c)), r.shareProducts)
		p.For(tiles, max(1, 1024/r.m), r.shareFinish)
		r.all = winBlock{}
	}
	runtime.KeepAlive(r)
	r.Args, r.zero = nil, nil
	winogradPool.Put(r)
}

func (r *winograd) tiles() int { return r.N * r.high * r.wide }

// doBlocks computes blocks [lo, hi) of tiles.
func (r *winograd) doBlocks(lo, hi int) {
	each := 36 * (r.c + r.m)
	l := listPool.Get().(*lists)
	if len(l.floats) < r.block*each {
		l.floats = make([]float32, r.block*each)
	}
	for i := lo; i < hi; i++ {
		n := min(r.block, r.tiles()-i*r.block)
		if n <= 0 {
			break
		}
		b := winBlock{i * r.block, n, l.floats[:36*n*r.c], l.floats[36*n*r.c : n*each]}
		r.squares(&b, l, 0, n)
		r.products(&b, l, 0, 36*r.panels)
		r.finish(&b, l, 0, n)
	}
	listPool.Put(l)
}

// place returns the image of tile i and where it begins in the output.
func (r *winograd) place(i int) (image, y, x int) {
	return i / (r.high * r.wide), i / r.wide % r.high * 4, i % r.wide * 4
}

// squares transforms the squares of tiles [lo, hi) of b.
func (r *winograd) squares(b *winBlock, l *lists, lo, hi int) {
	list := l.grow(36)
	x, pixel := uintptr(unsafe.Pointer(unsafe.SliceData(r.X))), uintptr(r.c*4)
	for t := lo; t < hi; t++ {
		image, oy, ox := r.place(b.first + t)
		for i := range 6 {
			y := oy + i - r.before[1]
			row := (image*r.in[1] + y) * r.in[2]
			for j := range 6 {
				col := ox + j - r.before[2]
				p := uintptr(r.zero)
				if uint(y) < uint(r.in[1]) && uint(col) < uint(r.in[2]) {
					p = x + uintptr(row+col)*pixel
				}
				list[i*6+j] = p
			}
		}
		r.Table.WinIn(r.c, unsafe.Pointer(&list[0]), unsafe.Pointer(&b.v[t*r.c]), b.n*r.c*4, unsafe.Pointer(&l.tmp), unsafe.Pointer(inConstants))
	}
}

// products multiplies: of all squares' element i/panels, panel i%panels of the
// sums, for i in [lo, hi).
func (r *winograd) products(b *winBlock, l *lists, lo, hi int) {
	n := b.n
	list := l.grow(2 * n)
	for t := range n {
		list[t], list[n+t] = uintptr(unsafe.Pointer(&b.v[t*r.c])), uintptr(unsafe.Pointer(&b.sums[t*r.m]))
	}
	mr := r.Table.MR32
	tiles := (n + mr - 1) / mr
	step := (n + tiles - 1) / tiles
	parts := (r.c + kBlock - 1) / kBlock
	size := ((r.c+parts-1)/parts + 3) &^ 3
	for i := lo; i < hi; i++ {
		e, j := i/r.panels, i%r.panels
		w := min(Panel, r.m-j*Panel)
		for k := 0; k < r.c; k += size {
			mode := 0
			if k > 0 {
				mode = addC
			}
			b, size := unsafe.Pointer(&r.W.winograd[(i*r.c+k)*Panel]), min(size, r.c-k)
			for t := 0; t < n; t += step {
				next := r.Table.next(t/step, tiles, uintptr(b), uintptr(b)+uintptr(size*Panel*4), size*Panel*4)
				r.Table.Tile32(min(step, n-t), w, 1, size, unsafe.Pointer(&list[t]), 0, (e*n*r.c+k)*4,
					b, unsafe.Pointer(&list[n+t]), nil, (e*n*r.m+j*Panel)*4, nil, mode, nil, next)
			}
		}
	}
}

// finish turns the sums of tiles [lo, hi) of b into pixels.
func (r *winograd) finish(b *winBlock, l *lists, lo, hi int) {
	words := l.grow(32 + r.m)
	list, nowhere := words[:32], uintptr(unsafe.Pointer(&words[32])) // what lies outside of the image
	y, pixel := uintptr(unsafe.Pointer(unsafe.SliceData(r.Y))), uintptr(r.m*4)
	z, zs := uintptr(unsafe.Pointer(unsafe.SliceData(r.Z))), unsafe.Pointer(nil)
	if r.Z != nil {
		zs = unsafe.Pointer(&list[16])
	}
	bias := unsafe.Pointer(unsafe.SliceData(r.B))
	for t := lo; t < hi; t++ {
		image, oy, ox := r.place(b.first + t)
		for i := range 4 {
			row := (image*r.out[1] + oy + i) * r.out[2]
			for j := range 4 {
				list[i*4+j], list[16+i*4+j] = nowhere, uintptr(r.zero)
				if oy+i < r.out[1] && ox+j < r.out[2] {
					at := uintptr(row+ox+j) * pixel
					list[i*4+j], list[16+i*4+j] = y+at, z+at
				}
			}
		}
		r.Table.WinOut(r.m, unsafe.Pointer(&b.sums[t*r.m]), b.n*r.m*4, unsafe.Pointer(&list[0]), zs, bias, unsafe.Pointer(&r.lim), unsafe.Pointer(&l.tmp), unsafe.Pointer(outConstants))
		if r.Act == nil {
			continue
		}
		for i := range min(4, r.out[1]-oy) {
			at := ((image*r.out[1]+oy+i)*r.out[2] + ox) * r.m
			r.Act(r.Y[at : at+min(4, r.out[2]-ox)*r.m])
		}
	}
}

func winInGo(c int, list, v unsafe.Pointer, vStep int, _, consts unsafe.Pointer) {
	k := (*constants)(consts)
	transform := func(x *[6]float32) [6]float32 {
		even, odd := [2]float32{x[4] + k[2][0]*x[2], x[4] + k[3][0]*x[2]}, [2]float32{x[3] + k[2][0]*x[1], x[3] + k[3][0]*x[1]}
		return [6]float32{
			x[4] + k[0][0]*x[0] + k[1][0]*x[2],
			even[0] + k[4][0]*odd[0], even[0] - k[4][0]*odd[0],
			even[1] + k[5][0]*odd[1], even[1] - k[5][0]*odd[1],
			x[5] + k[0][0]*x[1] + k[1][0]*x[3],
		}
	}
	for ch := range c {
		var t [6][6]float32
		for j := range 6 {
			var x [6]float32
			for i := range 6 {
				x[i] = *(*float32)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(list, (i*6+j)*ptrSize)), ch*4))
			}
			for i, e := range transform(&x) {
				t[i][j] = e
			}
		}
		for i := range 6 {
			for j, e := range transform(&t[i]) {
				*(*float32)(unsafe.Add(v, (i*6+j)*vStep+ch*4)) = e
			}
		}
	}
}

func winOutGo(c int, m unsafe.Pointer, mStep int, out, z, bias, lim, _, consts unsafe.Pointer) {
	k, l := (*constants)(consts), (*[2]float32)(lim)
	transform := func(x *[6]float32) [4]float32 {
		s1, d1, s2, d2 := x[1]+x[2], x[1]-x[2], x[3]+x[4], x[3]-x[4]
		return [4]float32{x[0] + s1 + s2, k[0][0]*d1 + k[1][0]*d2, k[2][0]*s1 + k[3][0]*s2, x[5] + k[4][0]*d1 + k[5][0]*d2}
	}
	for ch := range c {
		var t [4][6]float32
		for j := range 6 {
			var x [6]float32
			for i := range 6 {
				x[i] = *(*float32)(unsafe.Add(m, (i*6+j)*mStep+ch*4))
			}
			for i, e := range transform(&x) {
				t[i][j] = e
			}
		}
		for i := range 4 {
			for j, e := range transform(&t[i]) {
				if bias != nil {
					e += *(*float32)(unsafe.Add(bias, ch*4))
				}
				if z != nil {
					e += *(*float32)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(z, (i*4+j)*ptrSize)), ch*4))
				}
				*(*float32)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(out, (i*4+j)*ptrSize)), ch*4)) = min(max(e, l[0]), l[1])
			}
		}
	}
}

func winWeightsGo(src, dst unsafe.Pointer, step int, _, consts unsafe.Pointer) {
	k := (*constants)(consts)
	transform := func(x *[3]float32) [6]float32 {
		a, b := k[1][0]*x[0]+k[2][0]*x[2], k[4][0]*x[0]+k[5][0]*x[2]
		return [6]float32{k[0][0] * x[0], a + k[3][0]*x[1], a - k[3][0]*x[1], b + k[6][0]*x[1], b - k[6][0]*x[1], x[2]}
	}
	g := (*[9][Panel]float32)(src)
	for o := range Panel {
		var t [6][3]float32
		for j := range 3 {
			for i, e := range transform(&[3]float32{g[j][o], g[3+j][o], g[6+j][o]}) {
				t[i][j] = e
			}
		}
		for i := range 6 {
			for j, e := range transform(&t[i]) {
				*(*float32)(unsafe.Add(dst, (i*6+j)*step+o*4)) = e
			}
		}
	}
}
