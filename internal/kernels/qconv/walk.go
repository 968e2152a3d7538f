package qconv

import (
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// walker goes over runs of positions along the last dimension of the output y
// [n, Out…, c], which see the same taps, and over blocks of width channels: of
// lists the taps, -1 for one that sees padding wherever it is. size is the bytes of
// an element of y. Each run gets products with d or, without, its maximum.
type walker struct {
	n, c   int
	window *Window
	x, y   []byte
	size   int
	of     []int
	width  int
	whole  bool // blocks are whole
	pad    byte

	// Of products: what follows, by words of the rounding, or to floats and then act.
	d      *depth
	round  *Round
	words  [4]uint32
	floats []float32
	act    func(f []float32)
	// Of maxima.
	table  *Table
	signed bool

	// Positions [x0, x1) see no padding along the last dimension. If there are others and
	// lines are short, all that a line of the output sees is copied, with padding, as
	// lines of padded positions; or, of a long line of few channels, what x1 positions see.
	images, image, blocks, x0, x1, padded int
	along, across                         []int // where taps see, and of which line
	padding                               []byte
	// narrow says that a block is wider than the channels. What is behind these is read, and
	// written over, so that what positions see is copied, and results go by way of a line.
	narrow bool
}

var walkers = sync.Pool{New: func() any { return new(walker) }}

// walkMemory is what a thread works in.
type walkMemory struct {
	args          rowArgs
	pos, tap      []int
	offsets       []int // of the lines that taps see; -1: padding
	at            []int
	pointersOfRow []unsafe.Pointer
	seen          []byte // lines with padding
	out           []byte
}

var walkMemories = sync.Pool{New: func() any { return new(walkMemory) }}

// sized returns a slice of n elements, with any contents, in the memory of s if it is large enough.
func sized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// mostSeen is how many bytes with padding are copied at most: beyond it a call for each
// border takes less time.
const mostSeen = 256 << 10

// walk runs a walker with the settings of w.
func walk(p par.P, w walker) {
	k := walkers.Get().(*walker)
	w.along, w.across, w.padding = k.along, k.across, k.padding
	*k = w
	last := len(w.window.In) - 1
	kw, ow, iw := w.window.Kernel[last], w.window.Out[last], w.window.In[last]
	stride, before, dil := w.window.Strides[last], w.window.Before[last], w.window.Dilations[last]
	k.images, k.image = product(w.window.Out[:last]), product(w.window.In)*w.c
	k.blocks = (w.c + w.width - 1) / w.width
	k.x0 = min(ow, (max(before, 0)+stride-1)/stride)
	k.x1 = k.x0
	if room := iw - 1 - (kw-1)*dil + before; room >= 0 {
		k.x1 = max(k.x0, min(ow, room/stride+1))
	}
	k.narrow = w.whole && w.c < w.width
	if k.x1-k.x0 < ow || k.narrow {
		one := (kw-1)*dil + 1
		if room := mostSeen/max(1, w.c*product(w.window.Kernel[:last])) - one; room >= 0 {
			if n := min(ow, room/stride+1); n == ow || k.narrow {
				k.padded, k.x0, k.x1 = (n-1)*stride+one, 0, n
			}
		}
		if k.narrow && k.padded == 0 {
			k.x1 = k.x0
		}
	}
	k.along, k.across = sized(k.along, len(w.of)), sized(k.across, len(w.of))
	for i, t := range w.of {
		if t >= 0 {
			k.along[i], k.across[i] = t%kw*dil, t/kw
		}
	}
	k.padding = sized(k.padding, max(1, (k.x1-k.x0)*stride+1)*w.c+w.width)
	fill(k.padding, w.pad)
	par.Each(p, w.n*k.images, max(1, (1<<16)/max(1, ow*w.c*len(w.of))), k, func(k **walker, lo, hi int) { (*k).lines(lo, hi) })
	*k = walker{along: k.along, across: k.across, padding: k.padding}
	walkers.Put(k)
}

// lines takes lines [lo, hi) of the output.
func (k *walker) lines(lo, hi int) {
	w, x, y, c := k.window, k.x, k.y, k.c
	last := len(w.In) - 1
	kw, ow, iw := w.Kernel[last], w.Out[last], w.In[last]
	stride, before := w.Strides[last], w.Before[last]
	m := walkMemories.Get().(*walkMemory)
	m.pos, m.tap = sized(m.pos, last), sized(m.tap, last)
	m.offsets, m.at = sized(m.offsets, product(w.Kernel)/kw), sized(m.at, len(k.of))
	m.pointersOfRow = sized(m.pointersOfRow, len(k.of))
	width := 0
	if k.narrow {
		width = k.width
	}
	r := &m.args
	*r = rowArgs{taps: len(k.of), ptrs: m.pointersOfRow, xstep: stride * c, ystep: c * k.size}
	for l := lo; l < hi; l++ {
		seek(m.pos, w.Out[:last], l%k.images)
		x := x[l/k.images*k.image : (l/k.images+1)*k.image]
		for o := range m.offsets {
			seek(m.tap, w.Kernel[:last], o)
			line := 0
			for d := range last {
				q := m.pos[d]*w.Strides[d] - w.Before[d] + m.tap[d]*w.Dilations[d]
				if q < 0 || q >= w.In[d] || line < 0 {
					line = -1
					continue
				}
				line = line*w.In[d] + q
			}
			m.offsets[o] = line
			if line > 0 {
				m.offsets[o] = line * iw
			}
		}
		for p0 := 0; p0 < ow; p0 += r.n {
			r.n = 1
			x := x
			switch {
			case k.padded > 0:
				r.n = min(k.x1, ow-p0)
				x = k.see(m, x, p0)
			case p0 == k.x0 && k.x1 > k.x0:
				r.n = k.x1 - k.x0
			}
			for i, t := range k.of {
				m.at[i] = -1
				if t < 0 {
					continue
				}
				if k.padded > 0 {
					m.at[i] = (k.across[i]*k.padded + k.along[i]) * c
				} else if q := p0*stride - before + k.along[i]; m.offsets[k.across[i]] >= 0 && q >= 0 && q < iw {
					m.at[i] = (m.offsets[k.across[i]] + q) * c
				}
			}
			if k.narrow && k.padded == 0 {
				m.seen = sized(m.seen, len(m.at)*width)
				for i, o := range m.at {
					if o >= 0 {
						copy(m.seen[i*width:(i+1)*width], x[o:o+c])
						m.at[i] = i * width
					}
				}
				x = m.seen
			}
			for i, o := range m.at {
				if o < 0 {
					r.ptrs[i] = unsafe.Pointer(&k.padding[0])
				} else {
					_ = x[o+(r.n-1)*r.xstep+max(c, width)-1]
					r.ptrs[i] = unsafe.Pointer(&x[o])
				}
			}
			out := y[(l*ow+p0)*c*k.size:][:r.n*c*k.size]
			if k.narrow {
				m.out = sized(m.out, len(out)+(width-c)*k.size)
				r.y, r.width = unsafe.Pointer(&m.out[0]), width
				k.row(r, 0, 0)
				copy(out, m.out)
			} else {
				for b, at := 0, 0; b < k.blocks; b++ {
					ch := blockAt(b, k.width, c, k.whole)
					r.width = min(k.width, c-ch)
					for i := range r.ptrs {
						r.ptrs[i] = unsafe.Add(r.ptrs[i], ch-at)
					}
					r.y = unsafe.Pointer(&out[ch*k.size])
					k.row(r, b, ch)
					at = ch
				}
			}
			if k.act != nil {
				k.act(k.floats[(l*ow+p0)*c : (l*ow+p0+r.n)*c])
			}
		}
	}
	*r = rowArgs{}
	clear(m.pointersOfRow)
	walkMemories.Put(m)
}

// blockAt returns the first channel of block b. Whole blocks overlap where they do not
// divide the channels.
func blockAt(b, width, channels int, whole bool) int {
	if whole && channels > width {
		return min(b*width, channels-width)
	}
	return b * width
}

// row computes block b of the channels of r, which begins with channel ch.
func (k *walker) row(r *rowArgs, b, ch int) {
	if k.d == nil {
		k.table.Max(r, k.signed)
		return
	}
	k.d.block(r, k.round, b)
	if k.floats != nil {
		k.d.t.Floats(r)
	} else if r.words = k.words; k.round.small {
		k.d.t.Row(r)
	} else {
		k.d.slow(r, ch)
	}
}

// see copies to m what the lines of x at m.offsets have for the positions from p0 on, one line
// after the other.
func (k *walker) see(m *walkMemory, x []byte, p0 int) []byte {
	w, c, last := k.window, k.c, len(k.window.In)-1
	iw, before, size := w.In[last], w.Before[last]-p0*w.Strides[last], k.padded*k.c
	m.seen = sized(m.seen, len(m.offsets)*size+k.width)
	j0 := min(max(0, before), k.padded)
	j1 := max(j0, min(k.padded, iw+before))
	for o, at := range m.offsets {
		dst := m.seen[o*size : (o+1)*size]
		if at < 0 {
			fill(dst, k.pad)
			continue
		}
		fill(dst[:j0*c], k.pad)
		if j1 > j0 {
			copy(dst[j0*c:j1*c], x[(at+j0-before)*c:])
		}
		fill(dst[j1*c:], k.pad)
	}
	return m.seen
}

var taps = sync.Pool{New: func() any { return new([]int) }}

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
	of := taps.Get().(*[]int)
	*of = sized(*of, product(w.Kernel))
	for i := range *of {
		(*of)[i] = i
	}
	t := Best()
	width := min(c, t.MaxWidth)
	if t.MaxWhole {
		width = t.MaxWidth
	}
	walk(p, walker{n: n, c: c, window: w, x: x, y: y, size: 1, of: *of, width: width, whole: true, pad: least, table: t, signed: signed})
	taps.Put(of)
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
