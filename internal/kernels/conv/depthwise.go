package conv

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// plane is a depthwise convolution of one channel with its padding: rows of
// width, each split by the stride into phases, so that every tap reads
// consecutive elements.
type plane struct {
	rows, width int // of the padded image; width of one phase
	phases      int
	off         []int // of each tap, in bytes
	step        int   // from one row of the output to the next
	copied      bool  // else the image is read in place
}

// pair returns the last two entries of s; the first is def for a single one.
func pair(s []int, def int) (int, int) {
	if len(s) == 1 {
		return def, s[0]
	}
	return s[0], s[1]
}

// depthwise convolves channels that have a kernel of their own (one input
// channel per group), in one or two dimensions.
func depthwise[T Float](p par.P, a *Args[T]) {
	ih, iw := pair(a.In, 1)
	kh, kw := pair(a.Kernel, 1)
	oh, ow := pair(a.Out, 1)
	sh, sw := pair(a.Strides, 1)
	dh, dw := pair(a.Dilations, 1)
	ph, pw := pair(a.Before, 0)
	size := int(unsafe.Sizeof(*new(T)))
	pl := plane{rows: (oh-1)*sh + (kh-1)*dh + 1, phases: min(sw, (kw-1)*dw+1), copied: true}
	pl.width = ow + (kw-1)*dw/sw
	if sw == 1 && ph <= 0 && pw <= 0 && pl.rows-ph <= ih && pl.width-pw <= iw {
		pl.copied, pl.width = false, iw // nothing is padded: the image is read in place
	}
	pl.step = sh * pl.phases * pl.width
	mem := borrow[T]()
	taps := kh * kw
	pl.off = slices.Grow(mem.offsets[:0], max(taps, 1))
	for y := range kh {
		for x := range kw {
			pl.off = append(pl.off, ((y*dh*pl.phases+x*dw%sw)*pl.width+x*dw/sw)*size)
		}
	}
	mem.offsets = pl.off
	grain := max(1, (1<<16)/max(1, oh*ow*taps*(a.M/a.C)))
	par.Run(p, a.N*a.C, grain, par.With(planes[T]{*a, pl}))
	mem.giveBack()
}

// planes is the loop of depthwise over the channels of all images.
type planes[T Float] struct {
	Args[T]
	plane
}

func (a *planes[T]) Chunk(lo, hi int) {
	ih, iw := pair(a.In, 1)
	oh, ow := pair(a.Out, 1)
	sh, sw := pair(a.Strides, 1)
	ph, pw := pair(a.Before, 0)
	taps, mg := product(a.Kernel), a.M/a.C
	off := unsafe.Pointer(unsafe.SliceData(a.off))
	vectors, ok := any(a.Table.Taps32).(func(unsafe.Pointer, int, unsafe.Pointer, unsafe.Pointer, unsafe.Pointer, int, T))
	n := 1
	if a.copied {
		n = a.rows * a.phases * a.width
	}
	buf := gemm.Borrow[T](n)
	defer buf.Return()
	for t := lo; t < hi; t++ {
		src := a.X[t*ih*iw : (t+1)*ih*iw]
		if a.copied {
			fill(&a.plane, buf.S, src, ih, iw, ph, pw, sw)
		}
		for m := range mg {
			o := t*mg + m // output channels of one input channel are neighbours
			var bias T
			if a.B != nil {
				bias = a.B[o%a.M]
			}
			w := unsafe.Pointer(unsafe.SliceData(a.W[o%a.M*taps:]))
			out := a.Y[o*oh*ow : (o+1)*oh*ow]
			for y := range oh {
				var x unsafe.Pointer
				if a.copied {
					x = unsafe.Pointer(&buf.S[y*a.step])
				} else {
					x = unsafe.Pointer(&src[(y*sh-ph)*iw-pw])
				}
				if ok {
					vectors(unsafe.Pointer(&out[y*ow]), ow, x, off, w, taps, bias)
				} else {
					tapsGo(unsafe.Pointer(&out[y*ow]), ow, x, off, w, taps, bias)
				}
			}
			if a.Act != nil {
				a.Act(out)
			}
		}
	}
}

// fill copies an image into the padded, phase-split form of pl.
func fill[T Float](pl *plane, buf, src []T, ih, iw, ph, pw, sw int) {
	for y := range pl.rows {
		line := buf[y*pl.phases*pl.width : (y+1)*pl.phases*pl.width]
		iy := y - ph
		if iy < 0 || iy >= ih {
			clear(line)
			continue
		}
		row := src[iy*iw : (iy+1)*iw]
		for f := range pl.phases {
			d := line[f*pl.width : (f+1)*pl.width]
			// d[i] = row[i*sw+f-pw] where that exists.
			at := f - pw
			lo := 0
			if at < 0 {
				lo = min((-at+sw-1)/sw, len(d))
			}
			hi := lo
			if last := iw - 1 - at; last >= 0 {
				hi = min(max(last/sw+1, lo), len(d))
			}
			clear(d[:lo])
			clear(d[hi:])
			if sw == 1 {
				copy(d[lo:hi], row[at+lo:])
				continue
			}
			x := at + lo*sw
			for i := range d[lo:hi] {
				d[lo+i] = row[x]
				x += sw
			}
		}
	}
}
