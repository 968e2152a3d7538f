package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// x.SpaceToDepth is SpaceToDepth with the channels last.
//
//	input: T[N, H, W, C]    output: T[N, H/b, W/b, C*b²]
//
// Spec: https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html
func init() {
	register(&Op{Domain: "x", Name: "SpaceToDepth", Versions: []Version{{Since: 1, In: N(1), Out: N(1), Build: buildLastSpaceToDepth,
		Infer: func(c *InferContext) error {
			return inferBlocks(c, func(d []onnx.Dim, b onnx.Dim) []onnx.Dim {
				return []onnx.Dim{d[0], d[1].FloorDiv(b), d[2].FloorDiv(b), d[3].Mul(b.Mul(b))}
			})
		}}}})
}

func buildLastSpaceToDepth(bc *BuildContext) (Kernel, error) {
	b := blockSize(&bc.attrs)
	crd := bc.OneOf("mode", "DCR", "CRD") == "CRD"
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		if len(s) != 4 || s[1]%b != 0 || s[2]%b != 0 {
			return fmt.Errorf("input has shape %v, want rank 4 and sides that are multiples of %d", s, b)
		}
		n, h, w, ch := s[0], s[1]/b, s[2]/b, s[3]
		y := c.Output(0, x.DType(), n, h, w, ch*b*b)
		// The output by row, column, then row and column in the block, and channel.
		row := s[2] * ch
		shape := c.list(n, h, w, b, b, ch)
		ss := c.list(s[1]*row, b*row, b*ch, row, ch, 1)
		if crd {
			shape = c.list(n, h, w, ch, b, b)
			ss = c.list(s[1]*row, b*row, b*ch, 1, row, ch)
		}
		moverOf(x.DType()).copy(c.P, y, x, strided{shape: shape, ds: c.strides(shape), ss: ss})
		return nil
	}, 0), nil
}
