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
type planed interface{ float32 | float64 | uint8 }

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
	none T                                  // what an empty window gives
	join func(acc, x []T, rows, stride int) // joins rows of x that begin stride elements apart to acc
	mul  func(dst, a, b []T)                // of means
}

// planesKernel pools x, of which images are the first dimensions.
type planesKernel func(c *Call, w *conv.Window, images, lanes int, counts [][]int, x, y *tensor.Tensor)

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
		par.Run(c.P, images*m.blocks, max(1, (1<<15)*m.blocks/(in+out)), m)
	}
}

// planePanel is about how many elements are pooled at once.
const planePanel = 1 << 12

func maxPlanes32() planesKernel {
	return planesOf[float32]{none: float32(math.Inf(-1)), join: vec.Best().MaxColumns}.kernel()
}

func meanPlanes32() planesKernel {
	t := vec.Best()
	return planesOf[float32]{join: t.AddColumns, mul: t.Mul}.kernel()
}

func maxPlanes64() planesKernel {
	return planesOf[float64]{none: math.Inf(-1), join: columns64(vec.Best().Float64[vec.Max].VV, func(x, y float64) float64 { return max(x, y) })}.kernel()
}

func meanPlanes64() planesKernel {
	t := vec.Best()
	mul := columns64(t.Float64[vec.Mul].VV, func(x, y float64) float64 { return x * y })
	return planesOf[float64]{
		join: columns64(t.Float64[vec.Add].VV, func(x, y float64) float64 { return x + y }),
		mul:  func(dst, _, b []float64) { mul(dst, b, 1, 0) },
	}.kernel()
}

// columns64 joins rows by fast, or by slow where that is nil.
func columns64(fast func(dst, a, b unsafe.Pointer, n, rows, sa, sb int), slow func(x, y float64) float64) func(acc, x []float64, rows, stride int) {
	return func(acc, x []float64, rows, stride int) {
		if len(acc) == 0 {
			return
		}
		for r := range rows {
			row := x[r*stride:][:len(acc)]
			if fast != nil {
				fast(unsafe.Pointer(&acc[0]), unsafe.Pointer(&acc[0]), unsafe.Pointer(&row[0]), len(acc), 1, 0, 0)
				continue
			}
			for i, v := range row {
				acc[i] = slow(acc[i], v)
			}
		}
	}
}

func maxPlanes8(signed bool) planesKernel {
	none := uint8(0)
	if signed {
		none = 0x80
	}
	return planesOf[uint8]{none: none, join: nhwc.MaxColumns(signed)}.kernel()
}

// planeBuffers is the working memory of planes.
type planeBuffers[T planed] struct {
	image  [2][]T // what the dimensions so far have left
	line   []T    // rows between their padding
	phases []T    // line by columns of stride elements
	wide   []T    // windows one element apart
	scales []T    // what the sums of a row are multiplied by
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
	w, last, scaled := m.w, len(m.w.In)-1, 0
	if last == 0 && m.blocks == 1 {
		y := m.y[lo*m.out : hi*m.out]
		m.last(b, y, m.x[lo*m.in:hi*m.in], hi-lo, 0, w.Out[0])
		m.scale(b, y, 0, 0, w.Out[0], &scaled)
		return
	}
	for ; lo < hi; lo++ {
		image, first := lo/m.blocks, lo%m.blocks*m.per
		n := min(m.per, w.Out[0]-first)
		row := m.out / w.Out[0]
		src, y := m.x[image*m.in:][:m.in], m.y[image*m.out+first*row:][:n*row]
		if last == 0 {
			m.last(b, y, src, 1, first, n)
			b.scales = b.scales[:0]
			m.scale(b, y, 0, first, n, &scaled)
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
			m.rows(dst, src, d, outer, inner, at, out)
			src, outer = dst, outer*out
		}
		m.last(b, y, src, outer, 0, w.Out[last])
		m.scale(b, y, first*(outer/n), 0, w.Out[last], &scaled)
	}
}

func lengthened[T planed](s *[]T, n int) []T {
	*s = slices.Grow((*s)[:0], n)[:n]
	return *s
}

// rows pools along dimension d, whose elements are rows of inner elements, the out positions from first on.
func (m *planes[T]) rows(dst, src []T, d, outer, inner, first, out int) {
	n, stride, dilation, kernel := m.w.In[d], m.w.Strides[d], m.w.Dilations[d], m.w.Kernel[d]
	before := m.w.Before[d] - first*stride
	for o := range outer {
		from, to := src[o*n*inner:][:n*inner], dst[o*out*inner:][:out*inner]
		if stride == 1 && inner < callRow {
			m.tapped(to, from, d, inner, before, out)
			continue
		}
		for i := range out {
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
			copy(row, from[at*inner:])
			if more := min(kernel-k-1, (n-1-at)/dilation); more > 0 {
				m.join(row, from[(at+dilation)*inner:], more, dilation*inner)
			}
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

// tapped is rows for windows one row apart: each row of the kernel is joined for all of them at once.
func (m *planes[T]) tapped(dst, src []T, d, inner, before, out int) {
	n, dilation := m.w.In[d], m.w.Dilations[d]
	begun := -1 // the row of the kernel that all windows see, if there is one
	for k := range m.w.Kernel[d] {
		if off := k*dilation - before; off >= 0 && off+out <= n {
			begun = k
			copy(dst, src[off*inner:])
			break
		}
	}
	if begun < 0 {
		m.fill(dst)
	}
	for k := range m.w.Kernel[d] {
		off := k*dilation - before
		lo, hi := max(0, -off), min(out, n-off)
		if k == begun || lo >= hi {
			continue
		}
		m.join(dst[lo*inner:hi*inner], src[(lo+off)*inner:], 1, 0)
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
				copy(y, l)
				if kernel > 1 {
					m.join(y, l[dilation*lanes:], kernel-1, dilation*lanes)
				}
			}
		case phased:
			m.phased(b, dst, all, per, out)
		default:
			wide := all[:len(all)-reach]
			if kernel > 1 {
				wide = lengthened(&b.wide, len(wide))
				copy(wide, all)
				m.join(wide, all[dilation*lanes:], kernel-1, dilation*lanes)
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
	period := stride / gcd(stride, dilation) // taps of the same phase are that far apart
	for k := range min(period, kernel) {
		at, taps, step := k*dilation%stride*n+k*dilation/stride, (kernel-k+period-1)/period, dilation*period/stride
		if k == 0 {
			copy(wide, phases[at:])
			at, taps = at+step, taps-1
		}
		if taps > 0 {
			m.join(wide, phases[at:], taps, step)
		}
	}
	for r := range rows {
		copy(dst[r*out:][:out], wide[r*(n/rows):])
	}
}

// scale makes means of sums: y are whole rows of the output, or the out columns from at on of a single
// dimension. *scaled is what b.scales are for, if there are any.
func (m *planes[T]) scale(b *planeBuffers[T], y []T, row, at, out int, scaled *int) {
	if m.counts == nil {
		return
	}
	last := len(m.w.In) - 1
	n := out * m.lanes
	for ; len(y) > 0; y, row = y[n:], row+1 {
		outer, r := 1, row
		for d := last - 1; d >= 0; d-- {
			outer *= m.counts[d][r%m.w.Out[d]]
			r /= m.w.Out[d]
		}
		if len(b.scales) != n || *scaled != outer {
			s := lengthened(&b.scales, n)
			*scaled = outer
			seen, scale := -1, m.none
			for i, k := range m.counts[last][at : at+out] {
				if k != seen {
					if seen, scale = k, 0; outer*k > 0 {
						scale = 1 / T(outer*k)
					}
				}
				for j := range m.lanes {
					s[i*m.lanes+j] = scale
				}
			}
		}
		m.mul(y[:n], y[:n], b.scales)
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
