package ops

import (
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
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
func newEinView[T gemm.Number](c *Call, data []T, shape, labels []int, sizes einLengths) einView[T] {
	n := len(labels)
	v := einView[T]{data, c.Dims(n)[:0], c.Dims(n)[:0], c.Dims(n)[:0]}
	strides := c.strides(shape)
	for i, l := range labels {
		if shape[i] == 1 && sizes.of(l) != 1 {
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
	strides := c.Dims(last)
	for i := range strides {
		_, strides[i] = v.of(order[i])
	}
	par.Run(c.P, len(dst)/n, max(1, (1<<15)/n), par.With(einCopy[T]{dst, v.data, shape[:last], strides, n, inner}))
}

// einCopy copies rows of n elements.
type einCopy[T gemm.Number] struct {
	dst, src       []T
	shape, strides []int // of rows
	n, inner       int
}

// Chunk copies rows [lo, hi).
func (a *einCopy[T]) Chunk(lo, hi int) {
	o := odometer{shape: a.shape, as: a.strides, bs: a.strides}
	o.seek(lo)
	for r := lo; r < hi; r++ {
		row := a.dst[r*a.n : (r+1)*a.n]
		if a.inner == 1 {
			copy(row, a.src[o.a:])
		} else {
			for i, at := 0, o.a; i < a.n; i, at = i+1, at+a.inner {
				row[i] = a.src[at]
			}
		}
		o.next()
	}
}

// in returns v as a dense array in the given order, in place where it is one.
func (v *einView[T]) in(c *Call, order []int) []T {
	n, ok := v.dense(order)
	if ok {
		return v.data
	}
	shape := c.Dims(len(order))
	for i, l := range order {
		shape[i], _ = v.of(l)
	}
	dst := Scratch[T](c, n)
	v.copyTo(c, dst, order, shape)
	return dst
}

// sum adds up the dimensions whose labels are not kept; floats in float64.
func (v einView[T]) sum(c *Call, keep []int) einView[T] {
	order := c.Dims(len(v.labels))[:0]
	out := einView[T]{sizes: c.Dims(len(v.labels))[:0]}
	total, each := 1, 1
	for i, l := range v.labels {
		if slices.Contains(keep, l) {
			order, out.sizes = append(order, l), append(out.sizes, v.sizes[i])
			total *= v.sizes[i]
		}
	}
	out.labels = order
	if len(order) == len(v.labels) {
		return v
	}
	for i, l := range v.labels {
		if !slices.Contains(keep, l) {
			order = append(order, l)
			each *= v.sizes[i]
		}
	}
	src := v.in(c, order)
	out.strides = c.strides(out.sizes)
	out.data = Scratch[T](c, total)
	par.Run(c.P, total, max(1, (1<<15)/max(each, 1)), par.With(einSums[T]{out.data, src, each, dtypeOf[T]().IsFloat()}))
	return out
}

// einSums adds up rows of n elements.
type einSums[T gemm.Number] struct {
	dst, src []T
	n        int
	floats   bool
}

// Chunk adds up rows [lo, hi).
func (a *einSums[T]) Chunk(lo, hi int) {
	for i := lo; i < hi; i++ {
		row := a.src[i*a.n : (i+1)*a.n]
		if a.floats {
			var s float64
			for _, x := range row {
				s += float64(x)
			}
			a.dst[i] = T(s)
			continue
		}
		var s T
		for _, x := range row {
			s += x
		}
		a.dst[i] = s
	}
}

// einContract multiplies a and b and sums over the labels that are not in keep,
// as a batch of products of matrices.
func einContract[T gemm.Number](c *Call, a, b einView[T], keep []int) (einView[T], error) {
	// What only one of them has, and nobody wants, is summed first.
	a, b = a.sum(c, c.joined(keep, b.labels, nil)), b.sum(c, c.joined(keep, a.labels, nil))
	la, lb := len(a.labels), len(b.labels)
	batch, ms, ns, ks := c.Dims(la)[:0], c.Dims(la)[:0], c.Dims(lb)[:0], c.Dims(la)[:0]
	y := einView[T]{sizes: c.Dims(la + lb)[:0]}
	sizes := c.Dims(la + lb)
	size := func(ls []int) (int, error) {
		for i, l := range ls {
			n, _ := a.of(l)
			m, _ := b.of(l)
			sizes[i] = max(n, m)
			if n == 0 || m == 0 {
				sizes[i] = 0
			}
		}
		return tensor.Count(sizes[:len(ls)])
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
	y.labels = c.joined(batch, ms, ns)
	for _, l := range y.labels {
		n, _ := a.of(l)
		if !slices.Contains(a.labels, l) {
			n, _ = b.of(l)
		}
		y.sizes = append(y.sizes, n)
	}
	y.strides = c.strides(y.sizes)
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
	st := State[matState[T]](c)
	defer st.clear()
	g := &st.Args
	*g = gemm.Args[T]{M: m, N: n, K: k, ARS: k, ACS: 1, BRS: n, BCS: 1, LDC: n}
	aOrder, bOrder := c.joined(batch, ms, ks), c.joined(batch, ks, ns)
	// Either order of rows and columns will do: the one that is there is not copied.
	if o := c.joined(batch, ks, ms); !second(a.dense(aOrder)) && second(a.dense(o)) {
		aOrder, g.ARS, g.ACS = o, 1, m
	}
	if o := c.joined(batch, ns, ks); !second(b.dense(bOrder)) && second(b.dense(o)) {
		bOrder, g.BRS, g.BCS = o, 1, k
	}
	g.A, g.B, g.C = a.in(c, aOrder), b.in(c, bOrder), y.data
	st.AO, st.BO, st.CO = c.Dims(nb), c.Dims(nb), m*n
	for i := range nb {
		st.AO[i], st.BO[i] = i*m*k, i*k*n
	}
	st.Run(c.P, nb)
	return y, nil
}

// joined returns the elements of three lists one after the other, valid until the call ends.
func (c *Call) joined(x, y, z []int) []int {
	return append(append(append(c.Dims(len(x) + len(y) + len(z))[:0], x...), y...), z...)
}

func second(_ int, ok bool) bool { return ok }
