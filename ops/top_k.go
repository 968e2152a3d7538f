package ops

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TopK: the K largest (or smallest) elements along axis and their indices, in
// order; of equal elements the one with the lower index comes first. NaN
// counts as larger than every number.
//
//	X: T[..., n, ...], K: int64[1]    Values: T[..., K, ...], Indices: int64[..., K, ...]
//
// T is any real type. The order is the same with sorted 0.
//
// Spec: https://onnx.ai/onnx/operators/onnx__TopK.html
func init() {
	register(&Op{
		Name: "TopK",
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(2), Infer: inferTopK1, Build: buildTopK1},
			{Since: 10, In: N(2), Out: N(2), Infer: inferTopK, Build: buildTopK},
			// 11 added largest and sorted.
		},
	})
}

func gradTopK(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.scatteredAdd(c.X(0), c.Save(1), c.DOut[0], c.Attr.Int("axis", -1))}
}

func inferTopK1(c *InferContext) error { return inferTopKOf(c, onnx.Size(c.Int("k", 0))) }

func inferTopK(c *InferContext) error {
	var k onnx.Dim
	if v, ok := c.KnownInts(1); ok && len(v) == 1 {
		k = v[0]
	}
	return inferTopKOf(c, k)
}

func inferTopKOf(c *InferContext, k onnx.Dim) error {
	x := c.In(0)
	axis := c.Int("axis", -1)
	for i, d := range []tensor.DType{x.DType, tensor.Int64} {
		if i >= len(c.Out) {
			break
		}
		c.Out[i] = onnx.UnrankedType(d)
		if !x.Ranked {
			continue
		}
		a, err := tensor.Axis(axis, len(x.Dims))
		if err != nil {
			return err
		}
		dims := append([]onnx.Dim{}, x.Dims...)
		dims[a] = k
		c.Out[i] = onnx.TensorType(d, dims...)
	}
	return nil
}

func buildTopK1(b *BuildContext) (Kernel, error) {
	k := b.Int("k", 0)
	return topKTypes(b, func(*Call) (int, error) { return k, nil })
}

func buildTopK(b *BuildContext) (Kernel, error) {
	return topKTypes(b, func(c *Call) (int, error) { return c.one(1) })
}

func topKTypes(b *BuildContext, k func(*Call) (int, error)) (Kernel, error) {
	axis, largest := b.Int("axis", -1), b.Bool("largest", true)
	b.Ignore("sorted")
	return b.dispatch(0, realTypes(
		topKKernel[float32](axis, largest, k), topKKernel[float64](axis, largest, k),
		topKKernel[int8](axis, largest, k), topKKernel[int16](axis, largest, k),
		topKKernel[int32](axis, largest, k), topKKernel[int64](axis, largest, k),
		topKKernel[uint8](axis, largest, k), topKKernel[uint16](axis, largest, k),
		topKKernel[uint32](axis, largest, k), topKKernel[uint64](axis, largest, k)))
}

// ranked is an element with its place.
type ranked[T scatterCell] struct {
	v  T
	at int
}

// beforeLargest reports whether a comes before b among the largest.
func beforeLargest[T scatterCell](a, b ranked[T]) bool {
	switch {
	case a.v > b.v:
		return true
	case a.v < b.v:
		return false
	case a.v == b.v:
		return a.at < b.at
	}
	if an, bn := a.v != a.v, b.v != b.v; an != bn {
		return an
	}
	return a.at < b.at
}

// beforeSmallest reports whether a comes before b among the smallest.
func beforeSmallest[T scatterCell](a, b ranked[T]) bool {
	switch {
	case a.v < b.v:
		return true
	case a.v > b.v:
		return false
	case a.v == b.v:
		return a.at < b.at
	}
	if an, bn := a.v != a.v, b.v != b.v; an != bn {
		return bn
	}
	return a.at < b.at
}

// selectTop leaves the first k of the elements that v gives in h, in order. h
// has length k; it is a heap whose root is the last of those kept.
func selectTop[T scatterCell](h []ranked[T], n int, v func(i int) T, before func(a, b ranked[T]) bool) {
	k := len(h)
	down := func(i int) {
		for {
			c := 2*i + 1
			if c >= k {
				return
			}
			if c+1 < k && before(h[c], h[c+1]) {
				c++
			}
			if !before(h[i], h[c]) {
				return
			}
			h[i], h[c] = h[c], h[i]
			i = c
		}
	}
	for i := range h {
		h[i] = ranked[T]{v(i), i}
	}
	if k < n {
		for i := k/2 - 1; i >= 0; i-- {
			down(i)
		}
		for i := k; i < n; i++ {
			if e := (ranked[T]{v(i), i}); before(e, h[0]) {
				h[0] = e
				down(0)
			}
		}
	}
	slices.SortFunc(h, func(a, b ranked[T]) int {
		switch {
		case a.at == b.at:
			return 0
		case before(a, b):
			return -1
		}
		return 1
	})
}

func topKKernel[T scatterCell](axis int, largest bool, count func(*Call) (int, error)) Kernel {
	before := beforeSmallest[T]
	if largest {
		before = beforeLargest[T]
	}
	return func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		a, err := tensor.Axis(axis, len(s))
		if err != nil {
			return err
		}
		k, err := count(c)
		if err != nil {
			return err
		}
		if k < 0 || k > s[a] {
			return fmt.Errorf("K is %d, want between 0 and %d", k, s[a])
		}
		shape := append([]int{}, s...)
		shape[a] = k
		y, idx := c.Output(0, x.DType(), shape...), c.Output(1, tensor.Int64, shape...)
		if y.Len() == 0 {
			return nil
		}
		d, vals, at := tensor.Data[T](x), tensor.Data[T](y), tensor.Data[int64](idx)
		outer, n, inner := sizeOf(s[:a]), s[a], sizeOf(s[a+1:])
		if d, ok := any(d).([]float32); ok && n < math.MaxInt32 {
			topKFloats(c.P, any(vals).([]float32), at, d, outer, n, inner, k, largest)
			return nil
		}
		c.P.For(outer*inner, max(1, moveGrain/n), func(lo, hi int) {
			h := make([]ranked[T], k)
			for u := lo; u < hi; u++ {
				col := d[u/inner*n*inner+u%inner:]
				selectTop(h, n, func(i int) T { return col[i*inner] }, before)
				to := u/inner*k*inner + u%inner
				for i, e := range h {
					vals[to+i*inner], at[to+i*inner] = e.v, int64(e.at)
				}
			}
		})
		return nil
	}
}

// topKFloats is TopK of float32. An element and its place are one number,
// larger the earlier it comes: the order of the elements above, and below it
// the places from behind.
func topKFloats(p par.P, vals []float32, at []int64, d []float32, outer, n, inner, k int, largest bool) {
	flip := uint32(math.MaxUint32)
	if largest {
		flip = 0
	}
	p.For(outer*inner, max(1, moveGrain/n), func(lo, hi int) {
		all := make([]uint64, n)
		for u := lo; u < hi; u++ {
			col := d[u/inner*n*inner+u%inner:]
			for i := range all {
				b := math.Float32bits(col[i*inner] + 0) // -0 is 0
				switch {
				case b&math.MaxInt32 > 0x7f800000: // NaN
					b = math.MaxUint32
				case b>>31 != 0:
					b = ^b
				default:
					b |= 1 << 31
				}
				all[i] = uint64(b^flip)<<32 | uint64(math.MaxUint32-uint32(i))
			}
			largestOf(all, k)
			top := all[:k]
			slices.Sort(top)
			to := u/inner*k*inner + u%inner
			for i := range k {
				j := int(math.MaxUint32 - uint32(top[k-1-i]))
				vals[to+i*inner], at[to+i*inner] = col[j*inner], int64(j)
			}
		}
	})
}

// largestOf moves the k largest of x, which are all different, to its front.
func largestOf(x []uint64, k int) {
	for depth := 2 * bits.Len(uint(len(x))); k > 0 && k < len(x); depth-- {
		if depth == 0 || len(x) < 16 {
			slices.SortFunc(x, func(a, b uint64) int { return cmp.Compare(b, a) })
			break
		}
		a, b, c := x[0], x[len(x)/2], x[len(x)-1]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := 0, len(x)-1 // x[:i] >= pivot, x[j+1:] <= pivot
		for i <= j {
			for x[i] > pivot {
				i++
			}
			for x[j] < pivot {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i++
				j--
			}
		}
		switch { // x[:j+1] >= pivot >= x[i:]
		case k <= j+1:
			x = x[:j+1]
		case k >= i:
			x, k = x[i:], k-i
		default:
			k = 0 // the elements between are the pivot
		}
	}
}
