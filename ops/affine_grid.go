package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// AffineGrid: the grid for GridSample that maps each place p of an output of the
// given size to theta · (p, 1), in coordinates from -1 to 1, the last dimension
// first.
//
//	theta: float [n, 2, 3] or [n, 3, 4]    size: int64 [n, c, h, w] or [n, c, d, h, w]
//	grid: the type of theta [n, h, w, 2] or [n, d, h, w, 3]
//
// With align_corners -1 and 1 are the centers of the corner pixels, else their
// outer edges.
//
// Spec: https://onnx.ai/onnx/operators/onnx__AffineGrid.html
func init() {
	register(&Op{
		Name: "AffineGrid", Numerics: Rounding,
		Versions: []Version{
			{Since: 20, In: N(2), Out: N(1), Infer: inferAffineGrid, Build: buildAffineGrid},
		},
	})
}

func inferAffineGrid(c *InferContext) error {
	c.Bool("align_corners", false)
	c.Out[0] = onnx.UnrankedType(c.In(0).DType)
	s, ok := c.KnownInts(1)
	if !ok || len(s) != 4 && len(s) != 5 {
		return nil
	}
	c.Out[0] = onnx.TensorType(c.In(0).DType, append(append([]onnx.Dim{s[0]}, s[2:]...), onnx.Size(len(s)-2))...)
	return nil
}

func buildAffineGrid(b *BuildContext) (Kernel, error) {
	align := b.Bool("align_corners", false)
	return b.realKernels(0, func(c *Call) error { return affineGrid[float32](c, align) }, func(c *Call) error { return affineGrid[float64](c, align) })
}

func affineGrid[T floating](c *Call, align bool) error {
	theta, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	size, err := c.Ints(1)
	if err != nil {
		return err
	}
	if len(size) != 4 && len(size) != 5 {
		return fmt.Errorf("size has %d elements, want 4 or 5", len(size))
	}
	d, n := len(size)-2, size[0]
	if t := c.T(0); t.Rank() != 3 || t.Dim(0) != n || t.Dim(1) != d || t.Dim(2) != d+1 {
		return fmt.Errorf("theta has shape %v, want %v", t.Shape(), []int{n, d, d + 1})
	}
	y, done := realsOut[T](c, 0, c.T(0).DType(), lastDims(c.Dims(len(size)), n, size[2:], d)...)
	places, err := tensor.Count(size[2:])
	if err != nil {
		return err
	}
	var along [3][]T // the coordinates of places along each dimension
	for i, k := range size[2:] {
		along[i] = Scratch[T](c, k)
		for x := range along[i] {
			switch {
			case align && k == 1:
				along[i][x] = -1
			case align:
				along[i][x] = -1 + 2*T(x)/T(k-1)
			default:
				along[i][x] = (2*T(x)+1)/T(k) - 1
			}
		}
	}
	last := along[d-1]
	if places == 0 {
		done()
		return nil
	}
	lines := places / len(last)
	par.Run(c.P, n*lines, max(1, (1<<12)/len(last)), par.With(affineLines[T]{y, theta, along, d, lines}))
	done()
	return nil
}

// affineLines computes lines along the last of d dimensions of a grid.
type affineLines[T floating] struct {
	y, theta []T
	along    [3][]T
	d, lines int
}

func (a *affineLines[T]) Chunk(lo, hi int) {
	d, along := a.d, &a.along
	last := along[d-1]
	for q := lo; q < hi; q++ {
		m := a.theta[q/a.lines*d*(d+1):][:d*(d+1)]
		row := a.y[q*len(last)*d:][:len(last)*d]
		line := q % a.lines
		v := along[d-2][line%len(along[d-2])]
		if d == 2 {
			a0, a1, a2, b0, b1, b2 := m[0], m[1]*v, m[2], m[3], m[4]*v, m[5]
			for x, u := range last {
				row[2*x], row[2*x+1] = a0*u+a1+a2, b0*u+b1+b2
			}
			continue
		}
		w := along[0][line/len(along[1])]
		for r := range 3 {
			a0, a1, a2, a3 := m[4*r], m[4*r+1]*v, m[4*r+2]*w, m[4*r+3]
			for x, u := range last {
				row[3*x+r] = a0*u + a1 + a2 + a3
			}
		}
	}
}
