package conv

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/par"
)

// WeightGrad computes the gradient of the weights of a convolution from that of
// its result, which is a.Y, and writes it to a.W:
//
//	W[m,c,t] = Σ n,o Y[n,m,o] · X[n, g·C/Group+c, o·stride + t·dilation - before]
//
// with g the group of m. B, Sum and Act are not used. Images and positions are
// added in one order, whatever the number of threads.
//
// Method: the matrix product of what each tap sees with Yᵀ (im2col), Chellapilla
// et al., High Performance Convolutional Neural Networks for Document Processing,
// 2006, section 4.1.
func WeightGrad[T Float](p par.P, a *Args[T]) {
	g := newWeightGrad(a)
	if g.cg*a.Group != a.C || g.mg*a.Group != a.M || len(a.X) != a.N*a.C*g.in || len(a.W) != a.M*g.k || len(a.Y) != a.N*a.M*g.out {
		panic("conv: sizes do not fit")
	}
	switch {
	case len(a.W) == 0:
	case len(a.Y) == 0:
		clear(a.W)
	case g.mg < 4:
		g.dots(p)
	case g.placed():
		g.byPlaces(p)
	default:
		g.products(p)
	}
}

type weightGrad[T Float] struct {
	*Args[T]
	cg, mg, taps, k, in, out int
}

func newWeightGrad[T Float](a *Args[T]) *weightGrad[T] {
	g := &weightGrad[T]{Args: a, cg: a.C / a.Group, mg: a.M / a.Group, taps: product(a.Kernel), in: product(a.In), out: product(a.Out)}
	g.k = g.cg * g.taps
	return g
}

// dots is WeightGrad by dot products of rows, for few output channels of a
// group: a depthwise convolution.
func (g *weightGrad[T]) dots(p par.P) {
	p.For(g.M*g.cg, max(1, (1<<16)/max(1, g.N*g.out*g.taps)), func(lo, hi int) {
		d := len(g.In)
		tap, pos := make([]int, d), make([]int, d)
		for i := lo; i < hi; i++ {
			m, c := i/g.cg, i%g.cg
			clear(tap)
			for t := range g.taps {
				var sum T
				for n := range g.N {
					sum += g.dot(g.Y[(n*g.M+m)*g.out:][:g.out], g.X[(n*g.C+m/g.mg*g.cg+c)*g.in:][:g.in], tap, pos)
				}
				g.W[i*g.taps+t] = sum
				advance(tap, g.Kernel)
			}
		}
	})
}

// sees returns the positions [lo, hi) at which a tap sees the image along the last
// dimension: position i sees element at + i·stride.
func (w *Window) sees(tap []int) (at, lo, hi int) {
	last := len(w.In) - 1
	stride := w.Strides[last]
	at = tap[last]*w.Dilations[last] - w.Before[last]
	// at+i*stride must be in [0, In).
	if at < 0 {
		lo = (-at + stride - 1) / stride
	}
	if m := w.In[last] - 1 - at; m >= 0 {
		hi = min(w.Out[last], m/stride+1)
	}
	return at, lo, hi
}

// dot returns the product of y with what tap sees of one plane.
func (g *weightGrad[T]) dot(y, plane []T, tap, pos []int) T {
	last := len(g.In) - 1
	ow, iw, stride := g.Out[last], g.In[last], g.Strides[last]
	at, lo, hi := g.sees(tap)
	var sum T
	if lo >= hi {
		return 0
	}
	clear(pos)
	for r := range g.out / ow {
		if row, ok := g.row(pos, tap); ok {
			u, v := y[r*ow+lo:r*ow+hi], plane[row*iw+at+lo*stride:row*iw+at+(hi-1)*stride+1]
			if stride == 1 {
				v = v[:len(u)]
				var s0, s1 T
				i := 0
				for ; i+1 < len(u); i += 2 {
					s0 += u[i] * v[i]
					s1 += u[i+1] * v[i+1]
				}
				if i < len(u) {
					s0 += u[i] * v[i]
				}
				sum += s0 + s1
			} else {
				x := 0
				for _, e := range u {
					sum += e * v[x]
					x += stride
				}
			}
		}
		advance(pos[:last], g.Out[:last])
	}
	return sum
}

// products is WeightGrad by products of matrices. The images are taken in blocks
// of some thousand positions. Within a block, Yᵀ is packed once; each task
// gathers some rows of the columns matrix, a row for each channel and tap, and
// multiplies them. Where one block holds all images, which is so in the deep layers
// that have most of the weights, a task also writes its sums to where they belong;
// else they add up in a matrix of their own.
func (g *weightGrad[T]) products(p par.P) {
	const cache, tasks = 1 << 18, 16
	images := g.images()
	panels := gemm.Panels(g.mg)
	size := images * g.out
	ld := padded[T](size)
	rows := min(max(cache/(size*int(unsafe.Sizeof(*new(T)))), 8), max((g.k*g.Group+tasks-1)/tasks, 8), g.k)
	parts := (g.k + rows - 1) / rows
	packed := gemm.Borrow[T](g.Group * gemm.PackedLen(size, g.mg))
	defer packed.Return()
	once := images == g.N
	var sums gemm.Buffer[T]
	if !once {
		sums = gemm.Borrow[T](g.M * g.k)
		defer sums.Return()
	}
	for n0 := 0; n0 < g.N; n0 += images {
		n := min(images, g.N-n0)
		q := n * g.out
		p.For(g.Group*panels, max(1, (1<<15)/(q*gemm.Panel)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				gr, j := i/panels, i%panels
				w := min(gemm.Panel, g.mg-j*gemm.Panel)
				for b := range n {
					Transpose(packed.S[(i*q+b*g.out)*gemm.Panel:], g.Y[((n0+b)*g.M+gr*g.mg+j*gemm.Panel)*g.out:], g.out, w, gemm.Panel, g.out)
				}
			}
		})
		p.For(g.Group*parts, 1, func(lo, hi int) {
			room := rows * ld
			if once {
				room += rows * g.mg
			}
			gemm.Scratch(room, func(cols []T) {
				d := len(g.In)
				tap, pos := make([]int, d), make([]int, d)
				for i := lo; i < hi; i++ {
					gr, k0 := i/parts, i%parts*rows
					k1 := min(k0+rows, g.k)
					for k := k0; k < k1; k++ {
						seek(tap, g.Kernel, k%g.taps)
						for b := range n {
							plane := g.X[((n0+b)*g.C+gr*g.cg+k/g.taps)*g.in:][:g.in]
							gather(&g.Window, cols[(k-k0)*ld+b*g.out:][:g.out], plane, tap, pos)
						}
					}
					x := gemm.Args[T]{M: k1 - k0, N: g.mg, K: q, A: cols, ARS: ld, ACS: 1,
						Packed: &gemm.Packed[T]{K: q, N: g.mg, Data: packed.S[gr*panels*q*gemm.Panel:][:panels*q*gemm.Panel]},
						LDC:    g.mg, Table: g.Gemm}
					if once {
						x.C = cols[rows*ld:]
					} else {
						x.C, x.Acc = sums.S[(gr*g.k+k0)*g.mg:], n0 > 0
					}
					gemm.Run(par.P{Ctx: p.Ctx}, &x)
					if once {
						Transpose(g.W[gr*g.mg*g.k+k0:], x.C, g.mg, k1-k0, g.k, g.mg)
					}
				}
			})
		})
	}
	if once {
		return
	}
	const strip = 32
	strips := (g.mg + strip - 1) / strip
	p.For(g.Group*strips, max(1, (1<<15)/(g.k*strip)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			gr, m := i/strips, i%strips*strip
			Transpose(g.W[(gr*g.mg+m)*g.k:], sums.S[gr*g.k*g.mg+m:], min(strip, g.mg-m), g.k, g.k, g.mg)
		}
	})
}

// padded is the stride of rows of n elements that do not fall into the same places of the cache.
func padded[T Float](n int) int {
	const line = 64
	return n + line/int(unsafe.Sizeof(*new(T)))
}

// Transpose sets dst[i·ds+j] = src[j·ss+i] for i < rows and j < cols.
func Transpose[T Float](dst, src []T, rows, cols, ds, ss int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	if d, ok := any(dst).([]float32); ok {
		s := any(src).([]float32)
		move.Transpose(unsafe.Slice((*uint32)(unsafe.Pointer(&d[0])), len(d)), unsafe.Slice((*uint32)(unsafe.Pointer(&s[0])), len(s)), rows, cols, ds, ss)
		return
	}
	for j := range cols {
		for i, v := range src[j*ss : j*ss+rows] {
			dst[i*ds+j] = v
		}
	}
}

// Columns sets cols [taps, positions] to what each tap of w sees of an image: the
// transpose of Scatter.
func Columns[T Float](w *Window, cols, image []T) {
	tap, pos := make([]int, len(w.In)), make([]int, len(w.In))
	positions := product(w.Out)
	for t := range product(w.Kernel) {
		gather(w, cols[t*positions:(t+1)*positions], image, tap, pos)
		advance(tap, w.Kernel)
	}
}

// gather sets dst, one element for each position, to what tap sees of a plane.
func gather[T Float](w *Window, dst, plane []T, tap, pos []int) {
	last := len(w.In) - 1
	ow, iw, stride := w.Out[last], w.In[last], w.Strides[last]
	at, lo, hi := w.sees(tap)
	if lo >= hi {
		clear(dst)
		return
	}
	if last > 0 && stride == 1 && ow == iw && w.Strides[last-1] == 1 {
		gatherPlanes(w, dst, plane, tap, pos, at, lo, hi)
		return
	}
	clear(pos)
	for r := range len(dst) / ow {
		line := dst[r*ow : (r+1)*ow]
		row, ok := w.row(pos, tap)
		if !ok {
			clear(line)
		} else {
			clear(line[:lo])
			src := plane[row*iw+at+lo*stride : row*iw+at+(hi-1)*stride+1]
			if stride == 1 {
				copy(line[lo:hi], src)
			} else {
				x := 0
				for i := lo; i < hi; i++ {
					line[i] = src[x]
					x += stride
				}
			}
			clear(line[hi:])
		}
		advance(pos[:last], w.Out[:last])
	}
}

// gatherPlanes is gather where the last two dimensions have no stride and the
// last one keeps its size: rows of the result lie as those of the image do, so
// they are copied together and what is beyond the edges is cleared.
func gatherPlanes[T Float](w *Window, dst, plane []T, tap, pos []int, at, lo, hi int) {
	last := len(w.In) - 1
	ow, oh, ih := w.Out[last], w.Out[last-1], w.In[last-1]
	off := tap[last-1]*w.Dilations[last-1] - w.Before[last-1]
	y0 := min(max(0, -off), oh)
	y1 := max(min(oh, ih-off), y0)
	clear(pos)
	for o := range len(dst) / (oh * ow) {
		part := dst[o*oh*ow : (o+1)*oh*ow]
		image, ok := 0, true
		for i := range last - 1 {
			y := pos[i]*w.Strides[i] - w.Before[i] + tap[i]*w.Dilations[i]
			ok = ok && y >= 0 && y < w.In[i]
			image = image*w.In[i] + y
		}
		if !ok || y0 == y1 {
			clear(part)
		} else {
			clear(part[:y0*ow])
			clear(part[y1*ow:])
			copy(part[y0*ow+lo:(y1-1)*ow+hi], plane[(image*ih+y0+off)*ow+at+lo:])
			if lo > 0 || hi < ow {
				for y := y0; y < y1; y++ {
					clear(part[y*ow : y*ow+lo])
					clear(part[y*ow+hi : (y+1)*ow])
				}
			}
		}
		advance(pos[:last-1], w.Out[:last-1])
	}
}
