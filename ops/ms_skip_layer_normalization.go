package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// SkipLayerNormalization (com.microsoft): with s = input + skip + bias,
// output = (s - mean) / sqrt(var + epsilon) * gamma + beta over the last dimension.
//
//	input: T[b, t, h] or [t, h]    skip: T, input's shape, or [1, t, h] or [t, h] to add to each of the batch
//	gamma, beta (optional), bias (optional): T[h]
//	output: T    mean, inv_std_var (optional): float32[b, t, 1]    input_skip_bias_sum (optional): T
//
// Statistics are made in float64, and of float64 kept in it.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{Domain: "com.microsoft", Name: "SkipLayerNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{3, 5}, Out: Arity{1, 4}, Infer: inferSkipLayerNorm, Build: func(b *BuildContext) (Kernel, error) {
			return buildSkipLayerNorm(b, true)
		}},
	}})
}

func gradMSSkipLayerNormalization(c *GradContext) []*onnx.Value {
	return gradSkipLayerNorm(true)(c)
}

func inferSkipLayerNorm(c *InferContext) error {
	if err := inferLayerNorm(c, -1, skipStats(c.In(0).DType), 1, 2); err != nil {
		return err
	}
	if len(c.Out) > 3 {
		c.Out[3] = c.In(0)
	}
	return nil
}

// skipStats returns the type of mean and inv_std_var for inputs of type d.
func skipStats(d tensor.DType) tensor.DType {
	if d == tensor.Float64 {
		return d
	}
	return tensor.Float32
}

// buildSkipLayerNorm builds both variants; the one that does not center has no beta.
func buildSkipLayerNorm(b *BuildContext, center bool) (Kernel, error) {
	r := rowNorm{center: center, eps: float64(b.Float("epsilon", 1e-12))}
	beta, bias := 3, 4
	if !center {
		beta, bias = -1, 3
	}
	return b.realKernels(0, skipLayerNormKernel[float32](r, beta, bias), skipLayerNormKernel[float64](r, beta, bias))
}

// addRows sets dst = a + b.
func addRows[T floating](t *vec.Table, dst, a, b []T) {
	if d, ok := any(dst).([]float32); ok {
		t.Add(d, any(a).([]float32), any(b).([]float32))
		return
	}
	for i, v := range a {
		dst[i] = v + b[i]
	}
}

func skipLayerNormKernel[T floating](r rowNorm, beta, bias int) Kernel {
	return func(c *Call) error {
		xt, st := c.T(0), c.T(1)
		shape := xt.Shape()
		if len(shape) != 2 && len(shape) != 3 {
			return fmt.Errorf("input has shape %v, want 2 or 3 dimensions", shape)
		}
		h := shape[len(shape)-1]
		if st == nil || st.DType() != xt.DType() {
			return fmt.Errorf("skip is %v, want the element type %v of input", st, xt.DType())
		}
		batch := st.Shape()
		for len(batch) > 2 && batch[0] == 1 {
			batch = batch[1:]
		}
		if !slices.Equal(st.Shape(), shape) && !slices.Equal(batch, shape[len(shape)-2:]) {
			return fmt.Errorf("skip has shape %v, want that of input, %v, or without its batch", st.Shape(), shape)
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		skip, err := reals[T](c, 1)
		if err != nil {
			return err
		}
		l := skipRows[T]{t: vec.Best(), r: r, h: h, x: x, skip: skip}
		if l.gamma, err = vectorParam[T](c, 2, "gamma", h); err != nil {
			return err
		}
		if beta >= 0 && c.Has(beta) {
			if l.beta, err = vectorParam[T](c, beta, "beta", h); err != nil {
				return err
			}
		}
		if c.Has(bias) {
			if l.bias, err = vectorParam[T](c, bias, "bias", h); err != nil {
				return err
			}
		}
		meanDone, invDone, sumDone := nothing, nothing, nothing
		stats := c.list(shape...)
		stats[len(stats)-1] = 1
		if c.Wants(1) {
			l.mean, meanDone = realsOut[T](c, 1, skipStats(xt.DType()), stats...)
		}
		if c.Wants(2) {
			l.inv, invDone = realsOut[T](c, 2, skipStats(xt.DType()), stats...)
		}
		if c.Wants(3) {
			l.sum, sumDone = realsOut[T](c, 3, xt.DType(), shape...)
		}
		y, done := realsOut[T](c, 0, xt.DType(), shape...)
		l.y = y
		if h > 0 {
			par.Run(c.P, len(x)/h, 1+normGrain/h, par.With(l))
		}
		done()
		meanDone()
		invDone()
		sumDone()
		return nil
	}
}

// skipRows adds and normalises rows of h elements. What is nil is absent or not wanted.
type skipRows[T floating] struct {
	t *vec.Table
	r rowNorm
	h int

	x, skip, gamma, beta, bias []T
	y, mean, inv, sum          []T
}

// Chunk does rows [lo, hi).
func (l *skipRows[T]) Chunk(lo, hi int) {
	h := l.h
	for i := lo; i < hi; i++ {
		row := l.y[i*h : (i+1)*h]
		addRows(l.t, row, l.x[i*h:(i+1)*h], turn(l.skip, i, h))
		if l.bias != nil {
			addRows(l.t, row, row, l.bias)
		}
		if l.sum != nil {
			copy(l.sum[i*h:], row)
		}
		m, s := rowNormRow(l.r, row, row, l.gamma, l.beta)
		if l.mean != nil {
			l.mean[i] = T(m)
		}
		if l.inv != nil {
			l.inv[i] = T(s)
		}
	}
}
