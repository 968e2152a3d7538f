package nhwc

import (
	"runtime"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Pooled is an element type of maximum pooling.
type Pooled = conv.Pooled

// pool calls f for each position of the output of [n, in…, c] images with what
// it sees: a list of pointers to pixels, at most len(kernel) of them. counts
// is the position in each dimension.
func pool(p par.P, n, c, size int, w *conv.Window, x unsafe.Pointer, f func(q int, pos [3]int, pixels []uintptr)) {
	s := shapeOf(w)
	out, taps := product3(s.out), product3(s.kernel)
	grain := max(1, (1<<16)/max(1, c*taps))
	p.For(n*out, grain, func(lo, hi int) {
		l := listPool.Get().(*lists)
		words := l.grow(taps)
		for q := lo; q < hi; q++ {
			var first, last, pos [3]int
			image := q
			for d := 2; d >= 0; d-- {
				pos[d] = image % s.out[d]
				image /= s.out[d]
				first[d], last[d] = s.range1(d, pos[d])
			}
			m := 0
			for kz := first[0]; kz < last[0]; kz++ {
				z := pos[0]*s.stride[0] - s.before[0] + kz*s.dil[0]
				for ky := first[1]; ky < last[1]; ky++ {
					y := pos[1]*s.stride[1] - s.before[1] + ky*s.dil[1]
					at := ((image*s.in[0]+z)*s.in[1]+y)*s.in[2] + pos[2]*s.stride[2] - s.before[2]
					for kx := first[2]; kx < last[2]; kx++ {
						words[m] = uintptr(x) + uintptr((at+kx*s.dil[2])*c*size)
						m++
					}
				}
			}
			f(q, pos, words[:m])
		}
		listPool.Put(l)
	})
	runtime.KeepAlive(x)
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

// MaxPool takes the largest element of each window of x [n, In…, c]; NaN is the
// largest of all, and an empty window gives least.
func MaxPool[T Pooled](p par.P, n, c int, w *conv.Window, x, y []T, least T) {
	if len(x) != n*product(w.In)*c || len(y) != n*product(w.Out)*c {
		panic("nhwc: sizes do not fit")
	}
	if c == 0 {
		return
	}
	t := Best()
	var fast func(bytes int, out, list unsafe.Pointer, pixels int)
	switch any(least).(type) {
	case float32:
		fast = t.Max32
	case int8:
		fast = t.MaxInt8
	case uint8:
		fast = t.MaxUint8
	}
	size := int(unsafe.Sizeof(least))
	if c*size < t.Bytes {
		fast = nil
	}
	pool(p, n, c, size, w, unsafe.Pointer(unsafe.SliceData(x)), func(q int, _ [3]int, pixels []uintptr) {
		out := y[q*c : (q+1)*c]
		if fast == nil || len(pixels) == 0 {
			maxGo(out, pixels, least)
			return
		}
		fast(c*size, unsafe.Pointer(&out[0]), unsafe.Pointer(&pixels[0]), len(pixels))
	})
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
	d := 3 - len(w.In)
	t := Best()
	fast := t.Mean32
	if size := int(unsafe.Sizeof(*new(T))); size != 4 || c*size < t.Bytes {
		fast = nil
	}
	pool(p, n, c, int(unsafe.Sizeof(*new(T))), w, unsafe.Pointer(unsafe.SliceData(x)), func(q int, pos [3]int, pixels []uintptr) {
		div := len(pixels)
		if counts != nil {
			div = 1
			for i := range counts {
				div *= counts[i][pos[d+i]]
			}
		}
		out := y[q*c : (q+1)*c]
		if div == 0 {
			clear(out)
			return
		}
		if fast == nil || len(pixels) == 0 || len(pixels) > longSum {
			meanGo(out, pixels, 1/float64(div))
			return
		}
		fast(c*4, unsafe.Pointer(&out[0]), unsafe.Pointer(&pixels[0]), len(pixels), 1/float32(div))
	})
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
