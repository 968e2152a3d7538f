package ops

import (
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/tensor"
)

// einView is an operand of Einsum: an array with a label, a size and a stride
// for each dimension. Labels do not repeat, and a dimension that is broadcast
// has none.
type einView[T gemm.Number] struct {
	data           []T
	labels         []int
	sizes, strides []int
}

// newEinView takes diagonals of repeated labels and drops dimensions of 1 that
// broadcast.
func newEinView[T gemm.Number](data []T, shape, labels []int, sizes map[int]int) einView[T] {
	v := einView[T]{data: data}
	strides := tensor.Strides(shape)
	for i, l := range labels {
		if shape[i] == 1 && sizes[l] != 1 {
			continue
		}
		if j := slices.Index(v.labels, l); j >= 0 {
			v.strides[j] += strides[i]
			continue
		}
		v.labels, v.sizes, v.strides = append(v.labels, l), append(v.sizes, shape[i]), append(v.strides, strides[i])
	}
	return v
}

// of returns size and stride of a label; 1 and 0 if v does not have it.
func (v *einView[T]) of(label int) (size, stride int) {
	if i := slices.Index(v.labels, label); i >= 0 {
		return v.sizes[i], v.strides[i]
	}
	return 1, 0
}

// dense reports whether v is stored with its labels in the given order, and
// returns the number of elements.
func (v *einView[T]) dense(order []int) (n int, ok bool) {
	n, ok = 1, true
	for i := len(order) - 1; i >= 0; i-- {
		size, stride := v.of(order[i])
		if size != 1 && stride != n {
			ok = false
		}
		n *= size
	}
	return n, ok
}

// copyTo writes v to dst with the labels in the given order; a label that v
// lacks is repeated shape[i] times.
func (v *einView[T]) copyTo(c *Call, dst []T, order, shape []int) {
	if len(dst) == 0 {
		return
	}
	if len(order) == 0 {
		dst[0] = v.data[0]
		return
	}
	last := len(order) - 1
	n := shape[last]
	_, inner := v.of(order[last])
	strides := make([]int, last)
	for i := range strides {
		_, strides[i] = v.of(order[i])
	}
	c.P.For(len(dst)/n, max(1, (1<<15)/n), func(lo, hi int) {
		idx := make([]int, last)
		at, rest := 0, lo
		for i := last - 1; i >= 0; i-- {
			idx[i] = rest % shape[i]
			rest /= shape[i]
			at += idx[i] * strides[i]
		}
		for r := lo; r < hi; r++ {
			row := dst[r*n : (r+1)*n]
			if inner == 1 {
				copy(row, v.data[at:])
			} else {
				for i, a := 0, at; i < n; i, a = i+1, a+inner {
					row[i] = v.data[a]
				}
			}
			for i := last - 1; i >= 0; i-- {
				at += strides[i]
				if idx[i]++; idx[i] < shape[i] {
					break
				}
				at -= strides[i] * shape[i]
				idx[i] = 0
			}
		}
	})
}

// in returns v as a dense array in the given order, in place where it is one.
func (v *einView[T]) in(c *Call, order []int) []T {
	n, ok := v.dense(order)
	if ok {
		return v.data
	}
	shape := make([]int, len(order))
	for i, l := range order {
		shape[i], _ = v.of(l)
	}
	dst := Scratch[T](c, n)
	v.copyTo(c, dst, order, shape)
	return dst
}

// sum adds up the dimensions whose labels are not kept; floats in float64.
func (v einView[T]) sum(c *Call, keep []int) einView[T] {
	var kept, gone []int
	for _, l := range v.labels {
		if slices.Contains(keep, l) {
			kept = append(kept, l)
		} else {
			gone = append(gone, l)
		}
	}
	if len(gone) == 0 {
		return v
	}
	src := v.in(c, append(slices.Clone(kept), gone...))
	out := einView[T]{labels: kept}
	total := 1
	for _, l := range kept {
		n, _ := v.of(l)
		out.sizes = append(out.sizes, n)
		total *= n
	}
	out.strides = tensor.Strides(out.sizes)
	each := 1
	for _, l := range gone {
		n, _ := v.of(l)
		each *= n
	}
	out.data = Scratch[T](c, total)
	floats := dtypeOf[T]().IsFloat()
	c.P.For(total, max(1, (1<<15)/max(each, 1)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := src[i*each : (i+1)*each]
			if floats {
				var s float64
				for _, x := range row {
					s += float64(x)
				}
				out.data[i] = T(s)
				continue
			}
			var s T
			for _, x := range row {
				s += x
			}
			out.data[i] = s
		}
	})
	return out
}

// einContract multiplies a and b and sums over the labels that are not in keep,
// as a batch of products of matrices.
func einContract[T gemm.Number](c *Call, a, b einView[T], keep []int) (einView[T], error) {
	// What only one of them has, and nobody wants, is summed first.
	a, b = a.sum(c, append(slices.Clone(keep), b.labels...)), b.sum(c, append(slices.Clone(keep), a.labels...))
	var batch, ms, ns, ks []int
	y := einView[T]{}
	size := func(ls []int) (int, error) {
		sizes := make([]int, len(ls))
		for i, l := range ls {
			n, _ := a.of(l)
			m, _ := b.of(l)
			sizes[i] = max(n, m)
			if n == 0 || m == 0 {
				sizes[i] = 0
			}
		}
		return tensor.Count(sizes)
	}
	for _, l := range a.labels {
		switch inB, kept := slices.Contains(b.labels, l), slices.Contains(keep, l); {
		case inB && kept:
			batch = append(batch, l)
		case inB:
			ks = append(ks, l)
		default:
			ms = append(ms, l)
		}
	}
	for _, l := range b.labels {
		if !slices.Contains(a.labels, l) {
			ns = append(ns, l)
		}
	}
	y.labels = slices.Concat(batch, ms, ns)
	for _, l := range y.labels {
		n, _ := a.of(l)
		if !slices.Contains(a.labels, l) {
			n, _ = b.of(l)
		}
		y.sizes = append(y.sizes, n)
	}
	y.strides = tensor.Strides(y.sizes)
	total, err := tensor.Count(y.sizes)
	if err != nil {
		return y, err
	}
	y.data = Scratch[T](c, total)
	if total == 0 {
		return y, nil
	}
	nb, _ := size(batch)
	m, _ := size(ms)
	n, _ := size(ns)
	k, err := size(ks)
	if err != nil {
		return y, err
	}
	g := gemm.Args[T]{M: m, N: n, K: k, ARS: k, ACS: 1, BRS: n, BCS: 1, LDC: n}
	aOrder, bOrder := slices.Concat(batch, ms, ks), slices.Concat(batch, ks, ns)
	// Either order of rows and columns will do: the one that is there is not copied.
	if o := slices.Concat(batch, ks, ms); !second(a.dense(aOrder)) && second(a.dense(o)) {
		aOrder, g.ARS, g.ACS = o, 1, m
	}
	if o := slices.Concat(batch, ns, ks); !second(b.dense(bOrder)) && second(b.dense(o)) {
		bOrder, g.BRS, g.BCS = o, 1, k
	}
	ad, bd := a.in(c, aOrder), b.in(c, bOrder)
	gemm.RunBatch(c.P, nb, func(i int) gemm.Args[T] {
		g := g
		g.A, g.B, g.C = ad[i*m*k:], bd[i*k*n:], y.data[i*m*n:]
		return g
	})
	return y, nil
}

func second(_ int, ok bool) bool { return ok }
