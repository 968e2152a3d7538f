package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// LRN: Y = X / (bias + alpha/size * Σ X²)^beta, the sum over the channels from
// c - floor((size-1)/2) to c + ceil((size-1)/2) that exist.
//
//	X: T[n, c, ...]    Y: T[n, c, ...]
//
// Sums and powers are made in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LRN.html
func init() {
	register(&Op{Name: "LRN", Numerics: Rounding, Versions: []Version{
		// 13 added bfloat16.
		{Since: 1, In: N(1), Out: N(1), Infer: inferSame, Build: buildLRN},
	}})
}

type lrn struct {
	alpha, beta, bias float64
	size              int
}

func buildLRN(b *BuildContext) (Kernel, error) {
	l := lrn{
		alpha: float64(b.Float("alpha", 1e-4)), beta: float64(b.Float("beta", 0.75)),
		bias: float64(b.Float("bias", 1)), size: b.Int("size", 0),
	}
	if l.size < 1 {
		return nil, fmt.Errorf("attribute \"size\" is %d, want 1 or more", l.size)
	}
	return b.realKernels(0, lrnKernel[float32](l), lrnKernel[float64](l))
}

func lrnKernel[T floating](l lrn) Kernel {
	return func(c *Call) error {
		xt := c.T(0)
		n, ch, d, err := channelShape(xt.Shape())
		if err != nil {
			return err
		}
		x, err := reals[T](c, 0)
		if err != nil {
			return err
		}
		y, done := realsOut[T](c, 0, xt.DType(), xt.Shape()...)
		blocks := (d + lrnBlock - 1) / lrnBlock
		par.Run(c.P, n*blocks, 1, par.With(lrnBlocks[T]{l, y, x, ch, d, blocks}))
		done()
		return nil
	}
}

// lrnBlock is how many elements of a channel are summed up together.
const lrnBlock = 256

// lrnBlocks computes blocks of y [n, ch, d] in all channels.
type lrnBlocks[T floating] struct {
	lrn
	y, x          []T
	ch, d, blocks int
}

func (l *lrnBlocks[T]) Chunk(lo, hi int) {
	x, ch, d := l.x, l.ch, l.d
	var sums [lrnBlock]float64
	for t := lo; t < hi; t++ {
		at := t/l.blocks*ch*d + t%l.blocks*lrnBlock
		m := min(lrnBlock, d-t%l.blocks*lrnBlock)
		sum := sums[:m]
		for k := 0; k < ch; k++ {
			clear(sum)
			for j := max(0, k-(l.size-1)/2); j <= min(ch-1, k+l.size/2); j++ {
				for i, v := range x[at+j*d:][:m] {
					sum[i] += float64(v) * float64(v)
				}
			}
			src, dst := x[at+k*d:][:m], l.y[at+k*d:][:m]
			for i, v := range src {
				s := l.bias + l.alpha/float64(l.size)*sum[i]
				if l.beta == 0.75 {
					r := math.Sqrt(s)
					s = r * math.Sqrt(r)
				} else {
					s = math.Pow(s, l.beta)
				}
				dst[i] = T(float64(v) / s)
			}
		}
	}
}

// gradLRN: with s = bias + alpha/size·ΣX² over the channels around each,
// dX = dY·s^-beta - 2·alpha·beta/size · X · Σ dY·X·s^(-beta-1) over the channels
// whose sums have X's. Sums over channels are means with zeros for padding.
func gradLRN(c *GradContext) []*onnx.Value {
	x, d := c.X(0), c.DOut[0]
	size := c.Attr.Int("size", 1)
	alpha, beta, bias := float64(c.Attr.Float("alpha", 1e-4)), float64(c.Attr.Float("beta", 0.75)), float64(c.Attr.Float("bias", 1))
	shape := func(start, end int) *onnx.Value { return c.Op("Shape", onnx.NewAttrs("start", start, "end", end), x) }
	planes := c.Op("Concat", onnx.NewAttrs("axis", 0), shape(0, 1), c.Ints(1), shape(1, 2), c.Ints(-1))
	mean := func(v *onnx.Value, before, after int) *onnx.Value {
		m := c.Op("AveragePool", onnx.NewAttrs("kernel_shape", []int{size, 1}, "pads", []int{before, 0, after, 0}, "count_include_pad", 1),
			c.Op("Reshape", nil, v, planes))
		return c.Like(m, x)
	}
	before, after := (size-1)/2, size/2
	s := c.Plus(c.Scaled(mean(c.Times(x, x), before, after), alpha), c.Scalar(bias))
	direct := c.Times(d, c.Op("Pow", nil, s, c.Scalar(-beta)))
	around := mean(c.Over(c.Times(direct, x), s), after, before)
	return []*onnx.Value{c.Minus(direct, c.Times(x, c.Scaled(around, 2*alpha*beta)))}
}
