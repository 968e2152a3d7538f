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

// BatchNormalization: Y = scale * (X - mean) / sqrt(var + epsilon) + B per channel.
//
//	X: T[n, c, ...] (or [n]: one channel)    scale, B, input_mean, input_var: [c]
//	Y: T, X's shape; may share X's storage    running_mean, running_var: [c]
//
// For inference mean and var are the inputs. For training they are those of X
// over all dimensions but the channels (population variance, float64 sums), and
// running = input * momentum + current * (1 - momentum). What says which it is:
// is_test before 7, the number of outputs in 7 and 9, training_mode since 14.
// Before 14 the outputs saved_mean and saved_var are the statistics of X. With
// spatial = 0 (before 9) the parameters have shape [c, ...], and each feature
// has statistics of its own.
//
// Spec: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html
func init() {
	v := Version{In: N(5), InPlace: []int{0}}
	old, seven, nine, cur := v, v, v, v
	old.Since, old.Out, old.Infer, old.Build = 1, Arity{1, 5}, inferBatchNorm, func(b *BuildContext) (Kernel, error) {
		b.Ignore("consumed_inputs")
		test := b.Bool("is_test", false)
		return buildBatchNorm(b, !test, b.Bool("spatial", true))
	}
	seven.Since, seven.Out, seven.Infer, seven.Build = 7, Arity{1, 5}, inferBatchNorm, func(b *BuildContext) (Kernel, error) {
		return buildBatchNorm(b, wantsMore(b), b.Bool("spatial", true))
	}
	nine.Since, nine.Out, nine.Infer, nine.Build = 9, Arity{1, 5}, inferBatchNorm, func(b *BuildContext) (Kernel, error) {
		return buildBatchNorm(b, wantsMore(b), true)
	}
	// 15 let the types of the parameters differ from X's.
	cur.Since, cur.Out, cur.Infer, cur.Build = 14, Arity{1, 3}, inferBatchNorm, func(b *BuildContext) (Kernel, error) {
		train := b.Bool("training_mode", false)
		if !train && wantsMore(b) {
			return nil, fmt.Errorf("outputs running_mean and running_var are asked for, and training_mode is 0")
		}
		return buildBatchNorm(b, train, true)
	}
	register(&Op{Name: "BatchNormalization", Numerics: Rounding, Versions: []Version{old, seven, nine, cur}})
}

// wantsMore reports whether any output but the first is asked for.
func wantsMore(b *BuildContext) bool {
	return slices.ContainsFunc(b.Node.Out[1:], func(v *onnx.Value) bool { return v != nil })
}

func inferBatchNorm(c *InferContext) error {
	c.Out[0] = c.In(0)
	for i := 1; i < len(c.Out); i++ {
		c.Out[i] = c.In(3 + (i-1)%2)
	}
	return nil
}

type batchNorm struct {
	train, spatial bool
	eps, momentum  float64
}

func buildBatchNorm(b *BuildContext, train, spatial bool) (Kernel, error) {
	n := batchNorm{train, spatial, float64(b.Float("epsilon", 1e-5)), float64(b.Float("momentum", 0.9))}
	if s, a := constantBatchNorm(b, n); s != nil {
		return affineChannels(vec.Best(), s, a), nil
	}
	return b.realKernels(0, batchNormKernel[float32](n), batchNormKernel[float64](n))
}

// constantBatchNorm returns what channels are multiplied by and what is added to them, if
// everything is float32 and the parameters are constants; else nil.
func constantBatchNorm(b *BuildContext, bn batchNorm) (scale, add []float32) {
	if bn.train || !bn.spatial || b.In(0).DType != tensor.Float32 {
		return nil, nil
	}
	var params [4][]float32
	for i := range params {
		t := b.Const(i + 1)
		if t == nil || t.DType() != tensor.Float32 || t.Rank() != 1 || t.Len() == 0 {
			return nil, nil
		}
		if params[i] = tensor.Data[float32](t); len(params[i]) != len(params[0]) {
			return nil, nil // the other kernel says so
		}
	}
	scale, add = make([]float32, len(params[0])), make([]float32, len(params[0]))
	for k := range scale {
		s := float64(params[0][k]) / math.Sqrt(float64(params[3][k])+bn.eps)
		scale[k], add[k] = float32(s), float32(float64(params[1][k])-float64(params[2][k])*s)
	}
	return scale, add
}

// affineChannels multiplies the channels of X [n, c, …] and adds to them.
func affineChannels(t *vec.Table, scale, add []float32) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		n, ch, d := xt.Len(), 1, 1
		switch shape := xt.Shape(); len(shape) {
		case 0:
			return fmt.Errorf("X is a scalar, want [n c ...]")
		case 1:
		default:
			n, ch, d, _ = channelShape(shape)
		}
		if ch != len(scale) {
			return fmt.Errorf("scale has shape [%d], want [%d]", len(scale), ch)
		}
		x := tensor.Data[float32](xt)
		y := tensor.Data[float32](c.Output(0, tensor.Float32, xt.Shape()...))
		a := affineRows{t, y, x, scale, add, d}
		if d == 1 {
			par.Each(c.P, n, 1+normGrain/max(1, ch), a, (*affineRows).rows)
			return nil
		}
		par.Each(c.P, n*ch, 1+normGrain/max(1, d), a, (*affineRows).channels)
		return nil
	}
}

// affineRows are the channels of y [n, c, d].
type affineRows struct {
	t                *vec.Table
	y, x, scale, add []float32
	d                int
}

// rows computes rows [lo, hi) of n, for a d of 1.
func (a *affineRows) rows(lo, hi int) {
	ch := len(a.scale)
	dst := a.y[lo*ch : hi*ch]
	a.t.Arith[vec.Mul].RowsVV(dst, a.x[lo*ch:hi*ch], a.scale, ch, hi-lo, ch, 0)
	a.t.Arith[vec.Add].RowsVV(dst, dst, a.add, ch, hi-lo, ch, 0)
}

// channels computes channels [lo, hi) of n·c.
func (a *affineRows) channels(lo, hi int) {
	d, ch := a.d, len(a.scale)
	for i := lo; i < hi; i++ {
		a.t.Affine(a.y[i*d:(i+1)*d], a.x[i*d:(i+1)*d], a.scale[i%ch], a.add[i%ch])
	}
}

func batchNormKernel[T floating](bn batchNorm) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		shape := xt.Shape()
		n, ch, d := 1, 1, 1
		switch {
		case len(shape) == 0:
			return fmt.Errorf("X is a scalar, want [n c ...]")
		case len(shape) == 1:
			n = shape[0]
		default:
			n, ch, d, _ = channelShape(shape)
		}
		want := c.list(ch)
		if !bn.spatial && len(shape) > 2 {
			want, ch, d = shape[1:], ch*d, 1
		}
		var params [4][]float64
		for i, name := range []string{"scale", "B", "input_mean", "input_var"} {
			t := c.T(i + 1)
			if t == nil {
				return fmt.Errorf("%s is absent", name)
			}
			if !slices.Equal(t.Shape(), want) {
				return fmt.Errorf("%s has shape %v, want %v", name, t.Shape(), want)
			}
			var err error
			if params[i], err = reals[float64](c, i+1); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		mean, variance := params[2], params[3]
		if bn.train {
			mean, variance = Scratch[float64](c, ch), Scratch[float64](c, ch)
			channelMoments(c.P, mean, variance, x, n, d)
			running := Scratch[float64](c, ch)
			for i, cur := range [...][]float64{mean, variance} {
				if !c.Wants(i + 1) {
					continue
				}
				for k, v := range cur {
					running[k] = params[2+i][k]*bn.momentum + v*(1-bn.momentum)
				}
				storeReals(c.Output(i+1, c.T(3+i).DType(), want...), running)
			}
			for i, cur := range [...][]float64{mean, variance} {
				if c.Wants(i + 3) {
					storeReals(c.Output(i+3, c.T(3+i).DType(), want...), cur)
				}
			}
		}
		y, done := realsOut[T](c, 0, xt.DType(), shape...)
		s := channelScale[T]{y: y, x: x, c: ch, d: d, mean: Scratch[T](c, ch), scale: Scratch[T](c, ch), bias: Scratch[T](c, ch)}
		for k := range s.mean {
			s.mean[k], s.scale[k], s.bias[k] = T(mean[k]), T(params[0][k]/math.Sqrt(variance[k]+bn.eps)), T(params[1][k])
		}
		if d == 1 {
			par.Run(c.P, n, 1+normGrain/max(1, ch), par.With(s))
		} else {
			par.Run(c.P, n*ch, 1+normGrain/max(1, d), par.With(s))
		}
		done()
		return nil
	}
}

// channelMoments computes the mean and population variance of each channel of x [n, c, d].
func channelMoments[T floating](p par.P, mean, variance []float64, x []T, n, d int) {
	par.Run(p, len(mean), 1+normGrain/max(1, n*d), par.With(channelSums[T]{x, mean, variance, n, d}))
}

type channelSums[T floating] struct {
	x              []T
	mean, variance []float64
	n, d           int
}

func (a *channelSums[T]) Chunk(lo, hi int) {
	x, n, c, d := a.x, a.n, len(a.mean), a.d
	for k := lo; k < hi; k++ {
		s := 0.0
		for i := 0; i < n; i++ {
			s += sumOf(x[(i*c+k)*d:][:d])
		}
		m := s / float64(n*d)
		s = 0
		for i := 0; i < n; i++ {
			s += squaredDiff(x[(i*c+k)*d:][:d], m)
		}
		a.mean[k], a.variance[k] = m, s/float64(n*d)
	}
}

// channelScale sets y = scale * (x - mean) + bias for x [n, c, d]: rows of
// channels for a d of 1, else single channels.
type channelScale[T floating] struct {
	y, x              []T
	c, d              int
	mean, scale, bias []T
}

func (a *channelScale[T]) Chunk(lo, hi int) {
	c, d := a.c, a.d
	if d == 1 {
		m, s, b := a.mean, a.scale, a.bias
		for i := lo; i < hi; i++ {
			dst := a.y[i*c:][:c]
			for k, v := range a.x[i*c:][:c] {
				dst[k] = (v-m[k])*s[k] + b[k]
			}
		}
		return
	}
	for i := lo; i < hi; i++ {
		m, s, b := a.mean[i%c], a.scale[i%c], a.bias[i%c]
		dst := a.y[i*d:][:d]
		for j, v := range a.x[i*d:][:d] {
			dst[j] = (v-m)*s + b
		}
	}
}
