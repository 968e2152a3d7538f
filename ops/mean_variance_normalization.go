package ops

import (
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"

	"github.com/gneiss-run/gneiss/internal/par"
)

// MeanVarianceNormalization: Y = (X - mean) / (sqrt(var) + 1e-9), the
// statistics over axes, made in float64.
//
//	X: T[...]    Y: T[...], same shape; may share X's storage
//
// Spec: https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html; the
// epsilon is that of its function body.
func init() {
	register(&Op{Name: "MeanVarianceNormalization", Numerics: Rounding, Versions: []Version{
		// 13 added bfloat16.
		{Since: 9, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildMeanVarianceNormalization},
	}})
}

func buildMeanVarianceNormalization(b *BuildContext) (Kernel, error) {
	axes := b.Ints("axes", []int{0, 2, 3})
	return b.realKernels(0, mvnKernel[float32](axes), mvnKernel[float64](axes))
}

func mvnKernel[T floating](axes []int) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		w := State[reduceWalks](c)
		w.mask = slices.Grow(w.mask[:0], xt.Rank())[:xt.Rank()]
		_, err := reduceParams{}.maskInto(w.mask, axes)
		if err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
		if len(x) > 0 {
			meanVariance(c.P, y, x, xt.Shape(), w)
		}
		done()
		return nil
	}
}

// meanVariance normalizes sets of elements, those over which w's mask goes.
func meanVariance[T floating](p par.P, y, x []T, shape []int, w *reduceWalks) {
	w.split(shape)
	n := w.inner
	if !w.innerReduced { // the innermost dimension stays: a set has runs of one element
		w.kept.sizes, w.kept.strides = append(w.kept.sizes, n), append(w.kept.strides, 1)
		n = 1
	}
	l := setLoop[T]{y, x, w.kept, w.red, w.red.count(), n}
	par.Run(p, w.kept.count(), 1+normGrain/(l.runs*n), par.With(l))
}

// setLoop gathers each set of elements, normalizes it and puts it back.
type setLoop[T floating] struct {
	y, x      []T
	kept, red reduceWalk
	runs, n   int // a set is runs of n elements
}

func (l *setLoop[T]) Chunk(lo, hi int) {
	runs, n := l.runs, l.n
	mem, pool := borrow[[]T]()
	defer pool.Put(mem)
	set := resized(mem, runs*n)
	for o, k := lo, l.kept.at(lo); o < hi; o++ {
		w := l.red.at(0)
		for i := 0; i < runs; i++ {
			copy(set[i*n:], l.x[k.off+w.off:][:n])
			w.next()
		}
		mean, variance := moments(set)
		normalizeRow(set, set, mean, 1/(math.Sqrt(variance)+1e-9), nil, nil)
		for i := 0; i < runs; i++ {
			copy(l.y[k.off+w.off:][:n], set[i*n:])
			w.next()
		}
		k.next()
	}
}

// gradMeanVarianceNormalization: dX = (dY - mean(dY) - Y·mean(dY·Y)) / (sqrt(var)+ε).
// That takes Y for (X - mean) / sqrt(var), as which it differs by ε only.
func gradMeanVarianceNormalization(c *GradContext) []*onnx.Value {
	x, y, d := c.X(0), c.Y(0), c.DOut[0]
	axes, keep := c.Ints(c.Attr.Ints("axes", []int{0, 2, 3})...), onnx.NewAttrs("keepdims", 1)
	mean := func(v *onnx.Value) *onnx.Value { return c.Op("ReduceMean", keep, v, axes) }
	centered := c.Minus(x, mean(x))
	dev := c.Plus(c.Op("Sqrt", nil, mean(c.Times(centered, centered))), c.Scalar(1e-9))
	return []*onnx.Value{c.Over(c.Minus(c.Minus(d, mean(d)), c.Times(y, mean(c.Times(d, y)))), dev)}
}
