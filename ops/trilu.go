package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Trilu: the upper (or lower) triangle of each matrix, with zeros elsewhere.
// Diagonal k belongs to the triangle; 0 is the main one, positive ones are above.
//
//	input: T[..., n, m], k: int64[], optional    output: T[..., n, m]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Trilu.html
func init() {
	register(&Op{
		Name:     "Trilu",
		Versions: []Version{{Since: 14, In: Arity{1, 2}, Out: N(1), Infer: inferTrilu, Build: buildTrilu}},
	})
}

func inferTrilu(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if x.Ranked {
		if len(x.Dims) < 2 {
			return fmt.Errorf("input has rank %d, want at least 2", len(x.Dims))
		}
		c.Out[0] = x
	}
	return nil
}

func buildTrilu(b *BuildContext) (Kernel, error) {
	upper := b.Bool("upper", true)
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		if len(s) < 2 {
			return fmt.Errorf("input has shape %v, want rank at least 2", s)
		}
		k := 0
		if c.Has(1) {
			var err error
			if k, err = c.one(1); err != nil {
				return err
			}
		}
		y := c.Output(0, x.DType(), s...)
		rows, cols := s[len(s)-2], s[len(s)-1]
		if y.Len() == 0 {
			return nil
		}
		k = min(max(k, -rows), cols)
		zero(y)
		par.Each(c.P, x.Len()/cols, max(1, moveGrain/cols), triluRows{moverOf(x.DType()), y, x, upper, k, rows, cols}, (*triluRows).run)
		return nil
	}, 0), nil
}

// gradTrilu: the same triangle.
func gradTrilu(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.Op("Trilu", onnx.NewAttrs("upper", c.Attr.Int("upper", 1)), c.DOut[0], c.X(1))}
}

// triluRows copies of each row the elements of the triangle: from diagonal k on, or up to it.
type triluRows struct {
	m             mover
	y, x          *tensor.Tensor
	upper         bool
	k, rows, cols int
}

func (a *triluRows) run(lo, hi int) {
	for r := lo; r < hi; r++ {
		from, to := min(max(r%a.rows+a.k, 0), a.cols), a.cols
		if !a.upper {
			from, to = 0, min(max(r%a.rows+a.k+1, 0), a.cols)
		}
		a.m.run(a.y, r*a.cols+from, a.x, r*a.cols+from, to-from)
	}
}
