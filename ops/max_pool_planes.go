package ops

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// maxPlanes takes the largest element of each window of some images, one dimension after the
// other: the largest of a box is the largest of its columns' largest ones, and whole rows are compared at once.
type maxPlanes[T float32 | uint8] struct {
	w       *conv.Window
	x, y    []T
	in, out int // elements of an image
	least   T
	larger  func(dst, a, b []T)
}

// maxPlanesKernel pools by maxPlanes. Signed bytes come as unsigned ones with a function that knows.
func maxPlanesKernel[T float32 | uint8](least T, larger func(dst, a, b []T)) func(c *Call, w *conv.Window, x, y *tensor.Tensor) {
	return func(c *Call, w *conv.Window, x, y *tensor.Tensor) {
		in, out, from, to := sizeOf(w.In), sizeOf(w.Out), vectorOf(x), vectorOf(y)
		xs, ys := unsafe.Slice((*T)(from.p), from.n), unsafe.Slice((*T)(to.p), to.n)
		par.Run(c.P, len(xs)/in, max(1, (1<<16)/(in+out)), maxPlanes[T]{w, xs, ys, in, out, least, larger})
	}
}

func largerUint8(dst, a, b []uint8) {
	zipVV(dst, a, b, func(x, y uint8) uint8 { return uint8(max(int(x), int(y))) })
}

func largerInt8(dst, a, b []uint8) {
	zipVV(dst, a, b, func(x, y uint8) uint8 { return uint8(max(int(int8(x)), int(int8(y)))) })
}

// maxBuffers is the working memory of maxPlanes.
type maxBuffers[T float32 | uint8] struct {
	image [2][]T // what the dimensions so far have left
	line  []T    // rows between their padding
	wide  []T    // the largest of windows one element apart
}

// separates reports whether maxPlanes is good for w: windows are not much larger than images.
func separates(w *conv.Window) bool {
	for i, in := range w.In {
		if w.Kernel[i] > 1<<10 || w.Dilations[i] > in+1 || w.Strides[i] > in+1 || w.Before[i] > 2*in+1 || w.Out[i] > 4*in+1 {
			return false
		}
	}
	return true
}

func (m *maxPlanes[T]) Chunk(lo, hi int) {
	b, pool := borrow[maxBuffers[T]]()
	defer pool.Put(b)
	w, last := m.w, len(m.w.In)-1
	if last == 0 {
		m.last(b, m.y[lo*m.out:hi*m.out], m.x[lo*m.in:hi*m.in], hi-lo)
		return
	}
	for p := lo; p < hi; p++ {
		src, y := m.x[p*m.in:][:m.in], m.y[p*m.out:][:m.out]
		outer, inner := 1, m.in
		for d := range last {
			inner /= w.In[d]
			dst := lengthened(&b.image[d&1], outer*w.Out[d]*inner)
			m.rows(dst, src, d, outer, inner)
			src, outer = dst, outer*w.Out[d]
		}
		m.last(b, y, src, outer)
	}
}

func lengthened[T float32 | uint8](s *[]T, n int) []T {
	*s = slices.Grow((*s)[:0], n)[:n]
	return *s
}

// rows pools along dimension d, whose elements are rows of inner elements.
func (m *maxPlanes[T]) rows(dst, src []T, d, outer, inner int) {
	n, out, stride, dilation := m.w.In[d], m.w.Out[d], m.w.Strides[d], m.w.Dilations[d]
	for o := range outer {
		from := src[o*n*inner:][:n*inner]
		if stride == 1 {
			m.tapped(dst[o*out*inner:][:out*inner], from, d, inner)
			continue
		}
		for i := range out {
			to := dst[(o*out+i)*inner:][:inner]
			var first []T
			seen, at := 0, i*stride-m.w.Before[d]
			for k := 0; k < m.w.Kernel[d] && at < n; k, at = k+1, at+dilation {
				if at < 0 {
					continue
				}
				row := from[at*inner:][:inner]
				switch seen++; seen {
				case 1:
					first = row
				case 2:
					m.larger(to, first, row)
				default:
					m.larger(to, to, row)
				}
			}
			switch seen {
			case 0:
				m.none(to)
			case 1:
				copy(to, first)
			}
		}
	}
}

func (m *maxPlanes[T]) none(x []T) {
	for i := range x {
		x[i] = m.least
	}
}

// tapped is rows for windows one row apart: each row of the kernel is compared for all of them at once.
func (m *maxPlanes[T]) tapped(dst, src []T, d, inner int) {
	n, out, before, dilation := m.w.In[d], m.w.Out[d], m.w.Before[d], m.w.Dilations[d]
	begun := -1 // the row of the kernel that all windows see, if there is one
	for k := range m.w.Kernel[d] {
		if off := k*dilation - before; off >= 0 && off+out <= n {
			begun = k
			copy(dst, src[off*inner:])
			break
		}
	}
	if begun < 0 {
		m.none(dst)
	}
	for k := range m.w.Kernel[d] {
		off := k*dilation - before
		lo, hi := max(0, -off), min(out, n-off)
		if k == begun || lo >= hi {
			continue
		}
		to := dst[lo*inner : hi*inner]
		m.larger(to, to, src[(lo+off)*inner:][:len(to)])
	}
}

// last pools rows along the last dimension: side by side, each between its padding.
func (m *maxPlanes[T]) last(b *maxBuffers[T], dst, src []T, rows int) {
	d := len(m.w.In) - 1
	n, out, stride, dilation, kernel, before := m.w.In[d], m.w.Out[d], m.w.Strides[d], m.w.Dilations[d], m.w.Kernel[d], m.w.Before[d]
	reach := (kernel - 1) * dilation
	line := (out-1)*stride + 1 + reach
	from, to := max(0, before), min(line, n+before) // where the row is
	if from >= to {
		m.none(dst)
		return
	}
	per := max(1, min(rows, maxPanel/line)) // of rows
	for ; rows > 0; rows -= per {
		per = min(per, rows)
		all := lengthened(&b.line, per*line)
		for r := range per {
			l := all[r*line:][:line]
			m.none(l[:from])
			copy(l[from:to], src[r*n+from-before:])
			m.none(l[to:])
		}
		wide := all[:len(all)-reach]
		if kernel > 1 {
			wide = lengthened(&b.wide, len(wide))
			m.larger(wide, all[:len(wide)], all[dilation:][:len(wide)])
		}
		for k := 2; k < kernel; k++ {
			m.larger(wide, wide, all[k*dilation:][:len(wide)])
		}
		for r := range per {
			y, l := dst[r*out:][:out], wide[r*line:]
			if stride == 1 {
				copy(y, l)
				continue
			}
			for i := range y {
				y[i] = l[i*stride]
			}
		}
		dst, src = dst[per*out:], src[per*n:]
	}
}

// maxPanel is about how many elements of rows are pooled side by side.
const maxPanel = 1 << 12
