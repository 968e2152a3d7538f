package qconv

import (
	"bytes"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// walk calls row for runs of positions along the last dimension of the output y
// [n, Out…, c], which see the same taps, and for blocks of width channels: of
// lists the taps, -1 for one that sees padding wherever it is. size is the bytes of
// an element of y. done, if there is one, is called for positions [from, to) of y when
// they are computed. Calls may be at once.
func walk(p par.P, n, c int, w *Window, x, y []byte, size int, of []int, width int, pad byte, row func(r *rowArgs, block int), done func(from, to int)) {
	last := len(w.In) - 1
	kw, ow, iw := w.Kernel[last], w.Out[last], w.In[last]
	stride, before, dil := w.Strides[last], w.Before[last], w.Dilations[last]
	images, image := product(w.Out[:last]), product(w.In)*c
	blocks := (c + width - 1) / width
	// Positions [x0, x1) see no padding along the last dimension.
	x0 := min(ow, (max(before, 0)+stride-1)/stride)
	x1 := x0
	if room := iw - 1 - (kw-1)*dil + before; room >= 0 {
		x1 = max(x0, min(ow, room/stride+1))
	}
	along, across := make([]int, len(of)), make([]int, len(of)) // where taps see, and of which line
	for i, t := range of {
		if t >= 0 {
			along[i], across[i] = t%kw*dil, t/kw
		}
	}
	padding := bytes.Repeat([]byte{pad}, max(1, (x1-x0)*stride+1)*c)
	p.For(n*images, max(1, (1<<16)/max(1, ow*c*len(of))), func(lo, hi int) {
		r := &rowArgs{taps: len(of), ptrs: make([]unsafe.Pointer, len(of)), xstep: stride * c, ystep: c * size}
		pos, tap := make([]int, last), make([]int, last)
		offsets := make([]int, product(w.Kernel)/kw) // of the lines that taps see; -1: padding
		at := make([]int, len(of))
		for l := lo; l < hi; l++ {
			seek(pos, w.Out[:last], l%images)
			x := x[l/images*image : (l/images+1)*image]
			for o := range offsets {
				seek(tap, w.Kernel[:last], o)
				line := 0
				for k := range last {
					q := pos[k]*w.Strides[k] - w.Before[k] + tap[k]*w.Dilations[k]
					if q < 0 || q >= w.In[k] || line < 0 {
						line = -1
						continue
					}
					line = line*w.In[k] + q
				}
				offsets[o] = line
				if line > 0 {
					offsets[o] = line * iw
				}
			}
			for p0 := 0; p0 < ow; p0 += r.n {
				r.n = 1
				if p0 == x0 && x1 > x0 {
					r.n = x1 - x0
				}
				for i, t := range of {
					at[i] = -1
					if t < 0 {
						continue
					}
					if q := p0*stride - before + along[i]; offsets[across[i]] >= 0 && q >= 0 && q < iw {
						at[i] = (offsets[across[i]] + q) * c
					}
				}
				for b := range blocks {
					ch := b * width
					r.width = min(width, c-ch)
					for i, o := range at {
						if o < 0 {
							r.ptrs[i] = unsafe.Pointer(&padding[0])
						} else {
							_ = x[o+(r.n-1)*r.xstep+ch+r.width-1]
							r.ptrs[i] = unsafe.Pointer(&x[o+ch])
						}
					}
					out := y[((l*ow+p0)*c+ch)*size:]
					_ = out[((r.n-1)*c+r.width)*size-1]
					r.y = unsafe.Pointer(&out[0])
					row(r, b)
				}
				if done != nil {
					done(l*ow+p0, l*ow+p0+r.n)
				}
			}
		}
	})
}

// Max takes the largest byte of each window of x [n, In…, c]; an empty window
// gives the least there is.
func Max(p par.P, n, c int, w *Window, x, y []byte, signed bool) {
	if len(x) != n*c*product(w.In) || len(y) != n*c*product(w.Out) {
		panic("qconv: sizes do not fit")
	}
	if len(y) == 0 {
		return
	}
	least := byte(0)
	if signed {
		least = 0x80
	}
	of := make([]int, product(w.Kernel))
	for i := range of {
		of[i] = i
	}
	t := Best()
	walk(p, n, c, w, x, y, 1, of, min(c, t.MaxWidth), least, func(r *rowArgs, _ int) { t.Max(r, signed) }, nil)
}

func maxGo(r *rowArgs, signed bool) {
	flip := byte(0)
	if signed {
		flip = 0x80
	}
	for i := range r.n {
		y := unsafe.Slice((*byte)(unsafe.Add(r.y, i*r.ystep)), r.width)
		for t, p := range r.ptrs {
			x := unsafe.Slice((*byte)(unsafe.Add(p, i*r.xstep)), r.width)
			if t == 0 {
				copy(y, x)
				continue
			}
			for c, v := range x {
				if v^flip > y[c]^flip {
					y[c] = v
				}
			}
		}
	}
}
