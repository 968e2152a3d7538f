package ops

import (
	halves "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// Softmax: output = exp(input) / Σ exp(input), the sum along axis.
//
//	input: T[...]    output: T[...], same shape; may share input's storage
//
// The largest element of a line is taken out, so nothing overflows; sums are
// made in float64. A line that is all -∞, or has +∞ or NaN, gives NaN. Before
// 13, a line is all dimensions from axis (default 1) on; since 13, the
// dimension axis (default -1). float16 and bfloat16 round after each step of
// the definition: the differences, the exponentials, their sum, the quotients.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Softmax.html
func init() {
	register(&Op{Name: "Softmax", Numerics: Rounding, Versions: softmaxVersions(softmaxLines, softmaxLines64, softmaxRowHalf)})
}

// softmaxLines is softmaxRow for all lines, by vectors. Lines that are not
// contiguous go through side by side, a panel at a time.
func softmaxLines(t *vec.Table) lines {
	row := func(dst, src []float32) {
		scale := float32(1 / t.ExpSum(dst, src, 1, t.Largest(src)))
		t.MulScalar(dst, dst, scale)
	}
	return func(p par.P, y, x []float32, outer, n, inner int) {
		if len(x) == 0 {
			return
		}
		if softmaxTurned(p, t, y, x, outer, n, inner, false) {
			return
		}
		if inner < 16 {
			alongAxis(p, y, x, outer, n, inner, row)
			return
		}
		panels := (inner + softmaxPanel - 1) / softmaxPanel
		par.Each(p, outer*panels, 1+(1<<13)/(n*min(inner, softmaxPanel)), softmaxPanels{t, y, x, n, inner, panels}, (*softmaxPanels).run)
	}
}

const softmaxPanel = 512

// softmaxPanels computes lines whose elements are inner apart, side by side.
type softmaxPanels struct {
	t                *vec.Table
	y, x             []float32
	n, inner, panels int
}

func (s *softmaxPanels) run(lo, hi int) {
	const panel = softmaxPanel
	buf, pool := borrow[[3 * panel]float32]()
	defer pool.Put(buf)
	t, x, y, n, inner, panels := s.t, s.x, s.y, s.n, s.inner, s.panels
	larger := t.Arith[vec.Max].VV
	for u := lo; u < hi; u++ {
		w := min(panel, inner-u%panels*panel)
		base := u/panels*n*inner + u%panels*panel
		m, sum, part := buf[:w], buf[panel:panel+w], buf[2*panel:2*panel+w]
		copy(m, x[base:])
		for i := 1; i < n; i++ {
			larger(m, m, x[base+i*inner:][:w])
		}
		clear(sum)
		for i := 0; i < n; {
			clear(part)
			for end := min(n, i+32); i < end; i++ { // so that long sums stay exact
				row := y[base+i*inner:][:w]
				t.Sub(row, x[base+i*inner:][:w], m)
				t.Exp(row, row)
				t.Add(part, part, row)
			}
			t.Add(sum, sum, part)
		}
		t.Reciprocal(sum, sum)
		for i := range n {
			row := y[base+i*inner:][:w]
			t.Mul(row, row, sum)
		}
	}
}

// softmaxRow computes one line; dst may be src.
func softmaxRow[T floating](dst, src []T) {
	scale := T(1 / expShifted(dst, src, maxOf(src)))
	for i := range dst {
		dst[i] *= scale
	}
}

// softmaxRowHalf is softmaxRow with every step rounded.
func softmaxRowHalf(dst, src []float32, kind halves.Kind, buf *[halfChunk]uint16) {
	t := vec.Best()
	t.AddScalar(dst, src, -t.Largest(src))
	roundTo(dst, kind, buf)
	t.ExpSum(dst, dst, 1, 0)
	roundTo(dst, kind, buf)
	sum := [1]float32{float32(sumOf(dst))}
	roundTo(sum[:], kind, buf)
	t.Arith[vec.Div].VS(dst, dst, sum[0]) // the caller rounds the result
}

// gradSoftmax: dX = Y·(dY - Σ dY·Y), the sum along axis.
func gradSoftmax(c *GradContext) []*onnx.Value {
	y, d := c.Y(0), c.DOut[0]
	sum := c.Op("ReduceSum", nil, c.Times(d, y), c.Ints(c.Attr.Int("axis", -1)))
	return []*onnx.Value{c.Times(y, c.Minus(d, sum))}
}
