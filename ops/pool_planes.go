package ops

import (
	"math"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/kernels/nhwc"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// planed is an element type that pooling goes by planes for.
type planed interface{ float32 | uint8 }

// planes pools images one dimension after the other: the largest of a box is the largest of its columns'
// largest ones, and its sum the sum of their sums. So whole rows are joined at once.
type planes[T planed] struct {
	planesOf[T]
	w       *conv.Window
	x, y    []T
	in, out int     // elements of an image
	lanes   int     // elements side by side that are pooled apart: the channels where they are last
	per     int     // positions of the first dimension that are pooled at once
	blocks  int     // of an image, of per positions each
	counts  [][]int // what means divide by, for each dimension and position
}

// planesOf is what a kind of pooling does with elements.
type planesOf[T planed] struct {
	none T                            // what an empty window gives
	join func(dst, x []T, rows []int) // dst[i] is made of x[r+i] for all r of rows
	mul  func(dst, a, b []T)          // of means
}

// planesKernel pools x, of which images are the first dimensions.
type planesKernel func(c *Call, w *conv.Window, images, lanes int, counts [][]int, x, y *tensor.Tensor)

// Not inlined: each use would have a copy of the function literal.
//
//go:noinline
func (k planesOf[T]) kernel() planesKernel {
	return func(c *Call, w *conv.Window, images, lanes int, counts [][]int, x, y *tensor.Tensor) {
		in, out, from, to := sizeOf(w.In)*lanes, sizeOf(w.Out)*lanes, vectorOf(x), vectorOf(y)
		m := planes[T]{planesOf: k, w: w, x: unsafe.Slice((*T)(from.p), from.n), y: unsafe.Slice((*T)(to.p), to.n), in: in, out: out, lanes: lanes, counts: counts}
		row := max(in/w.In[0], out/w.Out[0])
		if len(w.In) == 1 {
			row *= min(w.Strides[0], planePanel)
		}
		m.per = max(1, planePanel/row)
		m.blocks = (w.Out[0] + m.per - 1) / m.per
		par.Run(c.P, images*m.blocks, max(1, (1<<15)*m.blocks/(in+out)), par.With(m))
	}
}

// planePanel is about how many elements are pooled at once.
const planePanel = 1 << 12

func maxPlanes32() planesKernel {
	return planesOf[float32]{none: float32(math.Inf(-1)), join: nhwc.MaxRows}.kernel()
}

func meanPlanes32() planesKernel {
	return planesOf[float32]{join: nhwc.SumRows, mul: vec.Best().Mul}.kernel()
}

func maxPlanes8(signed bool) planesKernel {
	if signed {
		return planesOf[uint8]{none: 0x80, join: nhwc.MaxInt8Rows}.kernel()
	}
	return planesOf[uint8]{join: nhwc.MaxUint8Rows}.kernel()
}

// planeBuffers is the working memory of planes.
type planeBuffers[T planed] struct {
	image  [2][]T // what the dimensions so far have left
	line   []T    // rows between their padding
	phases []T    // line by columns of stride elements
	wide   []T    // windows one element apart
	at     []int  // where rows that are joined begin
	scales []T    // what the sums of a row are multiplied by
	scaled int    // the product of the other dimensions' counts, of scales
	first  int    // the column that scales begin with
	full   bool   // scales are of columns that see whole windows
}

// separates reports whether planes is good for w: windows are not much larger than images.
func separates(w *conv.Window) bool {
	for i, in := range w.In {
		reach := (w.Out[i]-1)*w.Strides[i] + (w.Kernel[i]-1)*w.Dilations[i]
		if in == 0 || w.Out[i] == 0 || w.Kernel[i] > 1<<10 || w.Strides[i] > in+1 || w.Before[i] > 2*in+1 || reach > 8*in+8 {
			return false
		}
	}
	return true
}

// sums reports whether float32 is good for the sums of w: those of a dimension go on in it.
func sums(w *conv.Window) bool {
	n := 0
	for _, k := range w.Kernel {
		n += k
	}
	return n <= longPlaneSum
}

// longPlaneSum is how many additions one after the other are too many for a sum in float32.
const longPlaneSum = 64

func (m *planes[T]) Chunk(lo, hi int) {
	b, pool := borrow[planeBuffers[T]]()
	defer pool.Put(b)
	b.scales = b.scales[:0] // of another window
	w, last := m.w, len(m.w.In)-1
	if last == 0 && m.blocks == 1 {
		y := m.y[lo*m.out : hi*m.out]
		m.last(b, y, m.x[lo*m.in:hi*m.in], hi-lo, 0, w.Out[0])
		m.scale(b, y, 0, 0, w.Out[0])
		return
	}
	for ; lo < hi; lo++ {
		image, first := lo/m.blocks, lo%m.blocks*m.per
		n := min(m.per, w.Out[0]-first)
		row := m.out / w.Out[0]
		src, y := m.x[image*m.in:][:m.in], m.y[image*m.out+first*row:][:n*row]
		if last == 0 {
			m.last(b, y, src, 1, first, n)
			m.scale(b, y, 0, first, n)
			continue
		}
		outer, inner := 1, m.in
		for d := range last {
			at, out := 0, w.Out[d]
			if d == 0 {
				at, out = first, n
			}
			inner /= w.In[d]
			dst := lengthened(&b.image[d&1], outer*out*inner)
			m.rows(b, dst, src, d, outer, inner, at, out)
			src, outer = dst, outer*out
		}
		m.last(b, y, src, outer, 0, w.Out[last])
		m.scale(b, y, first*(outer/n), 0, w.Out[last])
	}
}

func lengthened[T planed](s *[]T, n int) []T {
	*s = slices.Grow((*s)[:0], n)[:n]
	return *s
}

// taps lists where the taps of a kernel begin that are step elements apart.
func (b *planeBuffers[T]) taps(kernel, step int) []int {
	b.at = b.at[:0]
	for k := range kernel {
		b.at = append(b.at, k*step)
	}
	return b.at
}

// rows pools along dimension d, whose elements are rows of inner elements, the out positions from first on.
func (m *planes[T]) rows(b *planeBuffers[T], dst, src []T, d, outer, inner, first, out int) {
	n, stride, dilation, kernel := m.w.In[d], m.w.Strides[d], m.w.Dilations[d], m.w.Kernel[d]
	before := m.w.Before[d] - first*stride
	taps := b.taps(kernel, dilation*inner)
	// Windows one row apart that are in the image are joined all at once.
	lo, hi := max(before, 0), min(out, n+before-(kernel-1)*dilation)
	if stride > 1 || hi <= lo {
		lo, hi = 0, 0
	}
	for o := range outer {
		from, to := src[o*n*inner:][:n*inner], dst[o*out*inner:][:out*inner]
		if lo < hi {
			m.join(to[lo*inner:hi*inner], from[(lo-before)*inner:], taps)
		}
		for i := 0; i < out; i++ {
			if i == lo && lo < hi {
				if i = hi; i == out {
					break
				}
			}
			at := i*stride - before
			k := 0 // the first row of the kernel that is in the image
			if at < 0 {
				k = (-at + dilation - 1) / dilation
				at += k * dilation
			}
			row := to[i*inner:][:inner]
			if k >= kernel || at >= n {
				m.fill(row)
				continue
			}
			m.join(row, from[at*inner:], taps[:min(kernel-k, (n-1-at)/dilation+1)])
		}
	}
}

// callRow is how many elements pay for a call.
const callRow = 64

func (m *planes[T]) fill(x []T) {
	for i := range x {
		x[i] = m.none
	}
}

// last pools rows along the last dimension, the out positions from first on: side by side, each between its padding.
func (m *planes[T]) last(b *planeBuffers[T], dst, src []T, rows, first, out int) {
	d := len(m.w.In) - 1
	stride, dilation, kernel, lanes := m.w.Strides[d], m.w.Dilations[d], m.w.Kernel[d], m.lanes
	n, before := m.w.In[d]*lanes, (m.w.Before[d]-first*stride)*lanes
	reach := (kernel - 1) * dilation
	line := (out-1)*stride + 1 + reach
	phased := stride > 1 && stride <= 16 && lanes == 1 && unsafe.Sizeof(m.none) == 4
	if phased {
		line = (line + stride - 1) / stride * stride
	}
	line, reach, out = line*lanes, reach*lanes, out*lanes
	from, to := max(0, before), min(line, n+before) // where the row is
	if from >= to {
		m.fill(dst)
		return
	}
	taps := b.taps(kernel, dilation*lanes)
	per := max(1, min(rows, planePanel/line)) // of rows
	for ; rows > 0; rows -= per {
		per = min(per, rows)
		all := lengthened(&b.line, per*line)
		for r := range per {
			l := all[r*line:][:line]
			m.fill(l[:from])
			copy(l[from:to], src[r*n+from-before:])
			m.fill(l[to:])
		}
		switch {
		case stride == 1 && out >= callRow:
			for r := range per {
				y, l := dst[r*out:][:out], all[r*line:][:line]
				m.join(y, l, taps)
			}
		case phased:
			m.phased(b, dst, all, per, out)
		default:
			wide := all[:len(all)-reach]
			if kernel > 1 {
				wide = lengthened(&b.wide, len(wide))
				m.join(wide, all, taps)
			}
			for r := range per {
				y, l := dst[r*out:][:out], wide[r*line:]
				switch {
				case stride == 1:
					copy(y, l)
				case lanes == 1:
					for i := range y {
						y[i] = l[i*stride]
					}
				default:
					for ; len(y) > 0; y = y[lanes:] {
						copy(y[:lanes], l)
						if len(y) > lanes {
							l = l[stride*lanes:]
						}
					}
				}
			}
		}
		if rows > per {
			dst, src = dst[per*out:], src[per*n:]
		}
	}
}

// phased pools rows of words side by side, a multiple of the stride each: of what lies stride elements
// apart, windows see neighbours.
func (m *planes[T]) phased(b *planeBuffers[T], dst, all []T, rows, out int) {
	d := len(m.w.In) - 1
	stride, dilation, kernel := m.w.Strides[d], m.w.Dilations[d], m.w.Kernel[d]
	n := len(all) / stride // elements of a phase
	phases := lengthened(&b.phases, len(all))
	move.Transpose(unsafe.Slice((*uint32)(unsafe.Pointer(&phases[0])), len(all)), unsafe.Slice((*uint32)(unsafe.Pointer(&all[0])), len(all)), stride, n, n, stride)
	wide := lengthened(&b.wide, n-(kernel-1)*dilation/stride)
	b.at = b.at[:0]
	for k := range kernel {
		b.at = append(b.at, k*dilation%stride*n+k*dilation/stride)
	}
	m.join(wide, phases, b.at)
	for r := range rows {
		copy(dst[r*out:][:out], wide[r*(n/rows):])
	}
}

// scale makes means of sums: y are whole rows of the output, or the out columns from at on of a single
// dimension.
func (m *planes[T]) scale(b *planeBuffers[T], y []T, row, at, out int) {
	if m.counts == nil {
		return
	}
	last := len(m.w.In) - 1
	n, columns, kernel := out*m.lanes, m.counts[last][at:at+out], m.w.Kernel[last]
	full := columns[0] == kernel && columns[out-1] == kernel // and so are those between
	for ; len(y) > 0; y, row = y[n:], row+1 {
		outer, r := 1, row
		for d := last - 1; d >= 0; d-- {
			outer *= m.counts[d][r%m.w.Out[d]]
			r /= m.w.Out[d]
		}
		if len(b.scales) != n || b.scaled != outer || b.first != at && !(full && b.full) {
			m.setScales(lengthened(&b.scales, n), columns, outer)
			b.scaled, b.first, b.full = outer, at, full
		}
		m.mul(y[:n], y[:n], b.scales)
	}
}

func (m *planes[T]) setScales(s []T, columns []int, outer int) {
	seen, scale := -1, m.none
	for i, k := range columns {
		if k != seen {
			if seen, scale = k, 0; outer*k > 0 {
				scale = 1 / T(outer*k)
			}
		}
		for j := range s[i*m.lanes:][:m.lanes] {
			s[i*m.lanes+j] = scale
		}
	}
}
