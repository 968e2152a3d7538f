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
	return pack(m, c, group, kernel, nil, func(o, i, t int) T { return w[(o*cg+i)*taps+t] })
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
	return pack(m, c, group, kernel, order, func(o, i, t int) T { return w[((o/mg*cg+i)*mg+o%mg)*taps+t] })
}

// classes lists the taps k of one dimension by k·dilation modulo the stride.
func classes(kernel, stride, dil int) [][]int {
	l := make([][]int, min(stride, (kernel-1)*dil+1))
	for k := range kernel {
		l[k*dil%stride] = append(l[k*dil%stride], k)
	}
	return l
}

// pack fills panels; at returns the weight of output channel o, channel i of
// its group and tap t. order lists the taps, nil for 0, 1, 2….
func pack[T Float](m, c, group int, kernel, order []int, at func(o, i, t int) T) *Weights[T] {
	w := &Weights[T]{M: m, C: c, Group: group, Kernel: append([]int(nil), kernel...)}
	taps, cg, mg := product(kernel), c/group, m/group
	w.data = aligned[T](group * w.panels() * taps * cg * Panel)
	pos := 0
	for g := range group {
		for j := 0; j < mg; j += Panel {
			n := min(Panel, mg-j)
			for t := range taps {
				if order != nil {
					t = order[t]
				}
				for i := range cg {
					d := w.data[pos : pos+Panel]
					for o := range n {
						d[o] = at(g*mg+j+o, i, t)
					}
					pos += Panel
				}
			}
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
