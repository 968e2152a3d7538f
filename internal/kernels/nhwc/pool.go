package nhwc

import (
	"runtime"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Pooled is an element type of maximum pooling.
type Pooled = conv.Pooled

// pooling walks over the positions of the output of [n, in…, c] images.
type pooling struct {
	s      shape
	x      unsafe.Pointer
	c      int
	size   int // of an element
	places int // in an image
	taps   int // of the kernel
}

func poolingOf[T Pooled](c int, w *conv.Window, x []T) pooling {
	s := shapeOf(w)
	return pooling{s, unsafe.Pointer(unsafe.SliceData(x)), c, int(unsafe.Sizeof(*new(T))), product3(s.out), product3(s.kernel)}
}

func (l *pooling) grain() int { return max(1, (1<<16)/max(1, l.c*l.taps)) }

// at returns what position q sees, pointers to the m pixels in words, and where
// it is in each dimension.
func (l *pooling) at(q int, words []uintptr) (pos [3]int, m int) {
	s := &l.s
	var first, last [3]int
	image := q
	for d := 2; d >= 0; d-- {
		pos[d] = image % s.out[d]
		image /= s.out[d]
		first[d], last[d] = s.range1(d, pos[d])
	}
	for kz := first[0]; kz < last[0]; kz++ {
		z := pos[0]*s.stride[0] - s.before[0] + kz*s.dil[0]
		for ky := first[1]; ky < last[1]; ky++ {
			y := pos[1]*s.stride[1] - s.before[1] + ky*s.dil[1]
			at := ((image*s.in[0]+z)*s.in[1]+y)*s.in[2] + pos[2]*s.stride[2] - s.before[2]
			for kx := first[2]; kx < last[2]; kx++ {
				words[m] = uintptr(l.x) + uintptr((at+kx*s.dil[2])*l.c*l.size)
				m++
			}
		}
	}
	return pos, m
}

// alike returns how many positions of a row from that at column o on see the same taps, each a pixel further
// than the one before: then they are computed as if they were one of many channels.
func (l *pooling) alike(o int) int {
	s := &l.s
	if last := min(s.in[2]+s.before[2]-(s.kernel[2]-1)*s.dil[2], s.out[2]); s.stride[2] == 1 && o >= s.before[2] && o < last {
		return last - o
	}
	return 1
}

// range1 returns the taps [first, last) of dimension d that position o sees.
func (s *shape) range1(d, o int) (first, last int) {
	at := o*s.stride[d] - s.before[d]
	if at < 0 {
		first = min((-at+s.dil[d]-1)/s.dil[d], s.kernel[d])
	}
	if m := s.in[d] - 1 - at; m >= 0 {
		last = min(m/s.dil[d]+1, s.kernel[d])
	}
	return first, max(first, last)
}

// pooler returns the fastest table whose routines of pooling take that few bytes.
func pooler(bytes int) *Table {
	for i := len(Tables) - 1; i > 0; i-- {
		if t := Tables[i]; cpu.Has(t.Name) && t.Bytes <= bytes {
			return t
		}
	}
	return Tables[0]
}

// MaxPool takes the largest element of each window of x [n, In…, c]; NaN is the
// largest of all, and an empty window gives least.
func MaxPool[T Pooled](p par.P, n, c int, w *conv.Window, x, y []T, least T) {
	if len(x) != n*product(w.In)*c || len(y) != n*product(w.Out)*c {
		panic("nhwc: sizes do not fit")
	}
	if c == 0 {
		return
	}
	size := int(unsafe.Sizeof(least))
	t := pooler(c * size)
	var fast func(bytes int, out, list unsafe.Pointer, pixels int)
	switch any(least).(type) {
	case float32:
		fast = t.Max32
	case int8:
		fast = t.MaxInt8
	case uint8:
		fast = t.MaxUint8
	}
	l := maxLoop[T]{poolingOf(c, w, x), y, least, fast}
	par.Run(p, n*l.places, l.grain(), par.With(l))
	runtime.KeepAlive(x)
}

// maxLoop is the loop of MaxPool.
type maxLoop[T Pooled] struct {
	pooling
	y     []T
	least T
	fast  func(bytes int, out, list unsafe.Pointer, pixels int)
}

func (l *maxLoop[T]) Chunk(lo, hi int) {
	mem := listPool.Get().(*lists)
	words := mem.grow(l.taps)
	for q, k := lo, 0; q < hi; q += k {
		pos, m := l.at(q, words)
		k = min(l.alike(pos[2]), hi-q, 1+joinWork/max(1, l.c*l.taps))
		out := l.y[q*l.c : (q+k)*l.c]
		if l.fast == nil || m == 0 {
			maxGo(out, words[:m], l.least)
			continue
		}
		l.fast(len(out)*l.size, unsafe.Pointer(&out[0]), unsafe.Pointer(&words[0]), m)
	}
	listPool.Put(mem)
}

func maxGo[T Pooled](y []T, pixels []uintptr, least T) {
	for i := range y {
		y[i] = least
	}
	for i := range pixels {
		x := unsafe.Slice(*(**T)(unsafe.Pointer(&pixels[i])), len(y))
		for j, v := range x {
			if v > y[j] || v != v {
				y[j] = v
			}
		}
	}
}

// longSum is how many summands are too many for a sum in float32.
const longSum = 64

// AveragePool takes the mean of each window of x [n, In…, c]. counts[i][o] is
// the number of elements along dimension i that position o divides by; nil:
// those in the image.
func AveragePool[T Float](p par.P, n, c int, w *conv.Window, x, y []T, counts [][]int) {
	if len(x) != n*product(w.In)*c || len(y) != n*product(w.Out)*c {
		panic("nhwc: sizes do not fit")
	}
	if c == 0 {
		return
	}
	size := int(unsafe.Sizeof(*new(T)))
	fast := pooler(c * size).Mean32
	if size != 4 {
		fast = nil
	}
	l := meanLoop[T]{poolingOf(c, w, x), y, counts, 3 - len(w.In), fast}
	par.Run(p, n*l.places, l.grain(), par.With(l))
	runtime.KeepAlive(x)
}

// meanLoop is the loop of AveragePool.
type meanLoop[T Float] struct {
	pooling
	y      []T
	counts [][]int
	d      int // the dimension that counts[0] is of
	fast   func(n int, out, list unsafe.Pointer, pixels int, scale float32)
}

func (l *meanLoop[T]) Chunk(lo, hi int) {
	mem := listPool.Get().(*lists)
	words := mem.grow(l.taps)
	for q, k := lo, 0; q < hi; q += k {
		pos, m := l.at(q, words)
		k = min(l.alike(pos[2]), hi-q, 1+joinWork/max(1, l.c*l.taps))
		div := m
		if l.counts != nil {
			div = 1
			for i := range l.counts {
				div *= l.counts[i][pos[l.d+i]]
			}
		}
		out := l.y[q*l.c : (q+k)*l.c]
		switch {
		case div == 0:
			clear(out)
		case l.fast == nil || m == 0 || m > longSum:
			meanGo(out, words[:m], 1/float64(div))
		default:
			l.fast(len(out)*4, unsafe.Pointer(&out[0]), unsafe.Pointer(&words[0]), m, 1/float32(div))
		}
	}
	listPool.Put(mem)
}

func meanGo[T Float](y []T, pixels []uintptr, scale float64) {
	for j := range y {
		sum := 0.0
		for i := range pixels {
			sum += float64(*(*T)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&pixels[i])), j*int(unsafe.Sizeof(y[0])))))
		}
		y[j] = T(sum * scale)
	}
}
