package ops

import "fmt"

// MRotaryEmbedding (com.microsoft) turns pairs of elements of each head as
// RotaryEmbedding does, by angles of three positions: of time, of the row and of
// the column. mrope_section says how many of the r/2 angles each gives; with
// mrope_layout 0 those of one follow each other, with 1 they take turns, and
// where the second or the third has no more it is the first's.
//
//	input: T[b, h, l, d] or [b, l, h*d]    position_ids: int64[3, b, l]
//	cos_cache, sin_cache: T[positions, r/2]    output: T, input's shape
//
// r is rotary_embedding_dim, or d. For input of 3 dimensions h is num_heads, or
// what gives heads of 2·(r/2) elements if that is 0. scale and
// is_packed_batching other than 1 and 0 are not supported.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MRotaryEmbedding
func init() {
	register(&Op{Domain: "com.microsoft", Name: "MRotaryEmbedding", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(4), Out: N(1), Infer: inferSame, Build: buildMRotaryEmbedding},
	}})
}

// mRotary are the attributes of MRotaryEmbedding.
type mRotary struct {
	heads, dim  int
	interleaved bool
	section     []int
	turns       bool // mrope_layout 1
}

func buildMRotaryEmbedding(b *BuildContext) (Kernel, error) {
	m := &mRotary{heads: b.Int("num_heads", 0), dim: b.Int("rotary_embedding_dim", 0), interleaved: b.Bool("interleaved", false),
		section: b.Ints("mrope_section", nil)}
	switch v := b.Int("mrope_layout", 0); v {
	case 0, 1:
		m.turns = v == 1
	default:
		return nil, fmt.Errorf("attribute \"mrope_layout\" is %d, want 0 or 1", v)
	}
	if s := m.section; len(s) != 3 || s[0] < 0 || s[1] < 0 || s[2] < 0 {
		return nil, fmt.Errorf("attribute \"mrope_section\" is %v, want three numbers of angles", s)
	}
	if b.Float("scale", 1) != 1 || b.Int("is_packed_batching", 0) != 0 {
		return nil, fmt.Errorf("%w: attribute \"scale\" or \"is_packed_batching\"", ErrUnsupported)
	}
	return b.realKernels(0, mRotaryKernel[float32](m), mRotaryKernel[float64](m))
}

// of returns which position angle j is of.
func (m *mRotary) of(j int) int {
	s := m.section
	switch {
	case m.turns && (j%3 == 0 || j >= 3*s[j%3]):
		return 0
	case m.turns:
		return j % 3
	case j < s[0]:
		return 0
	case j < s[0]+s[1]:
		return 1
	}
	return 2
}

func mRotaryKernel[T floating](m *mRotary) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		n := m.heads
		if t := c.T(2); n == 0 && xt.Rank() == 3 && t != nil && t.Rank() == 2 && t.Dim(1) > 0 {
			n = xt.Dim(2) / (2 * t.Dim(1))
		}
		batch, h, l, size, err := splitHeads(xt, "input", xt.Rank(), n)
		if err != nil {
			return err
		}
		r, err := rotaryTables[T](c, 2, 3, m.dim, size, m.interleaved)
		if err != nil {
			return err
		}
		half := r.dim / 2
		if s := m.section[0] + m.section[1] + m.section[2]; s != half {
			return fmt.Errorf("mrope_section %v has %d angles, want %d", m.section, s, half)
		}
		ids, err := c.Ints(1)
		if err != nil {
			return err
		}
		if len(ids) != 3*batch*l {
			return fmt.Errorf("position_ids has shape %v, want [3 %d %d]", c.T(1).Shape(), batch, l)
		}
		if err := r.checkPositions(ids); err != nil {
			return err
		}
		// A row of its own for each position.
		cos, sin := Scratch[T](c, batch*l*half), Scratch[T](c, batch*l*half)
		for j := range half {
			for i, id := range ids[m.of(j)*batch*l:][:batch*l] {
				cos[i*half+j], sin[i*half+j] = r.cos[id*half+j], r.sin[id*half+j]
			}
		}
		r.cos, r.sin = cos, sin
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
		view := headsFirst[T]
		if xt.Rank() == 3 {
			view = headsLast[T]
		}
		r.all(c.P, view(y, h, l, size), view(x, h, l, size), batch, h, l, size, nil)
		done()
		return nil
	}
}
