package nhwc

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
)

// Weights are the weights of a convolution as Conv reads them: for each group
// and panel of output channels [taps][c/group][Panel], padded with zeros. They
// are not changed once they are made.
type Weights[T Float] struct {
	M, C, Group int   // channels of the output and of the input, groups
	Kernel      []int // spatial shape
	data        []T

	// Of a depthwise convolution in float32, for vectors of so many lanes.
	depthwise []float32
	lanes     int

	winograd []float32 // [36][panels][c][Panel]

	classes [3][][]int // of a transposed convolution, see classes
}

// panels returns the number of panels of a group.
func (w *Weights[T]) panels() int { return (w.M/w.Group + Panel - 1) / Panel }

// Pack packs the weights w[m, c/group, kernel…] of a convolution for the
// routines of t.
func Pack[T Float](t *Table, w []T, m, c, group int, kernel []int) *Weights[T] {
	taps, cg := product(kernel), c/group
	if f, ok := any(w).([]float32); ok && group > 1 && cg == 1 && m == c && taps > 0 && t.lanes(c) > 0 {
		n := t.lanes(c)
		return &Weights[T]{M: m, C: c, Group: group, Kernel: append([]int(nil), kernel...), depthwise: packDepthwise(f, c, taps, n), lanes: n}
	}
	return pack(m, c, group, kernel, nil, source[T]{w, func(o int) int { return o * cg * taps }, taps})
}

// PackTransposed packs the weights w[c, m/group, kernel…] of a transposed
// convolution with the given strides and dilations: taps that the same
// positions see are neighbours.
func PackTransposed[T Float](w []T, m, c, group int, kernel, strides, dilations []int) *Weights[T] {
	taps, cg, mg := product(kernel), c/group, m/group
	s := shapeOf(&conv.Window{In: kernel, Kernel: kernel, Out: kernel, Strides: strides, Dilations: dilations, Before: make([]int, len(kernel))})
	order := make([]int, 0, taps)
	var l [3][][]int
	for d := range 3 {
		l[d] = classes(s.kernel[d], s.stride[d], s.dil[d])
	}
	for _, zs := range l[0] {
		for _, ys := range l[1] {
			for _, xs := range l[2] {
				for _, z := range zs {
					for _, y := range ys {
						for _, x := range xs {
							order = append(order, (z*s.kernel[1]+y)*s.kernel[2]+x)
						}
					}
				}
			}
		}
	}
	q := pack(m, c, group, kernel, order, source[T]{w, func(o int) int { return (o/mg*cg*mg + o%mg) * taps }, mg * taps})
	q.classes = l
	return q
}

// classes lists the taps k of one dimension by k·dilation modulo the stride.
func classes(kernel, stride, dil int) [][]int {
	l := make([][]int, min(stride, (kernel-1)*dil+1))
	for k := range kernel {
		l[k*dil%stride] = append(l[k*dil%stride], k)
	}
	return l
}

// source says where the weight of output channel o, channel i of its group and
// tap t lies: at w[base(o) + i*channel + t].
type source[T Float] struct {
	w       []T
	base    func(o int) int
	channel int
}

// pack fills panels. order lists the taps, nil for 0, 1, 2….
func pack[T Float](m, c, group int, kernel, order []int, from source[T]) *Weights[T] {
	w := &Weights[T]{M: m, C: c, Group: group, Kernel: append([]int(nil), kernel...)}
	taps, cg, mg := product(kernel), c/group, m/group
	w.data = aligned[T](group * w.panels() * taps * cg * Panel)
	if order == nil {
		for t := range taps {
			order = append(order, t)
		}
	}
	const block = 64 // channels whose panel rows stay in the cache
	panel := w.data
	for g := range group {
		for j := 0; j < mg; j += Panel {
			for i0 := 0; i0 < cg; i0 += block {
				i1 := min(i0+block, cg)
				for o := range min(Panel, mg-j) {
					src := from.w[from.base(g*mg+j+o):]
					for pos, t := range order {
						at, to := i0*from.channel+t, (pos*cg+i0)*Panel+o
						for range i1 - i0 {
							panel[to] = src[at]
							at, to = at+from.channel, to+Panel
						}
					}
				}
			}
			panel = panel[taps*cg*Panel:]
		}
	}
	return w
}

func product(s []int) int {
	n := 1
	for _, x := range s {
		n *= x
	}
	return n
}

// aligned returns n zeros at an address that is a multiple of 64.
func aligned[T Float](n int) []T {
	size := int(unsafe.Sizeof(*new(T)))
	s := make([]T, n+64/size)
	off := int(-uintptr(unsafe.Pointer(&s[0]))&63) / size
	return s[off : off+n : off+n]
}
