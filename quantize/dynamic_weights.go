package quantize

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// byteWeights says how weights become bytes.
type byteWeights struct {
	dtype     tensor.DType // Int8 or Uint8
	symmetric bool
	reduced   bool // 7 bits
}

// codes returns the least and greatest code and the one for zero if it is fixed.
func (s byteWeights) codes() (lo, hi, zero int) {
	switch {
	case s.symmetric && s.reduced:
		lo, hi = -63, 63
	case s.symmetric:
		lo, hi = -127, 127
	case s.reduced:
		lo, hi = -64, 63
	default:
		lo, hi = -128, 127
	}
	if s.dtype == tensor.Uint8 {
		zero = 128
		if s.reduced {
			zero = 64
		}
	}
	return lo + zero, hi + zero, zero
}

// bytesOf are quantised weights: w ≈ (code - zero) · scale.
type bytesOf struct {
	codes  *tensor.Tensor // of the shape of the weights
	scales []float32      // one, or one for each index of the axis
	zeros  []int          // likewise
}

// quantize rounds t, float32, with one scale for each index of axis, or one for
// all if axis is -1. The scale of a channel is the smallest that holds all of
// its values, and 1 if these are all zero. ok is false if t has NaN or infinity.
func (s byteWeights) quantize(p par.P, t *tensor.Tensor, axis int) (q bytesOf, ok bool) {
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
					if v-v != 0 {
						bad[c] = true
					}
					lo, hi = min(lo, v), max(hi, v)
				}
				lows[c], highs[c] = lo, hi
			}
		}
	})
	least, most, zero := s.codes()
	q = bytesOf{codes: tensor.New(s.dtype, t.Shape()...), scales: make([]float32, channels), zeros: make([]int, channels)}
	for c := range channels {
		if bad[c] {
			return q, false
		}
		q.scales[c], q.zeros[c] = s.scale(lows[c], highs[c], least, most, zero)
	}
	out := q.codes.Bytes()
	p.For(channels, grain, func(from, to int) {
		for o := range outer {
			for c := from; c < to; c++ {
				at := (o*channels + c) * inner
				inverse, z := 1/float64(q.scales[c]), float64(q.zeros[c])
				for i, v := range x[at:][:inner] {
					code := math.RoundToEven(float64(v)*inverse) + z
					out[at+i] = byte(int(min(max(code, float64(least)), float64(most))))
				}
			}
		}
	})
	return q, true
}

// scale returns the parameters for values in [lo, hi], which holds 0.
func (s byteWeights) scale(lo, hi float32, least, most, zero int) (float32, int) {
	var d float64
	if s.symmetric {
		d = max(-float64(lo), float64(hi)) / float64(most-zero)
	} else {
		d = (float64(hi) - float64(lo)) / float64(most-least)
	}
	if d == 0 {
		return 1, zero
	}
	d = max(d, 0x1p-126) // what is smaller has no inverse
	if s.symmetric {
		return float32(d), zero
	}
	z := float64(least) + math.RoundToEven(-float64(lo)/d)
	return float32(d), int(min(max(z, float64(least)), float64(most)))
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

// transpose swaps the dimensions of the codes, [rows, columns].
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

// finite reports whether t, float32, has neither NaN nor infinity.
func finite(t *tensor.Tensor) bool {
	for _, v := range tensor.Data[float32](t) {
		if v-v != 0 {
			return false
		}
	}
	return true
}
