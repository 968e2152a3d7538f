package quantize

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// grid is the set of integers that a type of quantised tensors uses.
type grid struct {
	dtype     tensor.DType
	lo, hi    int
	symmetric bool
}

// gridOf returns the integers of d, of 4, 8 or 16 bits. A symmetric grid has as
// many below its middle as above, which is its zero point: the least integer is
// not used. A reduced one has half as many (7 of 8 bits), so that sums of two
// products of bytes fit 16 bits.
func gridOf(d tensor.DType, symmetric, reduced bool) (grid, error) {
	bits := d.Bits()
	if !d.IsInt() || bits != 4 && bits != 8 && bits != 16 {
		return grid{}, fmt.Errorf("quantize: %v is no type to quantise to: it is int or uint of 4, 8 or 16 bits", d)
	}
	if reduced {
		bits--
	}
	g := grid{d, 0, 1<<bits - 1, symmetric}
	if d.IsSigned() {
		g.lo, g.hi = -1<<(bits-1), 1<<(bits-1)-1
	}
	if symmetric {
		g.lo++
	}
	return g, nil
}

// affine is a scale and a zero point: the integer q stands for (q - zero)·scale.
type affine struct {
	scale float32
	zero  int
}

// minScale is the least scale used. Smaller ones are not normal, or become so in
// products with others.
const minScale = 0x1p-100

// affine returns the parameters with which g represents r, and 0 exactly, so
// that padding and the results of Relu are. An empty range (0, 0) has scale 1.
func (g grid) affine(r Range) affine {
	lo, hi := min(float64(r.Lo), 0), max(float64(r.Hi), 0)
	zero := 0
	if g.symmetric {
		zero = (g.lo + g.hi) / 2
		hi = max(hi, -lo)
		lo = 0
	}
	steps := float64(g.hi - g.lo)
	if g.symmetric {
		steps = float64(g.hi - zero)
	}
	scale := float32((hi - lo) / steps)
	switch {
	case hi == lo:
		scale = 1
	case scale < minScale:
		scale = minScale
	}
	if !g.symmetric {
		zero = int(min(max(math.RoundToEven(float64(g.lo)-lo/float64(scale)), float64(g.lo)), float64(g.hi)))
	}
	return affine{scale, zero}
}

// code returns the integer of g that stands for x: QuantizeLinear's formula,
// with the division in float32 and halves rounded to even.
func (g grid) code(x float32, a affine) int {
	q := math.RoundToEven(float64(x/a.scale)) + float64(a.zero)
	switch {
	case !(q > float64(g.lo)): // NaN as well
		return g.lo
	case q > float64(g.hi):
		return g.hi
	}
	return int(q)
}

// finiteRange returns the least and greatest of x, (0, 0) of none; ok is false
// if one is NaN or infinite.
func finiteRange(x []float32) (r Range, ok bool) {
	for i, v := range x {
		if !isFinite(v) {
			return Range{}, false
		}
		if i == 0 {
			r = Range{v, v}
		}
		r.Lo, r.Hi = min(r.Lo, v), max(r.Hi, v)
	}
	return r, true
}

// finite reports whether r is an interval of finite numbers.
func (r Range) finite() bool { return isFinite(r.Lo) && isFinite(r.Hi) && r.Lo <= r.Hi }

func isFinite(v float32) bool { return v-v == 0 }

// union returns the least range that holds both.
func (r Range) union(q Range) Range { return Range{min(r.Lo, q.Lo), max(r.Hi, q.Hi)} }

// granularity says which elements of a tensor have a scale in common: all (axis
// < 0), those with one index of axis (block 0), or blocks along axis. With rows
// the dimensions before axis are part of it, as if they had been joined.
type granularity struct {
	axis, block int
	rows        bool
}

// perTensor is one scale for all.
var perTensor = granularity{axis: -1}

// parts splits a shape at p's axis: element (o, c, i) has parameters part(…).
type parts struct {
	outer, n, inner int
	blocks          int // 0: not by blocks
	block           int
	whole           bool
	shape           []int // of the scales
}

func (p granularity) parts(shape []int) parts {
	s := parts{outer: 1, n: 1, inner: 1}
	if p.axis < 0 {
		for _, d := range shape {
			s.inner *= d
		}
		s.whole = true
		return s
	}
	for i, d := range shape {
		switch {
		case i < p.axis && !p.rows:
			s.outer *= d
		case i <= p.axis:
			s.n *= d
		default:
			s.inner *= d
		}
	}
	if p.block > 0 {
		s.block, s.blocks = p.block, (s.n+p.block-1)/p.block
		s.shape = append([]int(nil), shape...)
		s.shape[p.axis] = s.blocks
	} else {
		s.shape = []int{s.n}
	}
	return s
}

// count returns the number of parameters.
func (s parts) count() int {
	switch {
	case s.whole:
		return 1
	case s.blocks > 0:
		return s.outer * s.blocks * s.inner
	}
	return s.n
}

// at returns the index of the parameters of element (o, c, i).
func (s parts) at(o, c, i int) int {
	switch {
	case s.whole:
		return 0
	case s.blocks > 0:
		return (o*s.blocks+c/s.block)*s.inner + i
	}
	return c
}

// each calls f with the index of each element and that of its parameters.
func (s parts) each(f func(i, part int)) {
	k := 0
	for o := range s.outer {
		for c := range s.n {
			for i := range s.inner {
				f(k, s.at(o, c, i))
				k++
			}
		}
	}
}

// ranges returns the range of each part of x; ok is false if an element is not finite.
func (s parts) ranges(x []float32) (rs []Range, ok bool) {
	rs, ok = make([]Range, s.count()), true
	s.each(func(i, p int) { // 0 is in all ranges anyway
		v := x[i]
		ok = ok && isFinite(v)
		rs[p].Lo, rs[p].Hi = min(rs[p].Lo, v), max(rs[p].Hi, v)
	})
	return rs, ok
}

// integers is a tensor of integers with its parameters, the inputs of DequantizeLinear.
type integers struct {
	codes, scale, zero *tensor.Tensor
	by                 granularity
}

// quantizeBy returns x, a float32 tensor, on the grid g with the given
// parameters, of which there are as many as by asks for.
func (g grid) quantizeBy(x *tensor.Tensor, by granularity, ps []affine) integers {
	s := by.parts(x.Shape())
	q := integers{tensor.New(g.dtype, x.Shape()...), tensor.New(tensor.Float32, s.shape...), tensor.New(g.dtype, s.shape...), by}
	for i, p := range ps {
		tensor.Data[float32](q.scale)[i] = p.scale
		setCode(q.zero, i, p.zero)
	}
	data := tensor.Data[float32](x)
	if g.dtype.Size() == 1 {
		bytes := q.codes.Bytes()
		s.each(func(i, p int) { bytes[i] = byte(g.code(data[i], ps[p])) })
		return q
	}
	s.each(func(i, p int) { setCode(q.codes, i, g.code(data[i], ps[p])) })
	return q
}

// byRow returns q with what was joined to its axis as one dimension, the first,
// which DequantizeLinear has an axis for. Where one row of that is all, q keeps its dimensions.
func (q integers) byRow() integers {
	if !q.by.rows {
		return q
	}
	q.by.rows = false
	if n := q.scale.Len(); n != q.codes.Dim(q.by.axis) {
		q.codes, _ = q.codes.Reshape(append([]int{n}, q.codes.Shape()[q.by.axis+1:]...)...) // as many elements
		q.by.axis = 0
	}
	return q
}

// allZero reports whether all elements of t, a tensor of integers, are 0.
func allZero(t *tensor.Tensor) bool {
	return !slices.ContainsFunc(t.Bytes(), func(b byte) bool { return b != 0 })
}

// setCode makes element i of t, a tensor of integers of up to 32 bits, be v.
func setCode(t *tensor.Tensor, i, v int) {
	switch t.DType() {
	case tensor.Int8, tensor.Uint8:
		t.Bytes()[i] = byte(v)
	case tensor.Int16:
		tensor.Data[int16](t)[i] = int16(v)
	case tensor.Uint16:
		tensor.Data[uint16](t)[i] = uint16(v)
	case tensor.Int32:
		tensor.Data[int32](t)[i] = int32(v)
	default:
		t.SetPackedCode(i, uint8(v))
	}
}

// scalarCode returns a tensor of type d and no dimensions that holds v.
func scalarCode(d tensor.DType, v int) *tensor.Tensor {
	t := tensor.New(d)
	setCode(t, 0, v)
	return t
}
