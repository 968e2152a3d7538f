package quantize

import (
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// bytesOf are quantised weights: w ≈ (code - zero) · scale.
type bytesOf struct {
	codes  *tensor.Tensor // of the shape of the weights
	scales []float32      // one, or one for each index of the axis
	zeros  []int          // likewise
}

// bytes rounds t, float32, to g, of 8 bits, with one scale for each index of axis,
// or one for all if axis is -1. The scale of a channel is the best near the smallest that holds
// all of its values or, with half, the smallest number of float16 that does. ok is
// false if t has NaN or infinity, or such a scale is not normal in float16.
func (g grid) bytes(p par.P, t *tensor.Tensor, axis int, half bool) (q bytesOf, ok bool) {
	outer, channels, inner := 1, 1, t.Len()
	if axis >= 0 {
		outer, channels, inner = split(t.Shape(), axis)
	}
	x := tensor.Data[float32](t)
	lows, highs := make([]float32, channels), make([]float32, channels)
	bad := make([]bool, channels)
	grain := max(1, min(channels, 1<<16/max(1, outer*inner)))
	p.For(channels, grain, func(from, to int) {
		for o := range outer {
			for c := from; c < to; c++ {
				lo, hi := lows[c], highs[c]
				for _, v := range x[(o*channels+c)*inner:][:inner] {
					if !isFinite(v) {
						bad[c] = true
					}
					lo, hi = min(lo, v), max(hi, v)
				}
				lows[c], highs[c] = lo, hi
			}
		}
	})
	q = bytesOf{codes: tensor.New(g.dtype, t.Shape()...), scales: make([]float32, channels), zeros: make([]int, channels)}
	for c := range channels {
		if bad[c] {
			return q, false
		}
		a := g.affine(Range{lows[c], highs[c]})
		if half {
			up := a.scale * (1 + 0x1p-11) // rounded, it is at least the scale
			if a = g.withScale(Range{lows[c], highs[c]}, tensor.F16Of(up).Float32()); a.scale < 0x1p-14 || !isFinite(a.scale) {
				return q, false
			}
		}
		q.scales[c], q.zeros[c] = a.scale, a.zero
	}
	if axis >= 0 && !half {
		g.fit(p, x, outer, channels, inner, q.scales)
	}
	out := q.codes.Bytes()
	p.For(channels, grain, func(from, to int) {
		for o := range outer {
			for c := from; c < to; c++ {
				at := (o*channels + c) * inner
				a := affine{q.scales[c], q.zeros[c]}
				for i, v := range x[at:][:inner] {
					out[at+i] = byte(g.code(v, a))
				}
			}
		}
	})
	return q, true
}

// balance moves codes so that the errors of each channel cancel.
func (q *bytesOf) balance(p par.P, g grid, t *tensor.Tensor, axis int) {
	g.balance(p, tensor.Data[float32](t), q.codes, axis, func(c int) affine { return affine{q.scales[c], q.zeros[c]} })
}

// scaleTensor returns the scales, times by.
func (q *bytesOf) scaleTensor(by float32, shape ...int) *tensor.Tensor {
	s := make([]float32, len(q.scales))
	for i, v := range q.scales {
		s[i] = v * by
	}
	return tensor.Of(s, shape...)
}

// oneZero reports whether all channels have one zero point.
func (q *bytesOf) oneZero() bool {
	for _, z := range q.zeros {
		if z != q.zeros[0] {
			return false
		}
	}
	return true
}

// zeroTensor returns the zero points of the given shape, or the one that all have as a scalar.
func (q *bytesOf) zeroTensor(single bool, shape ...int) *tensor.Tensor {
	if single {
		shape = nil
	}
	t := tensor.New(q.codes.DType(), shape...)
	for i := range t.Bytes() {
		t.Bytes()[i] = byte(q.zeros[i])
	}
	return t
}

// transposeBytes swaps the dimensions of the codes, [rows, columns].
func transposeBytes(t *tensor.Tensor) *tensor.Tensor {
	r, c := t.Dim(0), t.Dim(1)
	u := tensor.New(t.DType(), c, r)
	from, to := t.Bytes(), u.Bytes()
	const side = 64 // of a tile, so that both sides stay in the cache
	for i0 := 0; i0 < r; i0 += side {
		for j0 := 0; j0 < c; j0 += side {
			for i := i0; i < min(i0+side, r); i++ {
				for j := j0; j < min(j0+side, c); j++ {
					to[j*r+i] = from[i*c+j]
				}
			}
		}
	}
	return u
}

// split returns the sizes before, of, and after a dimension.
func split(shape []int, axis int) (outer, n, inner int) {
	outer, inner = 1, 1
	for i, d := range shape {
		switch {
		case i < axis:
			outer *= d
		case i > axis:
			inner *= d
		}
	}
	return outer, shape[axis], inner
}

// finiteTensor reports whether t, float32, has neither NaN nor infinity.
func finiteTensor(t *tensor.Tensor) bool {
	for _, v := range tensor.Data[float32](t) {
		if !isFinite(v) {
			return false
		}
	}
	return true
}
