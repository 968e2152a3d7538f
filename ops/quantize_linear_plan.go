package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// quantAttrs are the attributes of QuantizeLinear and DequantizeLinear.
type quantAttrs struct {
	axis, block int
	out         tensor.DType // output_dtype; Undefined: not given
	precision   tensor.DType // Undefined: not given
	rules       castRules
}

func readQuantAttrs(a *attrs) quantAttrs {
	q := quantAttrs{axis: a.Int("axis", 1), rules: castRules{saturate: true}}
	if a.node.Domain != "" { // com.microsoft has no more
		return q
	}
	q.block, q.out = a.Int("block_size", 0), optionalDType(a, "output_dtype")
	if a.node.Op == "QuantizeLinear" {
		q.rules.saturate, q.precision = a.Bool("saturate", true), optionalDType(a, "precision")
	}
	if q.block < 0 {
		a.Fail("attribute \"block_size\" is %d, want a positive number", q.block)
	}
	return q
}

// optionalDType reads an element type where 0 stands for none.
func optionalDType(a *attrs, name string) tensor.DType {
	if a.Int(name, 0) == 0 {
		return tensor.Undefined
	}
	return a.DType(name, tensor.Undefined)
}

// quantPlan says which scale belongs to which element: of each element of rows of consecutive
// elements.
type quantPlan struct {
	n         int
	rows, row int
	kind      quantKind
	// Of x: the size of the axis and of what is behind it, and the blocks along the axis and their size.
	dim, inner, blocks, block int
}

type quantKind int

const (
	quantTensor quantKind = iota // one scale
	quantLast                    // a scale for each element of a row
	quantAxis                    // a scale for each row, by the axis
	quantBlock                   // a scale for each element of some rows
	quantRow                     // a row is a block of the axis
)

// plan holds the shape of the scales against that of x.
func (q *quantAttrs) plan(x, scale []int) (quantPlan, error) {
	fail := func(err error) (quantPlan, error) { return quantPlan{}, err }
	n, err := tensor.Count(x)
	if err != nil {
		return fail(err)
	}
	count, err := tensor.Count(scale)
	if err != nil {
		return fail(err)
	}
	if count == 1 {
		return quantPlan{n: n, rows: (n + grain - 1) / grain, row: grain}, nil
	}
	axis := q.axis
	if len(x) == 1 {
		axis = 0
	}
	if axis, err = tensor.Axis(axis, len(x)); err != nil {
		return fail(err)
	}
	p := quantPlan{n: n, dim: x[axis], inner: 1, block: q.block}
	for _, d := range x[axis+1:] {
		p.inner *= d
	}
	switch {
	case q.block == 0 && (len(scale) != 1 || scale[0] != p.dim):
		return fail(fmt.Errorf("scale has shape %v, want [%d] as axis %d of shape %v", slices.Clone(scale), p.dim, axis, slices.Clone(x)))
	case q.block == 0 && p.inner == 1:
		p.kind, p.rows, p.row = quantLast, n/max(p.dim, 1), p.dim
		return p, nil
	case q.block == 0:
		p.kind, p.rows, p.row = quantAxis, n/max(p.inner, 1), p.inner
		return p, nil
	}
	p.blocks = (p.dim + q.block - 1) / q.block
	fits := len(scale) == len(x)
	for i := 0; fits && i < len(x); i++ {
		fits = scale[i] == x[i] || i == axis
	}
	if !fits || scale[axis] != p.blocks {
		want := slices.Clone(x)
		want[axis] = p.blocks
		return fail(fmt.Errorf("scale has shape %v, want %v for blocks of %d along axis %d of shape %v", slices.Clone(scale), want, q.block, axis, slices.Clone(x)))
	}
	if p.inner > 1 {
		p.kind, p.rows, p.row = quantBlock, n/p.inner, p.inner
	} else {
		p.kind, p.rows, p.row = quantRow, n/max(p.dim, 1)*p.blocks, q.block
	}
	return p, nil
}

// at returns the elements [lo, hi) of row r, its first scale and how the scale moves.
func (p *quantPlan) at(r int) (lo, hi, param, step int) {
	lo, hi = r*p.row, min((r+1)*p.row, p.n)
	switch p.kind {
	case quantLast:
		step = 1
	case quantAxis:
		param = r % p.dim
	case quantBlock:
		param, step = (r/p.dim*p.blocks+r%p.dim/p.block)*p.inner, 1
	case quantRow:
		line := r / p.blocks * p.dim
		lo, hi, param = line+r%p.blocks*p.block, line+min((r%p.blocks+1)*p.block, p.dim), r
	}
	return lo, hi, param, step
}

// grain returns how many rows are worth a task.
func (p *quantPlan) grain() int { return max(1, grain/max(p.row, 1)) }

// each calls f for every row, as at describes it. Calls may run at once.
func (p *quantPlan) each(pp par.P, f func(lo, hi, param, step int)) {
	if p.n == 0 {
		return
	}
	pp.For(p.rows, p.grain(), func(r0, r1 int) {
		for r := r0; r < r1; r++ {
			f(p.at(r))
		}
	})
}

// quantRange returns the bounds of an integer type of quantization; false for other types.
func quantRange(d tensor.DType) (lo, hi float32, ok bool) {
	switch d {
	case tensor.Uint8:
		return 0, math.MaxUint8, true
	case tensor.Int8:
		return math.MinInt8, math.MaxInt8, true
	case tensor.Uint16:
		return 0, math.MaxUint16, true
	case tensor.Int16:
		return math.MinInt16, math.MaxInt16, true
	case tensor.Uint4:
		return 0, 15, true
	case tensor.Int4:
		return -8, 7, true
	case tensor.Uint2:
		return 0, 3, true
	case tensor.Int2:
		return -2, 1, true
	}
	return 0, 0, false
}

func isFloat8(d tensor.DType) bool {
	switch d {
	case tensor.Float8E4M3FN, tensor.Float8E4M3FNUZ, tensor.Float8E5M2, tensor.Float8E5M2FNUZ:
		return true
	}
	return false
}

// quantScales returns the elements of the scale, input 1, as float32.
func quantScales(c *Call, name string) (*tensor.Tensor, []float32, error) {
	t := c.T(1)
	if t == nil {
		return nil, nil, fmt.Errorf("%s is absent", name)
	}
	switch t.DType() {
	case tensor.Float32:
		return t, tensor.Data[float32](t), nil
	case tensor.Float16, tensor.BFloat16, tensor.Float8E8M0:
		s := Scratch[float32](c, t.Len())
		tensor.WidenTo(s, t, 0)
		return t, s, nil
	case tensor.Int32:
		s := Scratch[float32](c, t.Len())
		castInts32(s, tensor.Data[int32](t))
		return t, s, nil
	}
	return nil, nil, unsupportedType(1, t.DType())
}

func castInts32(dst []float32, src []int32) {
	for i, v := range src {
		dst[i] = float32(v)
	}
}

// quantZeros returns the zero points, input 2, one per scale; nil if all are 0
// or the input is absent.
func quantZeros(c *Call, scale *tensor.Tensor, name string) ([]float32, error) {
	t := c.T(2)
	if t == nil {
		return nil, nil
	}
	if t.Len() != scale.Len() {
		return nil, fmt.Errorf("%s has shape %v, want the scale's shape %v", name, t.Shape(), scale.Shape())
	}
	z := Scratch[float32](c, t.Len())
	switch d := t.DType(); {
	case d == tensor.Uint8:
		for i, v := range tensor.Data[uint8](t) {
			z[i] = float32(v)
		}
	case d == tensor.Int8:
		for i, v := range tensor.Data[int8](t) {
			z[i] = float32(v)
		}
	case d.IsFloat():
		tensor.WidenTo(z, t, 0)
	case d.IsInt():
		v := Scratch[int64](c, t.Len())
		loadInts(v, t, 0)
		for i, x := range v {
			z[i] = float32(x)
		}
	default:
		return nil, unsupportedType(2, d)
	}
	if !slices.ContainsFunc(z, func(v float32) bool { return v != 0 }) {
		return nil, nil
	}
	if isFloat8(t.DType()) {
		return nil, fmt.Errorf("%s is not 0, want 0 for %v", name, t.DType())
	}
	return z, nil
}
