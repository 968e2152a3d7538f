package conv

import (
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
	step        int   // from one row of the output to the next, in bytes
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
	pl := plane{rows: (oh-1)*sh + (kh-1)*dh + 1, phases: min(sw, (kw-1)*dw+1)}
	pl.width = ow + (kw-1)*dw/sw
	copied := true
	if sw == 1 && ph <= 0 && pw <= 0 && pl.rows-ph <= ih && pl.width-pw <= iw {
		copied, pl.width = false, iw // nothing is padded: the image is read in place
	}
	pl.step = sh * pl.phases * pl.width * size
	taps := kh * kw
	pl.off = make([]int, 0, max(taps, 1))
	for y := range kh {
		for x := range kw {
			pl.off = append(pl.off, ((y*dh*pl.phases+x*dw%sw)*pl.width+x*dw/sw)*size)
		}
	}
	run := func(y unsafe.Pointer, x, w unsafe.Pointer, bias T) {
		tapsGo(y, ow, x, unsafe.Pointer(unsafe.SliceData(pl.off)), w, taps, bias)
	}
	if f, ok := any(a.Table.Taps32).(func(unsafe.Pointer, int, unsafe.Pointer, unsafe.Pointer, unsafe.Pointer, int, T)); ok {
		run = func(y unsafe.Pointer, x, w unsafe.Pointer, bias T) {
			f(y, ow, x, unsafe.Pointer(unsafe.SliceData(pl.off)), w, taps, bias)
		}
	}
	mg := a.M / a.C
	grain := max(1, (1<<16)/max(1, oh*ow*taps*mg))
	p.For(a.N*a.C, grain, func(lo, hi int) {
		n := 1
		if copied {
			n = pl.rows * pl.phases * pl.width
		}
		gemm.Scratch(n, func(buf []T) {
			for t := lo; t < hi; t++ {
				src := a.X[t*ih*iw : (t+1)*ih*iw]
				if copied {
					fill(&pl, buf, src, ih, iw, ph, pw, sw)
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
						if copied {
							x = unsafe.Pointer(&buf[y*pl.step/size])
						} else {
							x = unsafe.Pointer(&src[(y*sh-ph)*iw-pw])
						}
						run(unsafe.Pointer(&out[y*ow]), x, w, bias)
					}
					if a.Act != nil {
						a.Act(out)
					}
				}
			}
		})
	})
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
