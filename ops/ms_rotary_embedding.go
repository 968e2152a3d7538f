package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// RotaryEmbedding (com.microsoft) turns pairs of elements of each head as
// RotaryEmbedding of ONNX does, with other inputs.
//
//	input: T[b, h, l, d] or [b, l, h*d]    position_ids: int64[b, l], or [1]: the position of the first of l
//	cos_cache, sin_cache: T[positions, r/2]    output: T, input's shape
//
// r is rotary_embedding_dim, or d. For input of 3 dimensions h is num_heads, or
// what gives heads of 2·(r/2) elements if that is 0. scale and
// is_packed_batching other than 1 and 0 are not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{Domain: "com.microsoft", Name: "RotaryEmbedding", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(4), Out: N(1), Infer: inferSame, Build: buildMSRotaryEmbedding, Expand: expandMSRotaryEmbedding},
	}})
}

func buildMSRotaryEmbedding(b *BuildContext) (Kernel, error) {
	heads, dim, inter := b.Int("num_heads", 0), b.Int("rotary_embedding_dim", 0), b.Bool("interleaved", false)
	if b.Float("scale", 1) != 1 || b.Int("is_packed_batching", 0) != 0 {
		return nil, fmt.Errorf("%w: attribute \"scale\" or \"is_packed_batching\"", ErrUnsupported)
	}
	return b.realKernels(0, msRotaryKernel[float32](heads, dim, inter), msRotaryKernel[float64](heads, dim, inter))
}

func msRotaryKernel[T floating](heads, dim int, inter bool) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		n := heads
		if t := c.T(2); n == 0 && xt.Rank() == 3 && t != nil && t.Rank() == 2 && t.Dim(1) > 0 {
			n = xt.Dim(2) / (2 * t.Dim(1))
		}
		batch, h, l, size, err := splitHeads(xt, "input", xt.Rank(), n)
		if err != nil {
			return err
		}
		r, err := rotaryTables[T](c, 2, 3, dim, size, inter)
		if err != nil {
			return err
		}
		given, err := c.Ints(1)
		if err != nil {
			return err
		}
		ids := given
		switch len(given) {
		case batch * l:
		case 1:
			ids = c.Dims(batch * l)
			for i := range ids {
				ids[i] = given[0] + i%l
			}
		default:
			return fmt.Errorf("position_ids has %d elements, want 1 or %d", len(given), batch*l)
		}
		if err := r.checkPositions(ids); err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
		view := headsFirst[T]
		if xt.Rank() == 3 {
			view = headsLast[T]
		}
		r.all(c.P, view(y, h, l, size), view(x, h, l, size), batch, h, l, size, ids)
		done()
		return nil
	}
}

// expandMSRotaryEmbedding: RotaryEmbedding, with a position for every element.
func expandMSRotaryEmbedding(c *ExpandContext) ([]*onnx.Value, error) {
	x, ids, cos := c.value(0), c.value(1), c.In(2)
	if c.attrs.Float("scale", 1) != 1 || c.Int("is_packed_batching", 0) != 0 {
		return nil, fmt.Errorf("%w: attribute \"scale\" or \"is_packed_batching\"", ErrUnsupported)
	}
	heads := c.Int("num_heads", 0)
	if rank := len(c.In(0).Dims); rank == 3 && heads == 0 && len(cos.Dims) == 2 {
		n, ok := c.In(0).Dims[2].Size()
		half, ok2 := cos.Dims[1].Size()
		if !ok || !ok2 || half == 0 {
			return nil, fmt.Errorf("%w: the expansion of input %v with cos_cache %v: the heads are not known", ErrUnsupported, c.In(0), cos)
		}
		heads = n / (2 * half)
	} else if rank != 3 && rank != 4 || !c.In(1).Ranked {
		return nil, fmt.Errorf("%w: the expansion of input %v with position_ids %v, want known ranks", ErrUnsupported, c.In(0), c.In(1))
	}
	if len(c.In(1).Dims) < 2 {
		like := x
		if len(c.In(0).Dims) == 4 { // [b, h, l, d]
			like = c.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), x)
		}
		ids = c.positions(like, ids)
	}
	as := onnx.NewAttrs("num_heads", heads, "interleaved", c.Int("interleaved", 0), "rotary_embedding_dim", c.Int("rotary_embedding_dim", 0))
	return []*onnx.Value{c.Op("RotaryEmbedding", as, x, c.value(2), c.value(3), ids)}, nil
}
