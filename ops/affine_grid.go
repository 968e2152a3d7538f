package ops

import (
	"fmt"

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
	shape := append(append([]int{n}, size[2:]...), d)
	y, done := realsOut[T](c, 0, c.T(0).DType(), shape...)
	places, err := tensor.Count(size[2:])
	if err != nil {
		return err
	}
	c.P.For(n*places, 1<<12, func(lo, hi int) {
		p := make([]T, d+1)
		p[d] = 1
		for q := lo; q < hi; q++ {
			left := q % places
			for i := d - 1; i >= 0; i-- {
				k, x := size[2+i], left%size[2+i]
				left /= k
				switch { // p has the last dimension first
				case align && k == 1:
					p[d-1-i] = -1
				case align:
					p[d-1-i] = -1 + 2*T(x)/T(k-1)
				default:
					p[d-1-i] = (2*T(x)+1)/T(k) - 1
				}
			}
			m := theta[q/places*d*(d+1):]
			for r := range d {
				s := T(0)
				for j, v := range p {
					s += m[r*(d+1)+j] * v
				}
				y[q*d+r] = s
			}
		}
	})
	done()
	return nil
}
