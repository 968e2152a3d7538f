package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
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
		var params [3][]T // gamma, beta, bias
		for i, p := range []struct {
			in   int
			name string
		}{{2, "gamma"}, {beta, "beta"}, {bias, "bias"}} {
			if p.in < 0 || i > 0 && !c.Has(p.in) {
				continue
			}
			if params[i], err = vectorParam[T](c, p.in, p.name, h); err != nil {
				return err
			}
		}
		var mean, inv, sum []T
		finish := []func(){}
		stats := append([]int(nil), shape...)
		stats[len(stats)-1] = 1
		for _, o := range []struct {
			i     int
			d     tensor.DType
			shape []int
			to    *[]T
		}{{1, skipStats(xt.DType()), stats, &mean}, {2, skipStats(xt.DType()), stats, &inv}, {3, xt.DType(), shape, &sum}} {
			if c.Wants(o.i) {
				data, done := realsOut[T](c, o.i, o.d, o.shape...)
				*o.to = data
				finish = append(finish, done)
			}
		}
		y, done := realsOut[T](c, 0, xt.DType(), shape...)
		if h > 0 {
			t := vec.Best()
			c.P.For(len(x)/h, 1+normGrain/h, func(lo, hi int) {
				for i := lo; i < hi; i++ {
					row := y[i*h : (i+1)*h]
					sk := turn(skip, i, h)
					addRows(t, row, x[i*h:(i+1)*h], sk)
					if bias := params[2]; bias != nil {
						addRows(t, row, row, bias)
					}
					if sum != nil {
						copy(sum[i*h:], row)
					}
					m, s := rowNormRow(r, row, row, params[0], params[1])
					if mean != nil {
						mean[i] = T(m)
					}
					if inv != nil {
						inv[i] = T(s)
					}
				}
			})
		}
		done()
		for _, f := range finish {
			f()
		}
		return nil
	}
}
