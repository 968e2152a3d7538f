package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
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
		// Only differences to the largest value of a row count, of which there are 256.
		var exps [256]float64
		for i := range exps {
			exps[i] = math.Exp(-math.Abs(float64(qx.scale)) * float64(i))
		}
		flip := byte(0) // makes the order of bytes that of their values
		if d == tensor.Int8 {
			flip = 0x80
		}
		if qx.scale < 0 {
			flip ^= 0xff
		}
		c.P.For(outer*inner, max(1, 4096/n), func(lo, hi int) {
			var table [256]byte
			for r := lo; r < hi; r++ {
				first := r/inner*n*inner + r%inner
				if inner == 1 && n >= 128 {
					softmaxTable(&table, src[first:first+n], flip, &exps, qy, d)
					quant.Lookup(y[first:first+n], src[first:first+n], &table)
					continue
				}
				top, sum := byte(0), 0.0
				for i := range n {
					top = max(top, src[first+i*inner]^flip)
				}
				for i := range n {
					sum += exps[top-(src[first+i*inner]^flip)]
				}
				for i := range n {
					y[first+i*inner] = qy.quantize(float32(exps[top-(src[first+i*inner]^flip)]/sum), d)
				}
			}
		})
		return nil
	}, nil
}

// softmaxTable sets table to what each byte of a row becomes.
func softmaxTable(table *[256]byte, row []byte, flip byte, exps *[256]float64, qy quantParams, d tensor.DType) {
	var counts [4][256]int
	for ; len(row) >= 4; row = row[4:] {
		counts[0][row[0]]++
		counts[1][row[1]]++
		counts[2][row[2]]++
		counts[3][row[3]]++
	}
	for _, v := range row {
		counts[0][v]++
	}
	top := byte(0)
	for b := range counts[0] {
		if counts[0][b] += counts[1][b] + counts[2][b] + counts[3][b]; counts[0][b] > 0 {
			top = max(top, byte(b)^flip)
		}
	}
	sum := 0.0
	for b, k := range counts[0] {
		if k > 0 {
			sum += float64(k) * exps[top-(byte(b)^flip)]
		}
	}
	for b, k := range counts[0] {
		if k > 0 {
			table[b] = qy.quantize(float32(exps[top-(byte(b)^flip)]/sum), d)
		}
	}
}
