package nhwc

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/par"
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

	pairs *half.Pairs // of a convolution of single pixels, rounded to bfloat16

	taps []float32 // [taps, m, c], see scatter

	// Of a transposed convolution: see classes; of a depthwise one the weights of each phase.
	classes [3][][]int
	phases  [][]float32
}

// panels returns the number of panels of a group.
func (w *Weights[T]) panels() int { return (w.M/w.Group + Panel - 1) / Panel }

// Pack packs the weights w[m, c/group, kernel…] of a convolution for the
// routines of t.
func Pack[T Float](t *Table, w []T, m, c, group int, kernel []int) *Weights[T] {
	return new(Packer[T]).Pack(par.P{}, t, w, m, c, group, kernel)
}

// PackPixels packs the weights w[m, c] of a convolution of single pixels, with as many spatial
// dimensions, rounded to bfloat16: see half.Pairs. Windows must have no strides and no padding.
func PackPixels(w []float32, m, c, dims int) *Weights[float32] {
	return &Weights[float32]{M: m, C: c, Group: 1, Kernel: slices.Repeat([]int{1}, dims), pairs: half.PackPairs(par.P{}, w, c, m, 1, c)}
}

// Packer packs weights that change from run to run, into what Memory gives: n
// elements, whatever is in them. Nil: new memory.
type Packer[T Float] struct{ Memory func(n int) []T }

// Pack is the function of that name.
func (k *Packer[T]) Pack(p par.P, t *Table, w []T, m, c, group int, kernel []int) *Weights[T] {
	taps, cg := product(kernel), c/group
	if f, ok := any(w).([]float32); ok && group > 1 && cg == 1 && m == c && taps > 0 && t.lanes(c) > 0 {
		n := t.lanes(c)
		return &Weights[T]{M: m, C: c, Group: group, Kernel: append([]int(nil), kernel...), depthwise: packDepthwise(f, c, taps, counted(taps), n), lanes: n}
	}
	return k.pack(p, m, c, group, kernel, nil, source[T]{w, func(o int) int { return o * cg * taps }, taps})
}

// PackTransposed packs the weights w[c, m/group, kernel…] of a transposed
// convolution with the given strides and dilations: taps that the same
// positions see are neighbours.
func PackTransposed[T Float](t *Table, w []T, m, c, group int, kernel, strides, dilations []int) *Weights[T] {
	return new(Packer[T]).PackTransposed(par.P{}, t, w, m, c, group, kernel, strides, dilations)
}

// PackTransposed is the function of that name.
func (k *Packer[T]) PackTransposed(p par.P, t *Table, w []T, m, c, group int, kernel, strides, dilations []int) *Weights[T] {
	taps, cg, mg := product(kernel), c/group, m/group
	s := shapeOf(&conv.Window{In: kernel, Kernel: kernel, Out: kernel, Strides: strides, Dilations: dilations, Before: make([]int, len(kernel))})
	q := &Weights[T]{M: m, C: c, Group: group, Kernel: append([]int(nil), kernel...)}
	f, single := any(w).([]float32)
	depthwise := single && group > 1 && cg == 1 && mg == 1 && taps > 0 && t.lanes(c) > 0 && k.Memory == nil
	order := make([]int, 0, taps)
	var l [3][][]int
	for d := range 3 {
		l[d] = classes(s.kernel[d], s.stride[d], s.dil[d])
	}
	for _, zs := range l[0] {
		for _, ys := range l[1] {
			for _, xs := range l[2] {
				phase := len(order)
				for _, z := range zs {
					for _, y := range ys {
						for _, x := range xs {
							order = append(order, (z*s.kernel[1]+y)*s.kernel[2]+x)
						}
					}
				}
				if depthwise {
					q.lanes = t.lanes(c)
					q.phases = append(q.phases, packDepthwise(f, c, taps, order[phase:], q.lanes))
				}
			}
		}
	}
	switch {
	case depthwise:
	case single && k.Memory == nil && dilations[len(dilations)-1] == 1 && scatters(t, m, c, group, kernel):
		q.taps = packTaps(f, m, c, taps)
	default:
		q = k.pack(p, m, c, group, kernel, order, source[T]{w, func(o int) int { return (o/mg*cg*mg + o%mg) * taps }, mg * taps})
	}
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
func (k *Packer[T]) pack(p par.P, m, c, group int, kernel, order []int, from source[T]) *Weights[T] {
	w := &Weights[T]{M: m, C: c, Group: group, Kernel: append([]int(nil), kernel...)}
	taps, cg, mg := product(kernel), c/group, m/group
	panels := w.panels()
	if n := group * panels * taps * cg * Panel; k.Memory == nil {
		w.data = aligned[T](n)
	} else if w.data = k.Memory(n); mg%Panel != 0 {
		clear(w.data)
	}
	row := make([]int, taps) // where the rows of each tap begin
	for t := range row {
		row[t] = t * cg * Panel
	}
	for pos, t := range order {
		row[t] = pos * cg * Panel
	}
	block := max(16, 64/max(taps, 1)) // channels whose panel rows stay in the cache
	blocks := (cg + block - 1) / block
	p.For(group*panels*blocks, max(1, (1<<15)/max(1, taps*block*Panel)), func(lo, hi int) {
		buf := gemm.Borrow[T](max(taps, chunk) * Panel)
		defer buf.Return()
		tmp := buf.S
		for b := lo; b < hi; b++ {
			gj, i0 := b/blocks, b%blocks*block
			g, j := gj/panels, gj%panels*Panel
			i1, width := min(i0+block, cg), min(Panel, mg-j)
			if width < Panel {
				clear(tmp) // the columns that the panel lacks stay 0
			}
			panel := w.data[gj*taps*cg*Panel:][:taps*cg*Panel]
			first := from.base(g*mg + j)
			if from.channel == taps { // the weights of an output channel lie together
				columns(panel, from.w[first:][:width*cg*taps], tmp, width, cg, taps, i0, i1, row)
				continue
			}
			for i := i0; i < i1; i++ { // those of an input channel do
				transpose(tmp, from.w[first+i*from.channel:][:width*taps], width, taps, taps)
				for t, at := range row {
					*(*[Panel]T)(panel[at+i*Panel:]) = *(*[Panel]T)(tmp[t*Panel:])
				}
			}
		}
	})
	return w
}

// chunk is the number of weights of an output channel that columns moves at a time.
const chunk = 64

// columns writes channels [i0, i1) of the weights w[width, cg, taps] to a panel,
// in which tap t begins at row[t]. tmp has room for chunk rows of a panel.
func columns[T Float](panel, w, tmp []T, width, cg, taps, i0, i1 int, row []int) {
	k, q1 := cg*taps, i1*taps
	for q := i0 * taps; q < q1; q += chunk {
		n := min(chunk, q1-q)
		dst := tmp
		if taps == 1 {
			dst = panel[row[0]+q*Panel:]
		}
		transpose(dst, w[q:], width, n, k)
		if taps == 1 {
			continue
		}
		for x := range n {
			at := row[(q+x)%taps] + (q+x)/taps*Panel
			*(*[Panel]T)(panel[at:]) = *(*[Panel]T)(tmp[x*Panel:])
		}
	}
}

// transpose writes n elements of each of width rows, which lie lds apart, to n
// rows of a panel.
func transpose[T Float](panel, rows []T, width, n, lds int) {
	whole, elements := gemm.Transposed(panel, Panel, rows, width, n, lds)
	if whole < width {
		conv.Transpose(panel[whole:], rows[whole*lds:], n, width-whole, Panel, lds)
	}
	if whole > 0 && elements < n {
		conv.Transpose(panel[elements*Panel:], rows[elements:], n-elements, whole, Panel, lds)
	}
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
