package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
)

// x.ScatterGrid is a copy of data in which the elements whose index along each of axes is in a list are
// those of updates, as data[numpy.ix_(…)] = updates and assignments to slices are: ScatterND with the
// tuples of all combinations, which need not be there. Of equal indices the last counts.
//
//	data: T[d…], updates: T[d… with the lengths of the lists along axes],
//	indices: int64[n] or int32[n], one list for each of axes, which ascend    output: T[d…]
//
// Indices below 0 count from the end; those outside of data are errors.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ScatterND.html
func init() {
	register(&Op{Domain: "x", Name: "ScatterGrid", Versions: []Version{{Since: 1, In: Arity{3, Many}, Out: N(1), InPlace: []int{0}, Infer: inferFirst, Build: buildScatterGrid}}})
}

func buildScatterGrid(b *BuildContext) (Kernel, error) {
	axes := b.Ints("axes", nil)
	if len(axes) != b.NumIn()-2 {
		b.Fail("axes has %d entries, want %d, one for each list of indices", len(axes), b.NumIn()-2)
	}
	for i, a := range axes {
		if a < 0 || i > 0 && a <= axes[i-1] {
			b.Fail("axes is %v, want ascending ones from 0", axes)
		}
	}
	return bytewise(func(c *Call) error {
		x, u := c.T(0), c.T(1)
		if u.DType() != x.DType() {
			return fmt.Errorf("updates is %v, data %v", u.DType(), x.DType())
		}
		if last := axes[len(axes)-1]; last >= x.Rank() {
			return fmt.Errorf("data has shape %v, axes %v: no dimension %d", x.Shape(), axes, last)
		}
		l := strided{shape: c.list(x.Shape()...), ds: c.strides(x.Shape())}
		steady, rising := true, true
		for j, a := range axes {
			idx, err := c.gridList(j, x.Dim(a))
			if err != nil {
				return err
			}
			l.shape[a] = len(idx)
			step, up := stepOf(idx)
			steady, rising = steady && step > 0, rising && up
			if len(idx) > 0 && steady {
				l.do += int(idx[0]) * l.ds[a]
				l.ds[a] *= step
			}
		}
		if !slices.Equal(u.Shape(), l.shape) {
			return fmt.Errorf("updates has shape %v, want %v", u.Shape(), l.shape)
		}
		y, m := c.Output(0, x.DType(), x.Shape()...), moverOf(x.DType())
		copyWhole(c.P, y, x)
		if steady {
			l.ss = c.strides(l.shape)
			m.copy(c.P, y, u, l)
			return nil
		}
		to, n, err := gridOffsets(c, axes)
		if err != nil {
			return err
		}
		p := c.P
		if !rising {
			p = par.P{Ctx: p.Ctx} // in order: the last of equal indices stays
		}
		m.blocks(p, y, to, u, nil, n, len(to))
		return nil
	}, 0), nil
}

// gridList returns list j of the indices of x.ScatterGrid, for n elements.
func (c *Call) gridList(j, n int) ([]int64, error) {
	if t := c.T(2 + j); t.Rank() != 1 {
		return nil, fmt.Errorf("indices %d has shape %v, want rank 1", j, t.Shape())
	}
	return c.indices(2+j, n)
}

// stepOf returns the difference of all neighbours in idx, 0 if there is none or it is not positive, and
// whether idx rises strictly.
func stepOf(idx []int64) (step int, rising bool) {
	step, rising = 1, true
	for i := 1; i < len(idx); i++ {
		d := int(idx[i] - idx[i-1])
		if i == 1 {
			step = d
		}
		if rising = rising && d > 0; !rising {
			return 0, false
		}
		if d != step {
			step = 0
		}
	}
	return step, rising
}

// gridOffsets returns where the blocks of updates go, in order, and the elements of each: all along the
// dimensions behind the last axis.
func gridOffsets(c *Call, axes []int) (to []int64, n int, err error) {
	x := c.T(0)
	stride := c.strides(x.Shape())
	to = Scratch[int64](c, 1)
	to[0] = 0
	for d := range axes[len(axes)-1] + 1 {
		count, idx := x.Dim(d), []int64(nil)
		if j := slices.Index(axes, d); j >= 0 {
			if idx, err = c.gridList(j, x.Dim(d)); err != nil {
				return nil, 0, err
			}
			count = len(idx)
		}
		next := Scratch[int64](c, len(to)*count)
		for i, at := range to {
			row := next[i*count:][:count]
			for k := range row {
				v := int64(k)
				if idx != nil {
					v = idx[k]
				}
				row[k] = at + v*int64(stride[d])
			}
		}
		to, n = next, stride[d]
	}
	return to, n, nil
}
