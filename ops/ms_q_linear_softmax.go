package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/tensor"
)

// QLinearSoftmax (com.microsoft): Y = quantize(exp(x) / Σ exp(x)) with x =
// dequantize(X), the sum along axis. For an opset attribute below 13 the sum is
// over axis and all dimensions after it.
//
//	X: u8 or i8 [...]    Y: the same type and shape
//	scales: float32, one; zero points: one
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearSoftmax
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearSoftmax", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(5), Out: N(1), Infer: inferQLinearSoftmax, Build: buildQLinearSoftmax},
		},
	})
}

func inferQLinearSoftmax(c *InferContext) error {
	c.Int("axis", -1)
	c.Int("opset", 0)
	return inferSame(c)
}

func buildQLinearSoftmax(b *BuildContext) (Kernel, error) {
	axis, opset := b.Int("axis", -1), b.Int("opset", 0)
	return func(c *Call) error {
		x, err := byteInput(c, 0, "X")
		if err != nil {
			return err
		}
		d := x.DType()
		qx, err := quantParamsOf(c, 1, d, "X")
		if err != nil {
			return err
		}
		qy, err := quantParamsOf(c, 3, d, "y")
		if err != nil {
			return err
		}
		at, err := tensor.Axis(axis, x.Rank())
		if err != nil {
			return err
		}
		outer, inner := axisBlocks(x.Shape(), at)
		n := x.Dim(at)
		if opset < 13 {
			n, inner = n*inner, 1
		}
		y, src := c.Output(0, d, x.Shape()...).Bytes(), x.Bytes()
		if x.Len() == 0 {
			return nil
		}
		value := dequantTable(qx.scale, qx.zero, d)
		c.P.For(outer*inner, max(1, 4096/n), func(lo, hi int) {
			for r := lo; r < hi; r++ {
				first := r/inner*n*inner + r%inner
				top := float32(math.Inf(-1))
				for i := range n {
					top = max(top, value[src[first+i*inner]])
				}
				sum := 0.0
				for i := range n {
					sum += math.Exp(float64(value[src[first+i*inner]] - top))
				}
				for i := range n {
					e := math.Exp(float64(value[src[first+i*inner]] - top))
					y[first+i*inner] = qy.quantize(float32(e/sum), d)
				}
			}
		})
		return nil
	}, nil
}
