package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// x.DepthToSpace is DepthToSpace with the channels last.
//
//	input: T[N, H, W, C]    output: T[N, H*b, W*b, C/b²]
//
// Spec: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html
func init() {
	register(&Op{Domain: "x", Name: "DepthToSpace", Versions: []Version{{Since: 1, In: N(1), Out: N(1), Build: buildLastDepthToSpace,
		Infer: func(c *InferContext) error {
			return inferBlocks(c, func(d []onnx.Dim, b onnx.Dim) []onnx.Dim {
				return []onnx.Dim{d[0], d[1].Mul(b), d[2].Mul(b), d[3].FloorDiv(b.Mul(b))}
			})
		}}}})
}

func buildLastDepthToSpace(bc *BuildContext) (Kernel, error) {
	b := blockSize(&bc.attrs)
	crd := bc.OneOf("mode", "DCR", "CRD") == "CRD"
	return bytewise(func(c *Call) error {
		x := c.T(0)
		s := x.Shape()
		if len(s) != 4 || s[3]%(b*b) != 0 {
			return fmt.Errorf("input has shape %v, want rank 4 and channels that are a multiple of %d", s, b*b)
		}
		n, h, w, ch := s[0], s[1], s[2], s[3]/(b*b)
		y := c.Output(0, x.DType(), n, h*b, w*b, ch)
		shape := c.list(n, h, b, w, b, ch) // of the output; i is dimension 2, j dimension 4
		i, j, k := b*ch, ch, 1
		if crd {
			i, j, k = b, 1, b*b
		}
		moverOf(x.DType()).copy(c.P, y, x, strided{shape: shape, ds: c.strides(shape), ss: c.list(h*w*s[3], w*s[3], i, s[3], j, k)})
		return nil
	}, 0), nil
}
