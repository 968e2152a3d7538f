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

// quantPlan says which scale belongs to which element.
type quantPlan struct {
	n          int
	rows, row  int                        // the tensor as rows of consecutive elements
	param      func(r int) (at, step int) // the scale of the first element of row r, and how it moves
	start, end func(r int) int            // where row r lies; nil: at r*row
}

// plan holds the shape of the scales against that of x.
func (q *quantAttrs) plan(x, scale []int) (*quantPlan, error) {
	n, err := tensor.Count(x)
	if err != nil {
		return nil, err
	}
	count, err := tensor.Count(scale)
	if err != nil {
		return nil, err
	}
	if count == 1 {
		return &quantPlan{n: n, rows: (n + grain - 1) / grain, row: grain, param: func(int) (int, int) { return 0, 0 }}, nil
	}
	axis := q.axis
	if len(x) == 1 {
		axis = 0
	}
	if axis, err = tensor.Axis(axis, len(x)); err != nil {
		return nil, err
	}
	dim, inner := x[axis], 1
	for _, d := range x[axis+1:] {
		inner *= d
	}
	if q.block == 0 {
		if len(scale) != 1 || scale[0] != dim {
			return nil, fmt.Errorf("scale has shape %v, want [%d] as axis %d of shape %v", scale, dim, axis, x)
		}
		if inner == 1 {
			return &quantPlan{n: n, rows: n / max(dim, 1), row: dim, param: func(int) (int, int) { return 0, 1 }}, nil
		}
		return &quantPlan{n: n, rows: n / max(inner, 1), row: inner, param: func(r int) (int, int) { return r % dim, 0 }}, nil
	}
	want := slices.Clone(x)
	want[axis] = (dim + q.block - 1) / q.block
	if !slices.Equal(scale, want) {
		return nil, fmt.Errorf("scale has shape %v, want %v for blocks of %d along axis %d of shape %v", scale, want, q.block, axis, x)
	}
	blocks := want[axis]
	if inner > 1 {
		return &quantPlan{n: n, rows: n / inner, row: inner, param: func(r int) (int, int) {
			return (r/dim*blocks + r%dim/q.block) * inner, 1
		}}, nil
	}
	return &quantPlan{
		n: n, rows: n / max(dim, 1) * blocks, row: q.block,
		param: func(r int) (int, int) { return r, 0 },
		start: func(r int) int { return r/blocks*dim + r%blocks*q.block },
		end:   func(r int) int { return r/blocks*dim + min((r%blocks+1)*q.block, dim) },
	}, nil
}

// each calls f for every row: its elements [lo, hi), its first scale and how
// the scale moves. Calls may run at once.
func (p *quantPlan) each(pp par.P, f func(lo, hi, param, step int)) {
	if p.n == 0 {
		return
	}
	pp.For(p.rows, max(1, grain/p.row), func(r0, r1 int) {
		for r := r0; r < r1; r++ {
			lo, hi := r*p.row, min((r+1)*p.row, p.n)
			if p.start != nil {
				lo, hi = p.start(r), p.end(r)
			}
			at, step := p.param(r)
			f(lo, hi, at, step)
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
		s := make([]float32, t.Len())
		tensor.WidenTo(s, t, 0)
		return t, s, nil
	case tensor.Int32:
		s := make([]float32, t.Len())
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
	v, err := tensor.Float64s(t)
	if err != nil {
		return nil, err
	}
	z := make([]float32, len(v))
	zero := true
	for i, x := range v {
		z[i] = float32(x)
		zero = zero && x == 0
	}
	if zero {
		return nil, nil
	}
	if isFloat8(t.DType()) {
		return nil, fmt.Errorf("%s is not 0, want 0 for %v", name, t.DType())
	}
	return z, nil
}
