package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// RotaryEmbedding turns pairs of elements of each head by angles that depend on
// the position: (x1, x2) becomes (cos·x1 - sin·x2, sin·x1 + cos·x2).
//
//	X: T[b, h, l, d] or [b, l, h*d] with num_heads = h
//	cos_cache, sin_cache: T[positions, r/2] with position_ids: int64[b, l], else T[b, l, r/2]
//	Y: T, X's shape
//
// r is rotary_embedding_dim, or d if that is 0; the other elements stay. Pairs
// are neighbours if interleaved = 1, else element i of both halves of r.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html (23)
func init() {
	register(&Op{Name: "RotaryEmbedding", Numerics: Rounding, Versions: []Version{
		{Since: 23, In: Arity{3, 4}, Out: N(1), Infer: inferSame, Build: buildRotaryEmbedding},
	}})
}

func buildRotaryEmbedding(b *BuildContext) (Kernel, error) {
	heads, dim, inter := b.Int("num_heads", 0), b.Int("rotary_embedding_dim", 0), b.Bool("interleaved", false)
	return b.realKernels(0, rotaryKernel[float32](heads, dim, inter), rotaryKernel[float64](heads, dim, inter))
}

func rotaryKernel[T floating](heads, dim int, inter bool) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		batch, h, l, size, err := splitHeads(xt, "X", xt.Rank(), heads)
		if err != nil {
			return err
		}
		r, err := rotaryTables[T](c, 1, 2, dim, size, inter)
		if err != nil {
			return err
		}
		var rows []int
		if c.Has(3) {
			if rows, err = c.Ints(3); err != nil {
				return err
			}
			if !slices.Equal(c.T(3).Shape(), []int{batch, l}) {
				return fmt.Errorf("position_ids has shape %v, want [%d %d]", c.T(3).Shape(), batch, l)
			}
			if err := r.checkPositions(rows); err != nil {
				return err
			}
		} else if r.rows() < batch*l {
			return fmt.Errorf("cos_cache has shape %v, want [%d %d %d]", c.T(1).Shape(), batch, l, r.dim/2)
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
		dst, src := headsFirst(y, h, l, size), headsFirst(x, h, l, size)
		if xt.Rank() == 3 {
			dst, src = headsLast(y, h, l, size), headsLast(x, h, l, size)
		}
		r.all(c.P, dst, src, batch, h, l, size, rows)
		done()
		return nil
	}
}

// gradRotaryEmbedding turns dY back: by the negative angles. With pairs (x1, x2) of X and
// (d1, d2) of dY, dcos = Σ d1·x1 + d2·x2 and dsin = Σ d2·x1 - d1·x2 over the heads, and
// over the places of a position with position_ids.
func gradRotaryEmbedding(c *GradContext) []*onnx.Value {
	out, d, cos := make([]*onnx.Value, 3), c.DOut[0], c.X(1)
	if c.Needs(0) {
		out[0] = c.Op("RotaryEmbedding", slices.Clone(c.Node().Attrs), d, cos, c.Negated(c.X(2)), c.X(3))
	}
	if !c.Needs(1) && !c.Needs(2) {
		return out
	}
	heads, x := c.Attr.Int("num_heads", 0), c.X(0)
	if len(x.Type.Dims) < 3 {
		c.Fail(fmt.Errorf("X is %v, want a known rank", x.Type))
		return nil
	}
	half := c.Op("Shape", onnx.NewAttrs("start", -1), cos)
	if n, ok := cos.Type.Dims[len(cos.Type.Dims)-1].Size(); ok {
		half = c.Ints(n)
	}
	dim := c.Plus(half, half)
	pair := func(v *onnx.Value) (first, second *onnx.Value) { // [b, l, h, half] each
		v = c.headsThird(v, heads)
		if c.Attr.Bool("interleaved", false) {
			return c.Op("Slice", nil, v, c.Ints(0), dim, c.Ints(3), c.Ints(2)), c.Op("Slice", nil, v, c.Ints(1), dim, c.Ints(3), c.Ints(2))
		}
		return c.Op("Slice", nil, v, c.Ints(0), half, c.Ints(3)), c.Op("Slice", nil, v, half, dim, c.Ints(3))
	}
	x1, x2 := pair(x)
	d1, d2 := pair(d)
	table := func(v, like *onnx.Value) *onnx.Value {
		v = c.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), v, c.Ints(2))
		if ids := c.X(3); ids != nil {
			return c.Ops(Private, "GatherGrad", nil, 1, v, c.shapeOf(like), ids)[0]
		}
		return c.Like(v, like)
	}
	if c.Needs(1) {
		out[1] = table(c.Plus(c.Times(d1, x1), c.Times(d2, x2)), cos)
	}
	if c.Needs(2) {
		out[2] = table(c.Minus(c.Times(d2, x1), c.Times(d1, x2)), c.X(2))
	}
	return out
}

// headsThird returns v [b, h, l, d] or [b, l, h*d] as [b, l, h, d].
func (c *GradContext) headsThird(v *onnx.Value, heads int) *onnx.Value {
	if len(v.Type.Dims) == 4 {
		return c.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), v)
	}
	size := c.Op("Div", nil, c.Op("Shape", onnx.NewAttrs("start", 2), v), c.Ints(heads))
	return c.Op("Reshape", nil, v, c.Op("Concat", onnx.NewAttrs("axis", 0), c.Ints(0, 0, heads), size))
}
