package ops

import (
	"fmt"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// What the operators that gather and scatter by index tensors share.

// inferFirst gives output 0 the type of input 0, an operator that writes into
// a copy of it.
func inferFirst(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if x.Ranked {
		c.Out[0] = onnx.TensorType(x.DType, x.Dims...)
	}
	return nil
}

// elementOffsets returns, for each element of indices (input 1, of shape ishape),
// the offset in data of the element at the same place, with the index along axis
// replaced by the one given. Where indices are the same all along the last dimension,
// which is not axis, as Expand makes them of one index per row, these are the offsets
// of rows; n is the number of elements of each, else 1.
func elementOffsets(c *Call, axis int, data []int) (out []int64, n int, err error) {
	ishape := c.T(1).Shape()
	if err := checkElements(ishape, data, axis); err != nil {
		return nil, 0, err
	}
	idx, err := c.indices(1, data[axis])
	if err != nil {
		return nil, 0, err
	}
	if len(idx) == 0 {
		return nil, 1, nil
	}
	walk := c.strides(data)
	st := walk[axis]
	walk[axis] = 0
	last := len(ishape) - 1
	n = ishape[last]
	rows, whole := len(idx)/n, axis != last && sameInRows(idx, n)
	if whole {
		out = Scratch[int64](c, rows)
	} else {
		out = Scratch[int64](c, len(idx))
	}
	par.Each(c.P, rows, max(1, moveGrain/n), offsetRows{out, idx, ishape[:last], walk, n, st, whole}, (*offsetRows).run)
	if whole {
		return out, n, nil
	}
	return out, 1, nil
}

// checkElements reports whether indices of the given shape name elements along axis of data.
func checkElements(indices, data []int, axis int) error {
	if len(indices) != len(data) {
		return fmt.Errorf("indices has shape %v, want rank %d as data", indices, len(data))
	}
	for i, d := range indices {
		if i != axis && d > data[i] {
			return fmt.Errorf("indices has shape %v, data %v: dimension %d is larger", indices, data, i)
		}
	}
	return nil
}

// wholeRows reports whether all elements of each row of t are the same, and the last dimension is not axis.
func wholeRows(t *tensor.Tensor, axis int) bool {
	return axis != t.Rank()-1 && sameInRows(tensor.Data[int64](t), t.Dim(-1))
}

// offsetRows is the work of elementOffsets, row by row.
type offsetRows struct {
	out, idx    []int64
	shape, walk []int
	n, stride   int
	whole       bool
}

func (a *offsetRows) run(lo, hi int) {
	last := len(a.shape)
	o := odometer{shape: a.shape, as: a.walk[:last], bs: a.walk[:last]}
	o.seek(lo)
	for r := lo; r < hi; r++ {
		if a.whole {
			a.out[r] = int64(o.a + int(a.idx[r*a.n])*a.stride)
			o.next()
			continue
		}
		idx := a.idx[r*a.n:][:a.n]
		to, at, step, stride := a.out[r*a.n:][:len(idx)], int64(o.a), int64(a.walk[last]), int64(a.stride)
		for j, v := range idx {
			to[j] = at + v*stride
			at += step
		}
		o.next()
	}
}

// sameInRows reports whether all elements of each row of n are the same.
func sameInRows(x []int64, n int) bool {
	for ; len(x) >= n; x = x[n:] {
		for _, v := range x[1:n] {
			if v != x[0] {
				return false
			}
		}
	}
	return true
}

// tupleOffsets returns, for each tuple in the last dimension of indices (input
// 1), the offset in data that it names, and the number of elements of the block
// there. The first batch dimensions are shared.
func tupleOffsets(c *Call, data []int, batch int) ([]int64, int, error) {
	t := c.T(1)
	ishape := t.Shape()
	if len(ishape) == 0 || len(data) == 0 {
		return nil, 0, fmt.Errorf("data has shape %v, indices %v, want rank at least 1", data, ishape)
	}
	if batch < 0 || batch >= len(ishape) || batch >= len(data) {
		return nil, 0, fmt.Errorf("batch_dims is %d, want less than the ranks of data %v and indices %v", batch, data, ishape)
	}
	for i := range batch {
		if data[i] != ishape[i] {
			return nil, 0, fmt.Errorf("data has shape %v, indices %v: the first %d dimensions differ", data, ishape, batch)
		}
	}
	k := ishape[len(ishape)-1]
	if k < 1 || k > len(data)-batch {
		return nil, 0, fmt.Errorf("indices has shape %v: tuples of %d, want between 1 and %d", ishape, k, len(data)-batch)
	}
	count := sizeOf(ishape[:len(ishape)-1])
	block := sizeOf(data[batch+k:])
	if d := t.DType(); k == 1 && batch == 0 && (d == tensor.Int64 || d == tensor.Int32) {
		idx, err := c.indices(1, data[0])
		if err != nil {
			return nil, 0, err
		}
		if block == 1 {
			return idx, block, nil
		}
		out := Scratch[int64](c, count)
		for i, x := range idx {
			out[i] = x * int64(block)
		}
		return out, block, nil
	}
	v, err := c.Ints(1)
	if err != nil {
		return nil, 0, err
	}
	strides := c.strides(data)
	out := Scratch[int64](c, count)
	each := sizeOf(data[batch:])
	per := 1
	if batch > 0 {
		per = max(1, count/max(1, sizeOf(data[:batch])))
	}
	for i := range out {
		off := 0
		if batch > 0 {
			off = i / per * each
		}
		for j, x := range v[i*k : i*k+k] {
			n := data[batch+j]
			if x < -n || x >= n {
				return nil, 0, fmt.Errorf("index %d is not in [%d, %d]", x, -n, n-1)
			}
			if x < 0 {
				x += n
			}
			off += x * strides[batch+j]
		}
		out[i] = int64(off)
	}
	return out, block, nil
}

// scatterCell is an element type that scatters combine.
type scatterCell interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

// combineColumns is the least width of columns that are combined apart from each other.
const combineColumns = 64

// combines are the operators of reductions of vectors.
var combines = map[string]vec.Op{"add": vec.Add, "mul": vec.Mul, "max": vec.Max, "min": vec.Min}

// combiner scatters blocks of n elements of updates into y with a reduction, in
// order: where blocks meet, the result does not depend on the number of threads.
type combiner struct {
	y, updates *tensor.Tensor
	to         []int64
	n          int
	reduction  string
}

func (a combiner) run(p par.P) {
	par.Run(p, a.n, max(combineColumns, par.Grain(a.n, float64(len(a.to)))), par.With(a))
}

// Chunk combines elements [lo, hi) of all blocks.
func (a *combiner) Chunk(lo, hi int) {
	switch a.y.DType() {
	case tensor.Float32:
		if a.n == 1 {
			combine[float32](a, lo, hi)
			return
		}
		op, d, u := vec.Best().Arith[combines[a.reduction]].VV, tensor.Data[float32](a.y), tensor.Data[float32](a.updates)
		for i, at := range a.to {
			row := d[int(at)+lo : int(at)+hi]
			op(row, row, u[i*a.n+lo:i*a.n+hi])
		}
	case tensor.Float64:
		combine[float64](a, lo, hi)
	case tensor.Int8:
		combine[int8](a, lo, hi)
	case tensor.Int16:
		combine[int16](a, lo, hi)
	case tensor.Int32:
		combine[int32](a, lo, hi)
	case tensor.Int64:
		combine[int64](a, lo, hi)
	case tensor.Uint8:
		combine[uint8](a, lo, hi)
	case tensor.Uint16:
		combine[uint16](a, lo, hi)
	case tensor.Uint32:
		combine[uint32](a, lo, hi)
	case tensor.Uint64:
		combine[uint64](a, lo, hi)
	case tensor.Bool:
		combineBool(a, lo, hi)
	}
}

func combine[T scatterCell](a *combiner, lo, hi int) {
	d, u := tensor.Data[T](a.y), tensor.Data[T](a.updates)
	if a.n == 1 {
		combineSingle(d, u, a.to, a.reduction)
		return
	}
	for i, at := range a.to {
		joinRow(d[int(at)+lo:int(at)+hi], u[i*a.n+lo:i*a.n+hi], a.reduction)
	}
}

func combineSingle[T scatterCell](d, u []T, to []int64, reduction string) {
	u = u[:len(to)]
	switch reduction {
	case "add":
		for i, at := range to {
			d[at] += u[i]
		}
	case "mul":
		for i, at := range to {
			d[at] *= u[i]
		}
	case "max":
		for i, at := range to {
			d[at] = max(d[at], u[i])
		}
	case "min":
		for i, at := range to {
			d[at] = min(d[at], u[i])
		}
	}
}

// joinRow combines a block of updates with what is there.
func joinRow[T scatterCell](dst, src []T, reduction string) {
	switch reduction {
	case "add":
		for j, v := range src {
			dst[j] += v
		}
	case "mul":
		for j, v := range src {
			dst[j] *= v
		}
	case "max":
		for j, v := range src {
			dst[j] = max(dst[j], v)
		}
	case "min":
		for j, v := range src {
			dst[j] = min(dst[j], v)
		}
	}
}

var reductions = []string{"none", "add", "mul", "max", "min"}

// scatterInto writes updates (input 2) over a copy of data (input 0), block i
// at to[i].
func scatterInto(c *Call, to []int64, n int, reduction string) error {
	x, u := c.T(0), c.T(2)
	d := x.DType()
	if u.DType() != d {
		return fmt.Errorf("updates is %v, data %v", u.DType(), d)
	}
	if reduction != "none" && (d == tensor.Float16 || d == tensor.BFloat16) {
		wide, more := c.Lend(tensor.Float32, x.Shape()), c.Lend(tensor.Float32, u.Shape())
		widenCast(c, wide, x)
		widenCast(c, more, u)
		combiner{wide, more, to, n, reduction}.run(c.P)
		narrowCast(c, c.Output(0, d, x.Shape()...), wide)
		return nil
	}
	if reduction != "none" && (d.IsPacked() || !d.IsInt() && d != tensor.Float32 && d != tensor.Float64 && d != tensor.Bool) {
		return unsupportedType(0, d)
	}
	y := c.Output(0, d, x.Shape()...)
	copyWhole(c.P, y, x)
	if reduction == "none" {
		moverOf(d).blocks(par.P{Ctx: c.P.Ctx}, y, to, u, nil, n, len(to)) // in order: the last of equal indices stays
		return nil
	}
	combiner{y, u, to, n, reduction}.run(c.P)
	return nil
}

// copyWhole copies x to y, which has its type and shape, unless they share storage.
func copyWhole(p par.P, y, x *tensor.Tensor) {
	if d := x.DType(); d != tensor.String && unsafe.SliceData(y.Bytes()) == unsafe.SliceData(x.Bytes()) {
		return
	}
	m, whole := moverOf(x.DType()), x.Len()/moveGrain*moveGrain
	m.blocks(p, y, nil, x, nil, moveGrain, x.Len()/moveGrain)
	m.run(y, whole, x, whole, x.Len()-whole)
}

// combineBool combines truth values: add and max are or, mul and min are and.
func combineBool(a *combiner, lo, hi int) {
	d, u := tensor.Data[bool](a.y), tensor.Data[bool](a.updates)
	or := a.reduction == "add" || a.reduction == "max"
	for i, at := range a.to {
		for j := lo; j < hi; j++ {
			v := u[i*a.n+j]
			if or {
				d[int(at)+j] = d[int(at)+j] || v
			} else {
				d[int(at)+j] = d[int(at)+j] && v
			}
		}
	}
}

// realTypes maps every real type to the kernel that k gives for it; the half
// types run in float32.
func realTypes(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64 Kernel) byType {
	half := throughFloat32(f32, 0)
	return byType{
		tensor.Float32: f32, tensor.Float64: f64, tensor.Int8: i8, tensor.Int16: i16, tensor.Int32: i32, tensor.Int64: i64,
		tensor.Uint8: u8, tensor.Uint16: u16, tensor.Uint32: u32, tensor.Uint64: u64,
		tensor.Float16: half, tensor.BFloat16: half,
	}
}

// gradScatter is the Grad of ScatterElements and ScatterND. gather takes from a
// tensor of data's shape what lies at the indices, scatter combines updates with it.
//
// Of equal indices with reduction none only one update counts; which gets the
// gradient is as undefined there as the result (here all of them do, as in PyTorch). With max and min,
// what ties shares equally.
func (c *GradContext) gradScatter(gather func(v *onnx.Value) *onnx.Value, scatter func(data, updates *onnx.Value, reduction string) *onnx.Value) []*onnx.Value {
	x, u, d := c.X(0), c.X(2), c.DOut[0]
	out := make([]*onnx.Value, 3)
	switch c.Attr.OneOf("reduction", reductions...) {
	case "none":
		if c.Needs(0) {
			out[0] = scatter(d, c.Zeros(u), "none")
		}
		if c.Needs(2) {
			out[2] = gather(d)
		}
	case "add":
		out[0] = d
		if c.Needs(2) {
			out[2] = gather(d)
		}
	case "mul":
		// Each factor of a product gets that of the others: that of all which are not
		// 0, divided by the factor, if there is no zero among the others (see gradReduceProd).
		zero, one := c.Scalar(0), c.Scalar(1)
		zeroX, zeroU := c.Op("Equal", nil, x, zero), c.Op("Equal", nil, u, zero)
		x1, u1 := c.Op("Where", nil, zeroX, one, x), c.Op("Where", nil, zeroU, one, u)
		maskX, maskU := c.Mask(zeroX), c.Mask(zeroU)
		product, zeros := c.Times(d, scatter(x1, u1, "mul")), scatter(maskX, maskU, "add")
		if c.Needs(0) {
			out[0] = c.Pick(c.Op("Equal", nil, zeros, maskX), c.Over(product, x1))
		}
		if c.Needs(2) {
			out[2] = c.Pick(c.Op("Equal", nil, gather(zeros), maskU), c.Over(gather(product), u1))
		}
	default: // max, min
		atX := c.Mask(c.Op("Equal", nil, x, c.Y(0)))
		atU := c.Mask(c.Op("Equal", nil, u, gather(c.Y(0))))
		share := c.Over(d, scatter(atX, atU, "add"))
		out[0] = c.Times(atX, share)
		if c.Needs(2) {
			out[2] = c.Times(atU, gather(share))
		}
	}
	return out
}
