package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
)

// x.ResizeGrad: the gradient of the X of Resize, whose shape is given. Resize is linear
// and separable, Y = W₁⊗W₂⊗…·X with the weights of each axis; dX = W₁ᵀ⊗W₂ᵀ⊗…·dY.
// What lies outside of X with tf_crop_and_resize gives nothing. The attributes
// are those of Resize. This operator is private: gradients write it.
//
//	dY: T[...]    roi, scales, sizes: as for Resize    shape: int64[r]    dX: T[shape]
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Resize.html
func resizeGradOp() *Op {
	return &Op{
		Domain: Private, Name: "ResizeGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(5), Out: N(1), Infer: func(c *InferContext) error { return inferShapedBy(c, 4) }, Build: buildResizeGrad}},
	}
}

func buildResizeGrad(b *BuildContext) (Kernel, error) {
	v := parseResize(&b.attrs, 19) // the attributes of the newest version
	return b.realKernels(0, resizeGradKernel[float32](v), resizeGradKernel[float64](v))
}

func resizeGradKernel[T floating](v *resizeAttrs) Kernel {
	return func(c *Call) error {
		d := c.T(0)
		s, err := c.shaped(4)
		if err != nil {
			return err
		}
		axes, shape, err := v.plan(c, s)
		if err != nil {
			return err
		}
		if !slices.Equal(d.Shape(), shape) {
			return fmt.Errorf("dY has shape %v, want %v", d.Shape(), shape)
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, d.DType(), s...)
		if len(y) > 0 && len(x) == 0 {
			clear(y)
		} else if len(y) > 0 {
			for i, a := range axes {
				if v.same(a) {
					continue
				}
				outer, _, inner := splitAxis(shape, i)
				shape[i] = a.in
				to := Scratch[T](c, sizeOf(shape))
				l := newBackTaps[T](&v.resampler, a)
				l.y, l.x, l.out, l.inner = to, x, a.out, inner
				par.Each(c.P, outer*a.in, max(1, moveGrain/(inner*(1+len(l.at)/a.in))), l, (*backTaps[T]).run)
				x = to
			}
			copy(y, x)
		}
		done()
		return nil
	}
}

// backTaps are the weights of one axis by input: input p gets the sum of w[j]·d at
// at[j] for j from first[p] to first[p+1].
type backTaps[T floating] struct {
	first, at  []int
	w          []T
	y, x       []T // [outer, in, inner] and [outer, out, inner]
	out, inner int
}

func newBackTaps[T floating](r *resampler, a resizeAxis) backTaps[T] {
	type tap struct {
		from, to int
		w        float64
	}
	var all []tap
	if r.mode == "nearest" {
		for i := range a.out {
			if x := r.original(a, i); !r.outside(a, x) {
				all = append(all, tap{i, r.near(a, x), 1})
			}
		}
	} else {
		t := &taps{}
		r.weigh(t, a)
		for i := range a.out {
			for j := i * t.k; j < (i+1)*t.k && !t.outside[i]; j++ {
				if t.w[j] != 0 {
					all = append(all, tap{i, int(t.at[j]), t.w[j]})
				}
			}
		}
	}
	b := backTaps[T]{first: make([]int, a.in+1), at: make([]int, len(all)), w: make([]T, len(all))}
	for _, t := range all {
		b.first[t.to+1]++
	}
	for p := range a.in {
		b.first[p+1] += b.first[p]
	}
	next := slices.Clone(b.first)
	for _, t := range all {
		j := next[t.to]
		next[t.to]++
		b.at[j], b.w[j] = t.from, T(t.w)
	}
	return b
}

func (b *backTaps[T]) run(lo, hi int) {
	in, n := len(b.first)-1, b.inner
	for u := lo; u < hi; u++ {
		o, p := u/in, u%in
		x := b.x[o*b.out*n:][:b.out*n]
		j, end := b.first[p], b.first[p+1]
		if n == 1 {
			sum := T(0)
			for ; j < end; j++ {
				sum += b.w[j] * x[b.at[j]]
			}
			b.y[u] = sum
			continue
		}
		row := b.y[u*n:][:n]
		clear(row)
		for ; j < end; j++ {
			w := b.w[j]
			for e, v := range x[b.at[j]*n:][:n] {
				row[e] += w * v
			}
		}
	}
}
