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

// gradRotaryEmbedding turns dY back: by the negative angles. The tables have no gradient.
func gradRotaryEmbedding(c *GradContext) []*onnx.Value {
	if c.Needs(1) || c.Needs(2) {
		c.Fail(fmt.Errorf("%w: the gradient of cos_cache and sin_cache", ErrUnsupported))
		return nil
	}
	return []*onnx.Value{c.Op("RotaryEmbedding", slices.Clone(c.Node().Attrs), c.DOut[0], c.X(1), c.Negated(c.X(2)), c.X(3))}
}
