package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/attn"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// rotary turns pairs of elements by the angle of their position: with c and s
// of cos and sin, (x1, x2) becomes (c·x1 - s·x2, s·x1 + c·x2). The first dim
// elements of a head are turned; the pairs are neighbours (interleaved) or one
// element of each half.
type rotary[T floating] struct {
	cos, sin    []T // rows of dim/2
	dim         int
	interleaved bool
}

// turn rotates one head by row r of the tables. dst may be src.
func (r *rotary[T]) turn(rotor attn.Rotor, dst, src []T, row int) {
	half := r.dim / 2
	c, s := r.cos[row*half:][:half], r.sin[row*half:][:half]
	copy(dst[r.dim:], src[r.dim:len(dst)])
	if x, ok := any(src).([]float32); ok {
		y, _ := any(dst).([]float32)
		cos, _ := any(c).([]float32)
		sin, _ := any(s).([]float32)
		rotor.Rotate(y, x, cos, sin, r.interleaved)
		return
	}
	if r.interleaved {
		for i, cv := range c {
			a, b := src[2*i], src[2*i+1]
			dst[2*i], dst[2*i+1] = cv*a-s[i]*b, s[i]*a+cv*b
		}
		return
	}
	for i, cv := range c {
		a, b := src[i], src[half+i]
		dst[i], dst[half+i] = cv*a-s[i]*b, s[i]*a+cv*b
	}
}

// all rotates heads of l positions of batches; rows [batch, l] holds the row of
// the tables for each position, nil: they follow each other.
func (r *rotary[T]) all(p par.P, dst, src headView[T], batch, heads, l, size int, rows []int) {
	if size == 0 {
		return
	}
	rotor := attn.NewRotor()
	par.Run(p, batch*heads*l, 1+2*normGrain/size, par.With(rotation[T]{*r, rotor, dst, src, heads, l, size, rows}))
}

// rotation rotates heads of some positions.
type rotation[T floating] struct {
	r              rotary[T]
	rotor          attn.Rotor
	dst, src       headView[T]
	heads, l, size int
	rows           []int
}

func (a *rotation[T]) Chunk(lo, hi int) {
	for t := lo; t < hi; t++ {
		b, h, i := t/(a.heads*a.l), t/a.l%a.heads, t%a.l
		row := b*a.l + i
		if a.rows != nil {
			row = a.rows[row]
		}
		a.r.turn(a.rotor, a.dst.at(b, h, i)[:a.size], a.src.at(b, h, i)[:a.size], row)
	}
}

// rotaryTables reads inputs cos and sin, rows of dim/2 elements; dim 0 stands
// for all size elements of a head.
func rotaryTables[T floating](c *Call, cos, sin, dim, size int, interleaved bool) (rotary[T], error) {
	r := rotary[T]{dim: dim, interleaved: interleaved}
	if dim == 0 {
		r.dim = size
	}
	if r.dim < 0 || r.dim > size || r.dim%2 != 0 {
		return r, fmt.Errorf("%d of the %d elements of a head are to be turned, want an even number of them", r.dim, size)
	}
	var err error
	if r.cos, err = rotaryTable[T](c, c.T(cos), "cos_cache", r.dim/2); err != nil {
		return r, err
	}
	if r.sin, err = rotaryTable[T](c, c.T(sin), "sin_cache", r.dim/2); err != nil {
		return r, err
	}
	if len(r.cos) != len(r.sin) {
		return r, fmt.Errorf("cos_cache has %d elements, sin_cache %d", len(r.cos), len(r.sin))
	}
	return r, nil
}

func rotaryTable[T floating](c *Call, t *tensor.Tensor, name string, half int) ([]T, error) {
	if t == nil || t.Rank() < 2 || t.Dim(-1) != half {
		return nil, fmt.Errorf("%s is %v, want rows of %d", name, t, half)
	}
	v, err := realsFor[T](c, t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// rows returns the number of rows of the tables.
func (r *rotary[T]) rows() int {
	if r.dim == 0 {
		return math.MaxInt // nothing is read
	}
	return len(r.cos) / (r.dim / 2)
}

// checkPositions says which position has no row.
func (r *rotary[T]) checkPositions(ids []int) error {
	for _, id := range ids {
		if id < 0 || id >= r.rows() {
			return fmt.Errorf("position %d is not in [0, %d]", id, r.rows()-1)
		}
	}
	return nil
}
