package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TensorScatter: a copy of past_cache in which steps write_indices[b],
// write_indices[b] + 1, … of batch entry b along axis are those of update. With
// mode circular the steps are taken modulo the size of the cache.
//
//	past_cache: T[B, …, S, …], update: T[B, …, s, …], write_indices: int64[B], optional    present_cache: T[B, …, S, …]
//
// Spec: https://onnx.ai/onnx/operators/onnx__TensorScatter.html
func init() {
	register(&Op{
		Name:     "TensorScatter",
		Versions: []Version{{Since: 24, In: Arity{2, 3}, Out: N(1), InPlace: []int{0}, Infer: inferFirst, Build: buildTensorScatter}},
	})
}

func buildTensorScatter(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", -2)
	circular := b.OneOf("mode", "linear", "circular") == "circular"
	return bytewise(func(c *Call) error {
		x, u := c.T(0), c.T(1)
		s, us := x.Shape(), u.Shape()
		a, err := tensor.Axis(axis, len(s))
		if err != nil {
			return err
		}
		if a == 0 {
			return fmt.Errorf("axis %d is the batch", axis)
		}
		want := c.list(s...)
		if len(us) == len(s) {
			want[a] = us[a]
		}
		if !slices.Equal(us, want) || want[a] > s[a] {
			return fmt.Errorf("update has shape %v, past_cache %v: only dimension %d may differ and be smaller", us, s, a)
		}
		if u.DType() != x.DType() {
			return fmt.Errorf("update is %v, past_cache %v", u.DType(), x.DType())
		}
		at, err := c.Ints(2)
		if err != nil {
			return err
		}
		if at == nil {
			at = c.Dims(s[0])
			clear(at)
		}
		if len(at) != s[0] {
			return fmt.Errorf("write_indices has %d elements, want %d", len(at), s[0])
		}
		for _, v := range at {
			if v < 0 || !circular && v > s[a]-us[a] {
				return fmt.Errorf("write index %d with %d steps is out of a cache of %d", v, us[a], s[a])
			}
		}
		y := c.Output(0, x.DType(), s...)
		m := moverOf(x.DType())
		m.run(y, 0, x, 0, x.Len())
		if u.Len() == 0 {
			return nil
		}
		inner, per := sizeOf(s[a+1:]), sizeOf(s[1:a])
		par.Run(c.P, s[0]*per, max(1, moveGrain/(us[a]*inner)), par.With(stepWriter{m, y, u, at, per, us[a], s[a], inner}))
		return nil
	}, 0), nil
}

// stepWriter writes the n steps of u, of inner elements each, over those of y from at on.
type stepWriter struct {
	m                   mover
	y, u                *tensor.Tensor
	at                  []int // of each batch entry, which has per lines
	per, n, size, inner int
}

func (a *stepWriter) Chunk(lo, hi int) {
	n, size, inner := a.n, a.size, a.inner
	for o := lo; o < hi; o++ {
		first := a.at[o/a.per] % size // a linear write ends at size at most
		k := min(n, size-first)
		a.m.run(a.y, (o*size+first)*inner, a.u, o*n*inner, k*inner)
		a.m.run(a.y, o*size*inner, a.u, (o*n+k)*inner, (n-k)*inner)
	}
}

// gradTensorScatter: what was overwritten has no part, and the steps of update get
// what is where they went.
func gradTensorScatter(c *GradContext) []*onnx.Value {
	d, update, at := c.DOut[0], c.X(1), c.X(2)
	out := make([]*onnx.Value, 2)
	if c.Needs(0) {
		zeros := c.Op("Expand", nil, c.Scalar(0), c.shapeOf(update))
		out[0] = c.Op("TensorScatter", slices.Clone(c.Node().Attrs), d, zeros, at)
	}
	if !c.Needs(1) {
		return out
	}
	rank := len(d.Type.Dims)
	a, err := tensor.Axis(c.Attr.Int("axis", -2), rank)
	if err != nil {
		c.Fail(fmt.Errorf("past_cache is %v, want a known rank: %w", d.Type, err))
		return nil
	}
	// The steps next to the batch, where GatherND takes them by their numbers.
	perm := make([]int, rank)
	for i := range perm {
		perm[i] = i
	}
	perm[1], perm[a] = a, 1
	turn := func(v *onnx.Value) *onnx.Value {
		if a == 1 {
			return v
		}
		return c.Op("Transpose", onnx.NewAttrs("perm", perm), v)
	}
	size := func(v *onnx.Value, i int) *onnx.Value { return c.Op("Shape", onnx.NewAttrs("start", i, "end", i+1), v) }
	number := func(v int64) *onnx.Value { return c.Const(tensor.Scalar(v)) }
	steps := c.Op("Range", nil, number(0), c.Op("Squeeze", nil, size(update, a)), number(1))
	if at == nil {
		at = c.Op("Expand", nil, c.Ints(0), size(update, 0))
	}
	steps = c.Plus(c.Op("Unsqueeze", nil, at, c.Ints(1)), steps)
	if c.Attr.OneOf("mode", "linear", "circular") == "circular" {
		steps = c.Op("Mod", nil, steps, size(d, a))
	}
	out[1] = turn(c.Op("GatherND", onnx.NewAttrs("batch_dims", 1), turn(d), c.Op("Unsqueeze", nil, steps, c.Ints(2))))
	return out
}
