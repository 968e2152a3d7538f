package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// paddingMask returns the mask that a key padding mask stands for: filter is
// added to the scores of the keys to leave out. Shapes are int32[b] (how many
// keys count), [2b] (the ends of those that count, then where they begin),
// [b, t] and [b, lq, t] (0: leave out).
func paddingMask[T floating](c *Call, i int, name string, a *attention[T], filter float64) (*attentionMask[T], error) {
	t := c.T(i)
	if t == nil {
		return nil, nil
	}
	v, err := c.Ints(i)
	if err != nil {
		return nil, err
	}
	shape := t.Shape()
	fail := fmt.Errorf("%w: %s of shape %v, batch %d, %d queries, %d keys", ErrUnsupported, name, shape, a.batch, a.lq, a.lk)
	m := &attentionMask[T]{n: a.lk, b: a.lk}
	switch {
	case len(shape) == 1 && (shape[0] == a.batch || shape[0] == 2*a.batch):
		m.add = make([]T, a.batch*a.lk)
		for k := range m.add {
			b, j := k/a.lk, k%a.lk
			if j >= v[b] || len(v) > a.batch && j < v[a.batch+b] {
				m.add[k] = T(filter)
			}
		}
		return m, nil
	case len(shape) == 2 && shape[0] == a.batch && shape[1] == a.lk:
	case len(shape) == 3 && shape[0] == a.batch && shape[1] == a.lq && shape[2] == a.lk:
		m.b, m.i = a.lq*a.lk, a.lk
	default:
		return nil, fail
	}
	m.add = make([]T, len(v))
	for k, keep := range v {
		if keep == 0 {
			m.add[k] = T(filter)
		}
	}
	return m, nil
}

// joinMasks returns the sum of a padding mask and a bias; either may be nil.
func joinMasks[T floating](a *attention[T], pad, bias *attentionMask[T]) (*attentionMask[T], error) {
	if pad == nil {
		return bias, nil
	}
	if bias == nil {
		return pad, nil
	}
	if bias.n != a.lk || bias.keep != nil {
		return nil, fmt.Errorf("%w: attention_bias of %d keys with a padding mask of %d", ErrUnsupported, bias.n, a.lk)
	}
	n, err := tensor.Count([]int{a.batch, a.heads, a.lq, a.lk})
	if err != nil {
		return nil, err
	}
	m := &attentionMask[T]{add: make([]T, n), n: a.lk, b: a.heads * a.lq * a.lk, h: a.lq * a.lk, i: a.lk}
	for b := 0; b < a.batch; b++ {
		for h := 0; h < a.heads; h++ {
			for i := 0; i < a.lq; i++ {
				row := m.add[b*m.b+h*m.h+i*m.i:][:a.lk]
				x, y := pad.add[b*pad.b+h*pad.h+i*pad.i:], bias.add[b*bias.b+h*bias.h+i*bias.i:]
				for j := range row {
					row[j] = x[j] + y[j]
				}
			}
		}
	}
	return m, nil
}
