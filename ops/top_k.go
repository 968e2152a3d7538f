package ops

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/forest"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
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
	of := func(keys orderKeys) Kernel { return topKKernel(axis, largest, k, keys) }
	return b.dispatch(0, realTypes(
		of(float32Keys), of(float64Keys),
		of(signedKeys[int8]), of(signedKeys[int16]), of(signedKeys[int32]), of(signedKeys[int64]),
		of(unsignedKeys[uint8]), of(unsignedKeys[uint16]), of(unsignedKeys[uint32]), of(unsignedKeys[uint64])))
}

// orderKeys sets keys to numbers that are ordered as the elements of x at places at,
// at + step, … are; NaN comes last, and -0 is 0. Keys have as many bits as elements.
type orderKeys func(keys []uint64, x *tensor.Tensor, at, step int)

func signedKeys[T int8 | int16 | int32 | int64](keys []uint64, x *tensor.Tensor, at, step int) {
	col, least := tensor.Data[T](x)[at:], uint64(1)<<(x.DType().Bits()-1)
	for i := range keys {
		keys[i] = uint64(int64(col[i*step])) + least
	}
}

func unsignedKeys[T uint8 | uint16 | uint32 | uint64](keys []uint64, x *tensor.Tensor, at, step int) {
	col := tensor.Data[T](x)[at:]
	for i := range keys {
		keys[i] = uint64(col[i*step])
	}
}

func float32Keys(keys []uint64, x *tensor.Tensor, at, step int) {
	col := tensor.Data[float32](x)[at:]
	for i := range keys {
		v := col[i*step]
		key := forest.Key(v)
		if v != v {
			key = math.MaxUint32
		}
		keys[i] = uint64(key)
	}
}

func float64Keys(keys []uint64, x *tensor.Tensor, at, step int) {
	col := tensor.Data[float64](x)[at:]
	for i := range keys {
		v := col[i*step]
		keys[i] = treeKey64(v)
		if v != v {
			keys[i] = math.MaxUint64
		}
	}
}

// ranked is the key of an element with its place; larger keys come first, and of
// equal ones the lower place.
type ranked struct {
	key uint64
	at  int
}

func (a ranked) before(b ranked) bool { return a.key > b.key || a.key == b.key && a.at < b.at }

// selectTop leaves the first of the elements with the given keys in h, in order. h
// is a heap whose root is the last of those kept.
func selectTop(h []ranked, keys []uint64) {
	k := len(h)
	down := func(i int) {
		for {
			c := 2*i + 1
			if c >= k {
				return
			}
			if c+1 < k && h[c].before(h[c+1]) {
				c++
			}
			if !h[i].before(h[c]) {
				return
			}
			h[i], h[c] = h[c], h[i]
			i = c
		}
	}
	for i := range h {
		h[i] = ranked{keys[i], i}
	}
	if k < len(keys) {
		for i := k/2 - 1; i >= 0; i-- {
			down(i)
		}
		for i := k; i < len(keys); i++ {
			if e := (ranked{keys[i], i}); e.before(h[0]) {
				h[0] = e
				down(0)
			}
		}
	}
	slices.SortFunc(h, func(a, b ranked) int {
		switch {
		case a.at == b.at:
			return 0
		case a.before(b):
			return -1
		}
		return 1
	})
}

func topKKernel(axis int, largest bool, count func(*Call) (int, error), keys orderKeys) Kernel {
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
		shape := c.list(s...)
		shape[a] = k
		y, idx := c.Output(0, x.DType(), shape...), c.Output(1, tensor.Int64, shape...)
		if y.Len() == 0 {
			return nil
		}
		flip := ^uint64(0)
		if x.DType().Bits() <= 32 {
			flip = math.MaxUint32
		}
		t := topK{x: x, y: y, at: tensor.Data[int64](idx), n: s[a], inner: sizeOf(s[a+1:]), k: k, flip: flip}
		if largest {
			t.flip = 0
		}
		t.keys, t.few = keys, flip == math.MaxUint32 && t.n < math.MaxInt32
		par.Each(c.P, sizeOf(s[:a])*t.inner, max(1, moveGrain/t.n), t, (*topK).run)
		return nil
	}
}

// topK is a selection of k of n elements that lie inner elements apart.
type topK struct {
	x, y        *tensor.Tensor
	at          []int64
	n, inner, k int
	flip        uint64 // turns the order of keys
	keys        func(dst []uint64, x *tensor.Tensor, from, step int)
	few         bool // keys have at most 32 bits
}

type topMemory struct {
	all []uint64
	h   []ranked
}

// run makes selections [lo, hi).
func (t *topK) run(lo, hi int) {
	mem, pool := borrow[topMemory]()
	defer pool.Put(mem)
	mem.all = slices.Grow(mem.all[:0], t.n)[:t.n]
	for u := lo; u < hi; u++ {
		from, to := u/t.inner*t.n*t.inner+u%t.inner, u/t.inner*t.k*t.inner+u%t.inner
		if t.x.DType() == tensor.Float32 && t.inner == 1 && t.few && t.k <= fewTop && t.n >= 4*topBlock {
			t.fewFloats(mem.all[:topBlock], from, to)
			t.take(from, to)
			continue
		}
		t.keys(mem.all, t.x, from, t.inner)
		if t.few {
			t.packed(mem.all, to)
		} else {
			mem.h = t.wide(mem.all, mem.h, to)
		}
		t.take(from, to)
	}
}

// packed sets at[to], at[to+inner], … to the places of the first elements, by keys of
// at most 32 bits. An element and its place are one number, larger the earlier it
// comes: the key above, and below it the places from behind.
func (t *topK) packed(all []uint64, to int) {
	if t.k <= fewTop && t.k < len(all) {
		var top [fewTop]uint64
		t.fewOf(top[:t.k], all, 0)
		for i, v := range top[:t.k] {
			t.at[to+i*t.inner] = int64(math.MaxUint32 - uint32(v))
		}
		return
	}
	for i, key := range all {
		all[i] = (key^t.flip)<<32 | uint64(math.MaxUint32-uint32(i))
	}
	largestOf(all, t.k)
	top := all[:t.k]
	slices.Sort(top)
	for i := range top {
		t.at[to+i*t.inner] = int64(math.MaxUint32 - uint32(top[t.k-1-i]))
	}
}

// fewTop is the most elements that are kept in order while all others are looked at once.
const fewTop = 16

// fewOf sets top, of which there is at least one, to what packed calls the numbers of the
// first elements, in order, of those in top and those with keys all, whose places begin at first. None
// of these is 0.
func (t *topK) fewOf(top, all []uint64, first int) {
	last := len(top) - 1
	for i, key := range all {
		v := (key^t.flip)<<32 | uint64(math.MaxUint32-uint32(first+i))
		if v <= top[last] {
			continue
		}
		j := last
		for ; j > 0 && top[j-1] < v; j-- {
			top[j] = top[j-1]
		}
		top[j] = v
	}
}

// topBlock is the number of elements of which only the extreme is looked at where it is not among the first.
const topBlock = 64

// fewFloats is packed for few elements of many that lie one after the other; keys is memory.
func (t *topK) fewFloats(keys []uint64, from, to int) {
	x, v := tensor.Data[float32](t.x)[from:][:t.n], vec.Best()
	var top [fewTop]uint64
	bound := float32(0) // the last of the first elements so far
	for b := 0; b < t.n; b += topBlock {
		block := x[b:min(b+topBlock, t.n)]
		if b > 0 && (t.flip == 0 && v.Largest(block) <= bound || t.flip != 0 && v.Smallest(block) >= bound) {
			continue // an extreme that is no number is not compared
		}
		keys := keys[:len(block)]
		t.keys(keys, t.x, from+b, 1)
		t.fewOf(top[:t.k], keys, b)
		bound = x[math.MaxUint32-uint32(top[t.k-1])]
	}
	for i, v := range top[:t.k] {
		t.at[to+i] = int64(math.MaxUint32 - uint32(v))
	}
}

// wide is packed for any keys; h is memory that it returns for the next call.
func (t *topK) wide(all []uint64, h []ranked, to int) []ranked {
	for i := range all {
		all[i] ^= t.flip
	}
	h = slices.Grow(h[:0], t.k)[:t.k]
	selectTop(h, all)
	for i, e := range h {
		t.at[to+i*t.inner] = int64(e.at)
	}
	return h
}

// take copies the elements at the places that were found.
func (t *topK) take(from, to int) {
	switch t.x.DType().Bits() {
	case 8:
		takeAt(wordsOf[uint8](t.y)[to:], wordsOf[uint8](t.x)[from:], t.at[to:], t.k, t.inner)
	case 16:
		takeAt(wordsOf[uint16](t.y)[to:], wordsOf[uint16](t.x)[from:], t.at[to:], t.k, t.inner)
	case 32:
		takeAt(wordsOf[uint32](t.y)[to:], wordsOf[uint32](t.x)[from:], t.at[to:], t.k, t.inner)
	default:
		takeAt(wordsOf[uint64](t.y)[to:], wordsOf[uint64](t.x)[from:], t.at[to:], t.k, t.inner)
	}
}

func takeAt[T any](y, x []T, at []int64, k, step int) {
	for i := 0; i < k*step; i += step {
		y[i] = x[int(at[i])*step]
	}
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
