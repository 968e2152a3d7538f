package ops

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// x.BatchNormalizationGrad: the gradients of BatchNormalization's X, scale and B from
// that of Y. With training_mode 1 mean and var are those of X, and dMean and dVar
// the gradients of these, if any. This operator is private: gradients write it.
//
//	dY, X: T[n, c, ...]    scale: [c]    mean, var (training_mode 0), dMean, dVar (training_mode 1): [c]
//	dX: T[n, c, ...]    dScale, dB: scale's type, [c]
//
// With x̂ = (X - mean)·r, r = 1/sqrt(var + epsilon) and N elements per channel:
//
//	dB = Σ dY    dScale = Σ dY·x̂
//	dX = scale·r·(dY - dB/N - x̂·dScale/N) + dMean/N + 2·dVar·(X - mean)/N    for training
//	dX = scale·r·dY                                                          for inference
//
// Spec: https://arxiv.org/abs/1502.03167 (Ioffe and Szegedy, Batch Normalization,
// 2015, section 3).
func batchNormalizationGradOp() *Op {
	return &Op{
		Domain: Private, Name: "BatchNormalizationGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: Arity{3, 7}, Out: N(3), Infer: func(c *InferContext) error {
			c.Ignore("epsilon", "training_mode")
			c.Out[0], c.Out[1], c.Out[2] = c.In(1), c.In(2), c.In(2)
			c.Out[0].DType = c.In(0).DType
			return nil
		}, Build: func(b *BuildContext) (Kernel, error) {
			eps, train := float64(b.Float("epsilon", 1e-5)), b.Bool("training_mode", false)
			return b.realKernels(0, batchNormGradKernel[float32](eps, train), batchNormGradKernel[float64](eps, train))
		}}},
	}
}

func batchNormGradKernel[T floating](eps float64, train bool) Kernel {
	return func(c *Call) error {
		xt := c.T(1)
		shape := xt.Shape()
		g := batchNormGrad[T]{eps: eps, train: train, c: 1, d: 1}
		switch {
		case len(shape) == 0 || !slices.Equal(c.T(0).Shape(), shape):
			return fmt.Errorf("dY has shape %v for X of shape %v", c.T(0).Shape(), shape)
		case len(shape) == 1:
			g.n = shape[0]
		default:
			g.n, g.c, g.d, _ = channelShape(shape)
		}
		var err error
		if g.dy, err = reals[T](c, 0); err != nil {
			return err
		}
		if g.x, err = reals[T](c, 1); err != nil {
			return err
		}
		for i, to := range []*[]float64{&g.scale, &g.mean, &g.variance, &g.dMean, &g.dVar} {
			t := c.T(2 + i)
			if t == nil {
				if i == 0 || !train && i < 3 {
					return fmt.Errorf("input %d is absent", 2+i)
				}
				continue
			}
			if t.Rank() != 1 || t.Len() != g.c {
				return fmt.Errorf("input %d has shape %v, want [%d]", 2+i, t.Shape(), g.c)
			}
			if *to, err = realsOf[float64](t); err != nil {
				return err
			}
		}
		var done [3]func()
		g.dx, done[0] = realsOut[T](c, 0, c.T(0).DType(), shape...)
		g.dScale, done[1] = realsOut[float64](c, 1, c.T(2).DType(), g.c)
		g.dBias, done[2] = realsOut[float64](c, 2, c.T(2).DType(), g.c)
		par.Run(c.P, g.c, 1+normGrain/max(1, g.n*g.d), par.With(g))
		for _, f := range done {
			f()
		}
		return nil
	}
}

type batchNormGrad[T floating] struct {
	eps                                float64
	train                              bool
	n, c, d                            int
	dy, x, dx                          []T
	scale, mean, variance, dMean, dVar []float64
	dScale, dBias                      []float64
}

// gradBlock is how many elements are centered at a time: they stay in the first-level cache.
const gradBlock = 1024

func (g *batchNormGrad[T]) Chunk(lo, hi int) {
	mem, pool := borrow[[]T]()
	defer pool.Put(mem)
	*mem = slices.Grow((*mem)[:0], gradBlock)
	for k := lo; k < hi; k++ {
		g.channel(k, (*mem)[:gradBlock])
	}
}

// channel computes channel k. The sums of products are of centered elements,
// so that a large mean costs no digits.
func (g *batchNormGrad[T]) channel(k int, buf []T) {
	count := float64(max(1, g.n*g.d))
	var mean, variance float64
	if g.train {
		s := 0.0
		for i := range g.n {
			s += sumOf(g.x[(i*g.c+k)*g.d:][:g.d])
		}
		mean, s = s/count, 0
		for i := range g.n {
			s += squaredDiff(g.x[(i*g.c+k)*g.d:][:g.d], mean)
		}
		variance = s / count
	} else {
		mean, variance = g.mean[k], g.variance[k]
	}
	r := 1 / math.Sqrt(variance+g.eps)
	var sum, dot float64
	g.blocks(k, func(dy, x, _ []T) {
		sum += sumOf(dy)
		dot += centeredDot(dy, x, mean, buf)
	})
	g.dBias[k], g.dScale[k] = sum, dot*r
	a, b, e := g.scale[k]*r, 0.0, 0.0 // dX = a·dY + b·(X - mean) + e
	if g.train {
		b, e = -a*r*r*dot/count, -a*sum/count
		if g.dMean != nil {
			e += g.dMean[k] / count
		}
		if g.dVar != nil {
			b += 2 * g.dVar[k] / count
		}
	}
	g.blocks(k, func(dy, x, dx []T) { blend(dx, dy, x, a, b, e, mean, buf) })
}

// blocks calls f for pieces of channel k of at most gradBlock elements.
func (g *batchNormGrad[T]) blocks(k int, f func(dy, x, dx []T)) {
	for i := range g.n {
		at := (i*g.c + k) * g.d
		for j := 0; j < g.d; j += gradBlock {
			lo, hi := at+j, at+min(j+gradBlock, g.d)
			f(g.dy[lo:hi], g.x[lo:hi], g.dx[lo:hi])
		}
	}
}

// dotOf returns Σ a·b.
func dotOf[T floating](a, b []T) float64 {
	b = b[:len(a)]
	if f, ok := any(a).([]float32); ok && len(a) >= 8 {
		g := any(b).([]float32)
		dot, sum := gemm.Best().Dot32, 0.0
		for i := 0; i < len(f); i += 4096 {
			sum += float64(dot(min(4096, len(f)-i), unsafe.Pointer(&f[i]), unsafe.Pointer(&g[i])))
		}
		return sum
	}
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// centeredDot returns Σ a·(x - mean); buf has room for as many elements.
func centeredDot[T floating](a, x []T, mean float64, buf []T) float64 {
	if f, ok := any(x).([]float32); ok && len(x) >= 8 {
		m := float32(mean)
		b := any(buf).([]float32)[:len(f)]
		vec.Best().Normalize(b, f, m, 1, nil, nil)
		return dotOf(a, buf[:len(a)])
	}
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * (float64(x[i]) - mean)
	}
	return sum
}

// blend sets dst = a·u + b·(x - mean) + e; buf has room for as many elements.
func blend[T floating](dst, u, x []T, a, b, e, mean float64, buf []T) {
	if f, ok := any(x).([]float32); ok && len(x) >= 8 {
		t, d := vec.Best(), any(dst).([]float32)
		t.Affine(d, any(u).([]float32), float32(a), float32(e))
		if b != 0 {
			s := any(buf).([]float32)[:len(f)]
			t.Normalize(s, f, float32(mean), float32(b), nil, nil)
			t.Add(d, d, s)
		}
		return
	}
	for i, v := range u {
		dst[i] = T(a*float64(v) + b*(float64(x[i])-mean) + e)
	}
}

// gradBatchNormalization leaves the sums to x.BatchNormalizationGrad. The running
// statistics are input·momentum + current·(1 - momentum).
func gradBatchNormalization(c *GradContext) []*onnx.Value {
	train, momentum := c.Attr.Bool("training_mode", false), float64(c.Attr.Float("momentum", 0.9))
	as := onnx.NewAttrs("epsilon", float64(c.Attr.Float("epsilon", 1e-5)), "training_mode", train)
	out, d := make([]*onnx.Value, 5), c.DOut[0]
	if d == nil { // the loss depends on the statistics only
		d = c.Minus(c.Y(0), c.Y(0))
	}
	in := []*onnx.Value{d, c.X(0), c.X(1)}
	if !train {
		in = append(in, c.X(3), c.X(4))
		g := c.Ops(Private, "BatchNormalizationGrad", as, 3, in...)
		copy(out, g)
		if c.Needs(3) || c.Needs(4) {
			v := c.X(4)
			like := func(x *onnx.Value) *onnx.Value { return c.Op("CastLike", nil, x, v) }
			inv := c.Op("Reciprocal", nil, c.Op("Sqrt", nil, c.Plus(v, c.Float(v.Type.DType, float64(c.Attr.Float("epsilon", 1e-5))))))
			a := c.Times(like(c.X(1)), inv)
			out[3] = c.Negated(c.Times(a, like(g[2])))
			out[4] = c.Times(c.Times(c.Times(a, inv), like(g[1])), c.Float(v.Type.DType, -0.5))
		}
		return out
	}
	more := func(i int, f float64) *onnx.Value {
		if i >= len(c.DOut) || c.DOut[i] == nil {
			return nil
		}
		return c.Times(c.DOut[i], c.Float(c.DOut[i].Type.DType, f))
	}
	in = append(in, nil, nil, more(1, 1-momentum), more(2, 1-momentum))
	copy(out, c.Ops(Private, "BatchNormalizationGrad", as, 3, in...))
	out[3], out[4] = more(1, momentum), more(2, momentum)
	return out
}
