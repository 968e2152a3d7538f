package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// SpaceToDepth: squares of b by b pixels become blocks of b*b channels, the
// inverse of DepthToSpace in the same mode.
//
//	input: T[N, C, H, W]    output: T[N, C*b², H/b, W/b]
//
// Spec: https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html
func init() {
	register(&Op{
		Name: "SpaceToDepth",
		// 28 added mode; before, it is DCR.
		Versions: []Version{{Since: 1, In: N(1), Out: N(1), Infer: inferSpaceToDepth, Build: buildSpaceToDepth}},
	})
}

func gradSpaceToDepth(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.Op("DepthToSpace", onnx.NewAttrs("blocksize", blockSize(&c.Attr)), c.DOut[0])}
}

func inferSpaceToDepth(c *InferContext) error {
	return inferBlocks(c, func(d []onnx.Dim, b onnx.Dim) []onnx.Dim {
		return []onnx.Dim{d[0], d[1].Mul(b.Mul(b)), d[2].FloorDiv(b), d[3].FloorDiv(b)}
	})
}

func buildSpaceToDepth(bc *BuildContext) (Kernel, error) {
	b := blockSize(&bc.attrs)
	crd := bc.OneOf("mode", "DCR", "CRD") == "CRD"
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		if len(s) != 4 || s[2]%b != 0 || s[3]%b != 0 {
			return fmt.Errorf("input has shape %v, want rank 4 and sides that are multiples of %d", s, b)
		}
		n, ch, h, w := s[0], s[1], s[2]/b, s[3]/b
		y := c.Output(0, x.DType(), n, ch*b*b, h, w)
		plane := s[2] * s[3]
		// strides of channel, row and column in the block, row and column of blocks
		shape := c.list(n, b, b, ch, h, w)
		ss := c.list(ch*plane, s[3], 1, plane, s[3]*b, b)
		if crd {
			shape = c.list(n, ch, b, b, h, w)
			ss = c.list(ch*plane, plane, s[3], 1, s[3]*b, b)
		}
		moverOf(x.DType()).copy(c.P, y, x, strided{shape: shape, ds: c.strides(shape), ss: ss})
		return nil
	}, 0), nil
}
