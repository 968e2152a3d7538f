package ops

import (
	"fmt"
	"sync/atomic"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// GatherElements: output[i0, i1, …] = data[i0, …, indices[i0, i1, …], …], with
// the index at place axis.
//
//	data: T[...], indices: int32 or int64[...], same rank    output: T, shape of indices
//
// Spec: https://onnx.ai/onnx/operators/onnx__GatherElements.html
func init() {
	register(&Op{
		Name:     "GatherElements",
		Versions: []Version{{Since: 11, In: N(2), Out: N(1), Infer: inferGatherElements, Build: buildGatherElements}},
	})
}

func gradGatherElements(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.scatteredAdd(c.X(0), c.X(1), c.DOut[0], c.Attr.Int("axis", 0))}
}

func inferGatherElements(c *InferContext) error {
	x, idx := c.In(0), c.In(1)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if idx.Ranked {
		c.Out[0] = onnx.TensorType(x.DType, idx.Dims...)
	}
	axis := c.Int("axis", 0)
	if x.Ranked {
		if _, err := tensor.Axis(axis, len(x.Dims)); err != nil {
			return err
		}
	}
	return nil
}

func buildGatherElements(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", 0)
	return bytewise(func(c *Call) error {
		x := c.T(0)
		a, err := tensor.Axis(axis, x.Rank())
		if err != nil {
			return err
		}
		if t := c.T(1); t.DType() == tensor.Int64 && t.Rank() == x.Rank() && t.Len() >= 4*t.Dim(-1) && t.Len() > 0 && !wholeRows(t, a) {
			if err := checkElements(t.Shape(), x.Shape(), a); err != nil {
				return err
			}
			l := elementLines{idx: tensor.Data[int64](t), shape: t.Shape()[:t.Rank()-1], walk: c.strides(x.Shape()), n: t.Dim(-1), size: x.Dim(a)}
			l.stride, l.walk[a] = l.walk[a], 0
			l.step, l.walk = l.walk[x.Rank()-1], l.walk[:x.Rank()-1]
			if at := moverOf(x.DType()).elements(c.P, c.Output(0, x.DType(), t.Shape()...), x, l); at >= 0 {
				return fmt.Errorf("index %d is not in [%d, %d]", l.idx[at], -l.size, l.size-1)
			}
			return nil
		}
		from, n, err := elementOffsets(c, a, x.Shape())
		if err != nil {
			return err
		}
		y := c.Output(0, x.DType(), c.T(1).Shape()...)
		moverOf(x.DType()).blocks(c.P, y, nil, x, from, n, len(from))
		return nil
	}, 0), nil
}

// elementLines describes rows of n indices, in a shape of rows: the element of row r at j is at
// Σ r·walk + index·stride + j·step, the index from 0 to size or, below 0, counting from there.
type elementLines struct {
	idx                   []int64
	shape, walk           []int
	n, stride, step, size int
}

// elementMoves gathers elements one by one. It notes the place of an index that is out of range.
type elementMoves[T cell] struct {
	d, s []T
	elementLines
	bad *atomic.Int64
}

// Chunk gathers rows [lo, hi).
func (m *elementMoves[T]) Chunk(lo, hi int) {
	o := odometer{shape: m.shape, as: m.walk, bs: m.walk}
	o.seek(lo)
	n, stride, step, size := m.n, m.stride, m.step, m.size
	for r := lo; r < hi; r++ {
		idx, at := m.idx[r*n:][:n], o.a
		d := m.d[r*n:][:len(idx)]
		for j, v := range idx {
			k := int(v)
			if uint64(v) >= uint64(size) {
				if v >= 0 || v < -int64(size) {
					m.bad.Store(int64(r*n + j))
					return
				}
				k += size
			}
			d[j] = m.s[at+k*stride]
			at += step
		}
		o.next()
	}
}

func (c cells[T]) elements(p par.P, dst, src *tensor.Tensor, l elementLines) int {
	bad, pool := borrow[atomic.Int64]()
	defer pool.Put(bad)
	bad.Store(-1)
	par.Run(p, len(l.idx)/l.n, max(1, moveGrain/4/l.n), par.With(elementMoves[T]{c.of(dst), c.of(src), l, bad}))
	return int(bad.Load())
}

// scatteredAdd returns zeros of like's shape to which v is added at indices along
// axis, as ScatterElements does.
func (c *GradContext) scatteredAdd(like, indices, v *onnx.Value, axis int) *onnx.Value {
	return c.Op("ScatterElements", onnx.NewAttrs("axis", axis, "reduction", "add"), c.Zeros(like), indices, v)
}
