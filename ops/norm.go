package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

const normGrain = 1 << 14 // elements per chunk

// moments returns mean and population variance of x, in float64 and two passes.
func moments[T floating](x []T) (mean, variance float64) {
	if f, ok := any(x).([]float32); ok {
		return moments32(vec.Best(), f)
	}
	mean = sumOf(x) / float64(len(x))
	return mean, squaredDiff(x, mean) / float64(len(x))
}

// moments32 is moments by vectors: the sums are those of vec.Table.
func moments32(t *vec.Table, x []float32) (mean, variance float64) {
	n := float64(len(x))
	mean = t.Sum(x) / n
	m := float32(mean)
	d := mean - float64(m)
	return mean, max(0, t.SumSquares(x, m)/n-d*d)
}

func sumOf[T floating](x []T) float64 {
	if f, ok := any(x).([]float32); ok {
		return vec.Best().Sum(f)
	}
	var s0, s1, s2, s3 float64
	for ; len(x) >= 4; x = x[4:] {
		s0 += float64(x[0])
		s1 += float64(x[1])
		s2 += float64(x[2])
		s3 += float64(x[3])
	}
	for _, v := range x {
		s0 += float64(v)
	}
	return (s0 + s1) + (s2 + s3)
}

// squaredDiff returns Σ (x-m)².
func squaredDiff[T floating](x []T, m float64) float64 {
	if f, ok := any(x).([]float32); ok {
		// Σ (x-m)² = Σ (x-c)² + 2(c-m) Σ (x-c) + n(c-m)², c near m
		t, c := vec.Best(), float32(m)
		n, d := float64(len(x)), float64(c)-m
		s := t.SumSquares(f, c)
		if d != 0 {
			s += 2*d*(t.Sum(f)-n*float64(c)) + n*d*d
		}
		return max(0, s)
	}
	var s0, s1 float64
	for ; len(x) >= 2; x = x[2:] {
		a, b := float64(x[0])-m, float64(x[1])-m
		s0 += a * a
		s1 += b * b
	}
	for _, v := range x {
		s0 += (float64(v) - m) * (float64(v) - m)
	}
	return s0 + s1
}

// normalizeRow sets y = (x - mean) * inv * scale + bias; scale and bias may be
// nil, y may be x.
func normalizeRow[T floating](y, x []T, mean, inv float64, scale, bias []T) {
	if f, ok := any(x).([]float32); ok {
		vec.Best().Normalize(any(y).([]float32)[:len(f)], f, float32(mean), float32(inv), any(scale).([]float32), any(bias).([]float32))
		return
	}
	m, s := T(mean), T(inv)
	switch {
	case scale == nil && bias == nil:
		for i, v := range x {
			y[i] = (v - m) * s
		}
	case bias == nil:
		scale = scale[:len(x)]
		for i, v := range x {
			y[i] = (v - m) * s * scale[i]
		}
	case scale == nil:
		bias = bias[:len(x)]
		for i, v := range x {
			y[i] = (v-m)*s + bias[i]
		}
	default:
		scale, bias = scale[:len(x)], bias[:len(x)]
		for i, v := range x {
			y[i] = (v-m)*s*scale[i] + bias[i]
		}
	}
}

// rowNorm normalizes rows of x: LayerNormalization and its kin.
type rowNorm struct {
	center bool // subtract the mean; otherwise by the root mean square
	eps    float64
}

// rowNormRow normalizes one row and returns what it subtracted and multiplied by.
func rowNormRow[T floating](r rowNorm, y, x, scale, bias []T) (mean, inv float64) {
	if f, ok := any(x).([]float32); ok {
		return rowNormRow32(vec.Best(), r, any(y).([]float32), f, any(scale).([]float32), any(bias).([]float32))
	}
	var variance float64
	if r.center {
		mean, variance = moments(x)
	} else {
		variance = squaredDiff(x, 0) / float64(len(x))
	}
	inv = 1 / math.Sqrt(variance+r.eps)
	normalizeRow(y, x, mean, inv, scale, bias)
	return mean, inv
}

func rowNormRow32(t *vec.Table, r rowNorm, y, x, scale, bias []float32) (mean, inv float64) {
	var variance float64
	if r.center {
		mean, variance = moments32(t, x)
	} else {
		variance = t.SumSquares(x, 0) / float64(len(x))
	}
	inv = 1 / math.Sqrt(variance+r.eps)
	t.Normalize(y[:len(x)], x, float32(mean), float32(inv), scale, bias)
	return mean, inv
}

// rowNormRows normalizes rows of n elements. scale and bias hold whole rows, which
// are taken in turn. mean and inv take one value per row; any may be nil.
func rowNormRows[T floating](p par.P, r rowNorm, y, x []T, n int, scale, bias, mean, inv []T) {
	if n == 0 {
		return
	}
	if x, ok := any(x).([]float32); ok {
		y, scale, bias, mean, inv := any(y).([]float32), any(scale).([]float32), any(bias).([]float32), any(mean).([]float32), any(inv).([]float32)
		par.Run(p, len(x)/n, 1+normGrain/n, par.With(normRows32{vec.Best(), normRows[float32]{r, n, y, x, scale, bias, mean, inv}}))
		return
	}
	par.Run(p, len(x)/n, 1+normGrain/n, par.With(normRows[T]{r, n, y, x, scale, bias, mean, inv}))
}

// normRows normalizes rows of n elements.
type normRows[T floating] struct {
	r                            rowNorm
	n                            int
	y, x, scale, bias, mean, inv []T
}

func (l *normRows[T]) Chunk(lo, hi int) {
	for i, n := lo, l.n; i < hi; i++ {
		m, s := rowNormRow(l.r, l.y[i*n:(i+1)*n], l.x[i*n:(i+1)*n], turn(l.scale, i, n), turn(l.bias, i, n))
		l.note(i, m, s)
	}
}

// note writes down what was subtracted from row i and what it was multiplied by.
func (l *normRows[T]) note(i int, mean, inv float64) {
	if l.mean != nil {
		l.mean[i] = T(mean)
	}
	if l.inv != nil {
		l.inv[i] = T(inv)
	}
}

// normRows32 is normRows by vectors.
type normRows32 struct {
	t *vec.Table
	normRows[float32]
}

func (l *normRows32) Chunk(lo, hi int) {
	for i, n := lo, l.n; i < hi; i++ {
		m, s := rowNormRow32(l.t, l.r, l.y[i*n:(i+1)*n], l.x[i*n:(i+1)*n], turn(l.scale, i, n), turn(l.bias, i, n))
		l.note(i, m, s)
	}
}

// turn returns row i of v, which repeats.
func turn[T floating](v []T, i, n int) []T {
	if v == nil {
		return nil
	}
	if len(v) == n {
		return v
	}
	at := i * n % len(v)
	return v[at : at+n]
}

// rowParam returns input i, a scale or bias that broadcasts to shape, as whole
// rows of the dimensions from axis on: see rowNormRows. It is nil if absent.
func rowParam[T floating](c *Call, i int, name string, shape []int, axis int) ([]T, error) {
	t := c.T(i)
	if t == nil {
		return nil, nil
	}
	v, err := realsFor[T](c, t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s := t.Shape()
	for len(s) > 0 && s[0] == 1 && len(s) > len(shape)-axis {
		s = s[1:]
	}
	if len(s) >= len(shape)-axis && len(s) <= len(shape) && slices.Equal(s, shape[len(shape)-len(s):]) {
		return v, nil
	}
	want := shape[axis:]
	if len(s) > len(want) {
		want = shape
	}
	if b, err := c.broadcast(s, want); err != nil || !slices.Equal(b, want) {
		return nil, fmt.Errorf("%s has shape %v, want one that broadcasts to %v", name, t.Shape(), shape)
	}
	return expandReals(c, v, s, want), nil
}

// expandReals broadcasts v from shape to out, in working memory of c.
func expandReals[T tensor.Element](c *Call, v []T, shape, out []int) []T {
	n, _ := tensor.Count(out)
	r := Scratch[T](c, n)
	st := c.broadcastStrides(shape, out)
	w := odometer{shape: out, as: st, bs: st}
	for i := range r {
		r[i] = v[w.a]
		w.next()
	}
	return r
}

// inferLayerNorm sets the types of an operator with outputs Y like X, and
// Mean and InvStdDev of the given kind at outs (-1: none).
func inferLayerNorm(c *InferContext, axis int, stash tensor.DType, stats ...int) error {
	x := c.In(0)
	c.Out[0] = x
	for _, i := range stats {
		if i >= len(c.Out) {
			continue
		}
		c.Out[i] = onnx.UnrankedType(stash)
		if !x.Ranked {
			continue
		}
		a, err := tensor.Axis(axis, len(x.Dims))
		if err != nil {
			return err
		}
		dims := append([]onnx.Dim(nil), x.Dims...)
		for k := a; k < len(dims); k++ {
			dims[k] = onnx.Size(1)
		}
		c.Out[i] = onnx.TensorType(stash, dims...)
	}
	return nil
}

// stashType reads the attribute stash_type: the type of statistics. They are
// computed more exactly than it asks for.
func stashType(a *attrs) tensor.DType {
	d := a.DType("stash_type", tensor.Float32)
	switch d {
	case tensor.Float32, tensor.BFloat16, tensor.Float16, tensor.Float64:
	default:
		a.Fail("%w: attribute \"stash_type\" is %v", ErrUnsupported, d)
	}
	return d
}

// groupNorm normalizes x [n, c, d] over groups of channels; scale and bias
// have one value per channel. y may be x.
func groupNorm[T floating](p par.P, y, x []T, n, c, d, groups int, eps float64, scale, bias []T) {
	if n*c*d == 0 {
		return
	}
	per := c / groups
	par.Run(p, n*groups, 1+normGrain/(per*d), par.With(groupNorms[T]{y, x, scale, bias, c, d, per, eps}))
}

type groupNorms[T floating] struct {
	y, x, scale, bias []T
	c, d, per         int
	eps               float64
}

// Chunk normalizes some groups.
func (a *groupNorms[T]) Chunk(lo, hi int) {
	per, d := a.per, a.d
	for i := lo; i < hi; i++ {
		mean, variance := moments(a.x[i*per*d : (i+1)*per*d])
		inv := 1 / math.Sqrt(variance+a.eps)
		for k := i * per; k < (i+1)*per; k++ {
			m, s, b := T(mean), T(inv*float64(a.scale[k%a.c])), a.bias[k%a.c]
			if f, ok := any(a).(*groupNorms[float32]); ok {
				dst := f.y[k*d : (k+1)*d]
				vec.Best().Normalize(dst, f.x[k*d:(k+1)*d], float32(m), float32(s), nil, nil)
				vec.Best().AddScalar(dst, dst, float32(b))
				continue
			}
			dst := a.y[k*d : (k+1)*d]
			for j, v := range a.x[k*d : (k+1)*d] {
				dst[j] = (v-m)*s + b
			}
		}
	}
}

// channelShape splits the shape [n, c, ...] of X.
func channelShape(shape []int) (n, c, d int, err error) {
	if len(shape) < 2 {
		return 0, 0, 0, fmt.Errorf("X has shape %v, want [n c ...]", shape)
	}
	d = 1
	for _, k := range shape[2:] {
		d *= k
	}
	return shape[0], shape[1], d, nil
}

// vectorParam returns input i, a vector of n floating-point numbers.
func vectorParam[T floating](c *Call, i int, name string, n int) ([]T, error) {
	t := c.T(i)
	if t == nil {
		return nil, fmt.Errorf("%s is absent", name)
	}
	if t.Len() != n || t.Rank() != 1 {
		return nil, fmt.Errorf("%s has shape %v, want [%d]", name, t.Shape(), n)
	}
	return reals[T](c, i)
}
